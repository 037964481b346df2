"""`liangxin models`: which models there are, what each takes, and who says so."""

from __future__ import annotations

import click

_FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["human", "json"]),
    default="human",
    show_default=True,
    help="What goes to standard output.",
)


@click.group(invoke_without_command=True)
@_FORMAT
@click.pass_context
def models(ctx: click.Context, form: str) -> None:
    """
    List the models of the Market.

    What LiangXin's own pages state is documented; the rest is inferred, from the upstream that
    the service evidently forwards to.  A slug that is a guess, or unknown, has to be told by you.
    """
    if ctx.invoked_subcommand is None:
        from liangxin.cli._models import show_all

        show_all(form)


@models.command()
@click.argument("name")
@_FORMAT
def show(name: str, form: str) -> None:
    """Show all that is known of the model NAME, a slug or the name of a class."""
    from liangxin.cli._models import show_model

    show_model(name, form)


@models.command()
@click.argument("name")
@click.option("--strict", is_flag=True, help="Inferred limits are keywords too.")
def schema(name: str, strict: bool) -> None:
    """
    Print the JSON Schema (draft 2020-12) of the input of the model NAME.

    Documented limits are keywords.  Inferred ones are notes under x-liangxin-inferred, unless
    --strict makes them keywords too.
    """
    from liangxin.cli._models import print_schema

    print_schema(name, strict)
