"""`liangxin models`, run as people run it."""

from __future__ import annotations

import io
import json
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from liangxin.cli._app import cli
from liangxin.models import catalogue
from tests.test_cli import liangxin_program, without


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, ["models", *args])


def lines_of(result: Result) -> list[list[str]]:
    """The cells of every line; columns stand two spaces apart."""
    assert result.exit_code == 0, result.output
    return [[cell for cell in line.split("  ") if cell] for line in result.output.splitlines()]


def test_every_model_has_a_line_that_says_how_its_slug_is_known() -> None:
    head, *rows = [[cell.strip() for cell in line] for line in lines_of(run())]
    assert head == ["Model", "Slug", "Slug is", "Makes", "Operation", "Fields documented"]
    assert [row[0] for row in rows] == [row.name for row in catalogue()]
    told = {row[0]: row[1:] for row in rows}
    assert told["ZImage"] == ["z-image", "documented", "image", "text-to-image", "7 of 7"]
    assert told["Wan27TextToVideo"][:2] == ["wan-2-7-text-to-video", "a guess"]
    assert told["Wan26TextToVideo"][0] == "unknown"


def test_the_list_is_there_as_json() -> None:
    told = json.loads(run("--format", "json").output)
    assert told == json.loads(json.dumps([row.to_json() for row in catalogue()]))


@pytest.mark.parametrize("name", ["z-image", "ZImage"])
def test_a_model_is_shown_by_its_slug_or_its_class_with_who_says_what(name: str) -> None:
    shown = run("show", name).output
    assert "Slug   z-image (documented)" in shown
    assert "Page   /34592180e0 (full)" in shown
    told = [" ".join(line.split()) for line in shown.splitlines()]
    assert "prompt string documented required, at least 1 character" in told
    assert "inferred at most 4096 characters" in told
    assert "num_inference_steps integer documented" in told
    assert "8 inferred 1 to 50" in told
    assert "documented image_size wins over aspect_ratio" in told


def test_a_model_without_a_slug_says_how_to_give_one() -> None:
    shown = run("show", "wan-2-7-text-to-video").output
    assert "Slug   wan-2-7-text-to-video (a guess)" in shown
    assert "say slug= or models.configure({models.Wan27TextToVideo: …})" in shown
    assert "documented" not in shown.partition("Field")[2]


def test_a_model_is_shown_as_json() -> None:
    [known] = [row for row in catalogue() if row.name == "Flux2Pro"]
    assert json.loads(run("show", "flux-2-pro", "--format", "json").output) == known.to_json()


def test_a_name_that_is_nearly_right_is_told_what_is_near() -> None:
    missed = run("show", "zimage")
    assert missed.exit_code == 2
    assert "there is no model 'zimage' (did you mean z-image or ZImage?)" in missed.output
    assert "there is no model 'veo-9'; `liangxin models` lists them" in run("show", "veo-9").output


def test_the_schema_of_a_model_is_printed_and_its_strict_form_forbids_more() -> None:
    loose: Any = json.loads(run("schema", "KlingV3Pro").output)
    strict: Any = json.loads(run("schema", "kling-v3-pro", "--strict").output)
    for schema in (loose, strict):
        jsonschema.Draft202012Validator.check_schema(schema)
    long = {"prompt": "x" * 2501}
    assert jsonschema.Draft202012Validator(loose).is_valid(long)
    assert not jsonschema.Draft202012Validator(strict).is_valid(long)


def test_nothing_that_only_a_terminal_needs_is_imported_elsewhere() -> None:
    absent = without("rich", "httpx", "anyio", "cattrs", "PIL", "starlette")
    for args in (("models",), ("models", "show", "z-image"), ("models", "schema", "ZImage")):
        done = liangxin_program(*args, setup=absent)
        assert (done.returncode, done.stderr) == (0, "")


def test_on_a_terminal_the_same_rows_are_a_table() -> None:
    from rich.console import Console

    from liangxin.cli._models import rich_table

    rows = [("string[]", "inferred"), ("[bold]", "documented")]
    out = io.StringIO()
    Console(file=out, width=80).print(rich_table(("Field", "Known"), rows))
    assert "│ string[] │ inferred   │" in out.getvalue()
    assert "│ [bold]   │ documented │" in out.getvalue()
