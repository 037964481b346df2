"""
Commands that create a task: below `run` and `create`, each model is a command with its fields.

A name that nobody here knows is sent only with `--raw`: a slip in a name must not cost money.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from liangxin._text import quoted
from liangxin.cli._options import BASE_URL, EMULATOR
from liangxin.cli._service import say

if TYPE_CHECKING:
    from liangxin._tasks import ModelInput
    from liangxin.models import ModelFacts

_FIELDS = (
    click.Option(
        ["--field", "pairs"],
        multiple=True,
        metavar="FIELD=VALUE",
        help="A field without an option of its own; the value is JSON or text. May be repeated.",
    ),
    click.Option(["--input"], metavar="JSON", help="Fields as a JSON object, or @ and a file."),
)
_TYPED = (
    *_FIELDS,
    click.Option(
        ["--strict/--no-strict"],
        default=None,
        help="Refuse what breaks an inferred limit too, or check nothing.  [default: a warning]",
    ),
    click.Option(["--slug"], metavar="NAME", help="The model's name at the service."),
)
_RAW = (
    click.Option(["-p", "--prompt"], help="The field prompt."),
    *_FIELDS,
    click.Option(["--raw"], is_flag=True, help="Send the name and the fields as they are."),
)
_SERVICE = (BASE_URL, EMULATOR)


class ModelCommands(click.Group):
    """A command for each model, made of its fields when it is asked for."""

    def __init__(
        self,
        name: str,
        *,
        help: str,
        perform: Callable[..., int],
        options: Sequence[click.Parameter],
    ) -> None:
        super().__init__(name, help=help, options_metavar="", subcommand_metavar="MODEL [OPTIONS]")
        self._perform = perform
        self._options = options

    @property
    def shared(self) -> list[click.Parameter]:
        """The options that are fields of no model, and so of all."""
        return [*_TYPED, _RAW[-1], *_SERVICE, *self._options]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, _ in _models()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from liangxin._errors import InputError
        from liangxin.cli._models import find_model

        if cmd_name.startswith("-"):
            return None
        try:
            return self._typed(cmd_name, find_model(cmd_name))
        except InputError as error:
            if ctx.resilient_parsing:  # a shell that completes wants no advice
                return None
            raise click.UsageError(f"{error}. --raw sends any name as it is.") from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if "--raw" in args[1:]:
            return args[0], self._raw(args[0]), args[1:]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Models (each has a --help of its own)"):
            formatter.write_dl(_models())

    def _typed(self, named: str, known: ModelFacts) -> click.Command:
        from liangxin.cli._fields import field_options, fields_of

        def make(**given: Any) -> None:
            fields = {**_unlisted(given), **fields_of(given)}
            slug = given.pop("slug") or _slug(named, known, emulated=given["emulator"])
            self._go(_typed_input(known, fields, slug, given.pop("strict")), given)

        params = [*field_options(known), *_TYPED, *_SERVICE, *self._options]
        return _command(named, params, make, _about(known))

    def _raw(self, named: str) -> click.Command:
        from liangxin._tasks import RawInput

        def make(raw: bool, prompt: str | None, **given: Any) -> None:
            fields = _unlisted(given) | ({} if prompt is None else {"prompt": prompt})
            self._go(RawInput(named, fields), given)

        about = "Ask a model whose fields are checked by nobody, not even its name."
        return _command(named, [*_RAW, *_SERVICE, *self._options], make, about)

    def _go(self, asked: ModelInput, given: Mapping[str, Any]) -> None:
        click.get_current_context().exit(self._perform(asked, **given))


def _command(
    named: str, params: list[click.Parameter], make: Callable[..., None], about: str
) -> click.Command:
    return click.Command(
        named,
        params=params,
        callback=make,
        help=about,
        # As the API writes them: --aspect_ratio.
        context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
    )


def _models() -> list[tuple[str, str]]:
    """What each model goes by here, and what it is for: a guess is nobody's name."""
    from liangxin.models import catalogue

    return [(known.slug or known.name, known.summary) for known in catalogue()]


def _about(known: ModelFacts) -> str:
    rules = [f"{rule.words} ({rule.provenance})" for rule in known.rules]
    slug = "" if known.slug else "No page states its slug: say it with --slug."
    page = f"Page: {known.page}" if known.page else ""
    together = f"Together: {'; '.join(rules)}." if rules else ""
    return "\n\n".join(part for part in (known.summary, together, slug, page) if part)


# --- the input ---------------------------------------------------------------------------------


def _unlisted(given: dict[str, Any]) -> dict[str, object]:
    """Take the fields of `--input` and `--field` out of the options."""
    from liangxin.cli._fields import pairs, read_object

    return {**read_object(given.pop("input")), **pairs(given.pop("pairs"), "--field")}


def _slug(named: str, known: ModelFacts, *, emulated: bool) -> str:
    """What goes out as `model`: a guess only if the user typed it, or if nothing is paid."""
    if known.slug is not None:
        return known.slug
    if named == known.slug_guess:
        return named
    if emulated:
        from liangxin.emulator import GUESSED_SLUGS

        return GUESSED_SLUGS[known.name]
    guess = f"; {known.slug_guess!r} is only a guess" if known.slug_guess else ""
    raise click.UsageError(
        f"no page states the slug of {known.name} ({known.title}): say it with --slug{guess}"
    )


def _typed_input(
    known: ModelFacts, fields: dict[str, Any], slug: str, strict: bool | None
) -> ModelInput:
    """The input, checked by its class; what that warns of is said in a line."""
    from liangxin._errors import InferredLimitWarning
    from liangxin.batch._reading.known_models import require_whole
    from liangxin.models._checks import CheckedInput
    from liangxin.models._known import did_you_mean

    model = known.model
    assert issubclass(model, CheckedInput)
    names = {field.name for field in known.fields}
    extra = {name: fields.pop(name) for name in fields.keys() - names}
    for name in extra:
        meant = did_you_mean(name, names)
        if meant and strict is not False:
            raise click.UsageError(f"{known.name} has no field {quoted(name)}{meant}")
    require_whole(model, fields)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InferredLimitWarning)
        asked = model(slug=slug, strict=strict, extra=extra, **fields)
    for warning in caught:
        say(f"Note: {warning.message}")
    return asked
