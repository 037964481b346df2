"""`liangxin completion`: what a shell runs to complete commands, models, fields and values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """
    Print the script that lets a shell complete `liangxin`.

    \b
    bash: eval "$(liangxin completion bash)" in ~/.bashrc
    zsh:  eval "$(liangxin completion zsh)" in ~/.zshrc
    fish: liangxin completion fish > ~/.config/fish/completions/liangxin.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "liangxin", "_LIANGXIN_COMPLETE").source())
