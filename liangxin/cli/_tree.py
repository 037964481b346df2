"""The command tree in Markdown, as click has it: for `liangxin skill` and the documentation."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from liangxin.cli._app import cli
from liangxin.cli._making import ModelCommands


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its words."""
    return _below(cli, click.Context(cli, info_name="liangxin"))


def _below(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        is_one = isinstance(command, ModelCommands) or not isinstance(command, click.Group)
        if is_one or getattr(command, "invoke_without_command", False):
            yield f"{context.command_path} {name}", command
        if not is_one:
            assert isinstance(command, click.Group)
            yield from _below(command, click.Context(command, info_name=name, parent=context))


def options(command: click.Command) -> list[click.Option]:
    """The options of a command; of one for each model, those that are no fields."""
    params = command.shared if isinstance(command, ModelCommands) else command.params
    return [each for each in params if isinstance(each, click.Option)]


def reference(level: int) -> Iterator[str]:
    """A section for each command: how it is written, what it does, what its options are."""
    for words, command in commands():
        yield f"{'#' * level} {words}"
        yield ""
        yield f"    {_usage(words, command)}"
        yield ""
        for paragraph in _paragraphs(command):
            yield paragraph
            yield ""
        if options(command):
            yield "| option | what |"
            yield "|---|---|"
            yield from (_row(option, command) for option in options(command))
            yield ""


def _usage(words: str, command: click.Command) -> str:
    context = click.Context(command, info_name=words, terminal_width=1000, max_content_width=1000)
    return command.get_usage(context).removeprefix("Usage: ")


def _paragraphs(command: click.Command) -> list[str]:
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    return [" ".join(each.split()) for each in text.split("\n\n")]


def _row(option: click.Option, command: click.Command) -> str:
    record = option.get_help_record(click.Context(command))
    assert record is not None
    written, what = (" ".join(each.split()).replace("|", "\\|") for each in record)
    return f"| `{written}` | {what} |"
