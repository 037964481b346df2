"""The contact sheet of outcomes and folders: all that is on record, no file from elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import liangxin
from liangxin import Client, InputError, Outcome, Task, TaskState, contact_sheet, models
from liangxin.cli._app import cli
from liangxin.emulator import Emulator, Fault
from liangxin.ledger import Ledger
from tests.test_batch_files import file_of
from tests.test_cli_batch import MAIN, batch, environment
from tests.test_sheet import entries_in

TASK = Task(
    id="task_1",
    model="z-image",
    state=TaskState.SUCCESS,
    urls=("https://cdn.example.com/1.png",),
    created_at=datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC),
    completed_at=datetime(2026, 5, 1, 12, 0, 7, tzinfo=UTC),
)
LOST = liangxin.AmbiguousCreate(
    "the answer was lost",
    model="z-image",
    client_ref="ref",
    request_sha256="0" * 64,
    sent_at=1_780_000_000.0,
    elapsed=1.0,
)
FOG = models.ZImage(prompt="a lighthouse in fog")


def shown_on(page: Path) -> list[dict[str, Any]]:
    return entries_in(page.read_text(encoding="utf-8"))


def lines_to(path: Path, *lines: object) -> None:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


# --- outcomes ----------------------------------------------------------------------------------


def test_outcomes_are_shown_with_their_prompts_and_files_beside_the_page(tmp_path: Path) -> None:
    outcome = Outcome(key="fog", input=FOG, task=TASK, files=(tmp_path / "pictures" / "fog.png",))
    page = contact_sheet([outcome], tmp_path / "look.html", title="Fog")
    assert page == tmp_path / "look.html"
    assert "<title>Fog</title>" in page.read_text(encoding="utf-8")
    [entry] = shown_on(page)
    assert entry == {
        "title": "Z-Image",
        "model": "z-image",
        "prompt": "a lighthouse in fog",
        "state": "success",
        "standing": "done",
        "key": "fog",
        "task": "task_1",
        "time": "7.0 s",
        "file": "./pictures/fog.png",
        "clip": False,
    }


def test_each_file_of_several_has_its_place(tmp_path: Path) -> None:
    files = (tmp_path / "fog-1.png", tmp_path / "fog-2.png")
    entries = shown_on(
        contact_sheet([Outcome(input=FOG, task=TASK, files=files)], tmp_path / "x.html")
    )
    assert [entry["file"] for entry in entries] == ["./fog-1.png", "./fog-2.png"]
    assert [entry["facts"] for entry in entries] == [
        [["result", "1 of 2"]],
        [["result", "2 of 2"]],
    ]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (LOST, "in doubt"),
        (liangxin.BadRequest("no such size", status=400), "refused"),
        (liangxin.InputError("no prompt", field="prompt"), "not created"),
    ],
)
def test_an_error_without_a_task_says_what_it_means(
    error: liangxin.LiangxinError, state: str, tmp_path: Path
) -> None:
    [entry] = shown_on(contact_sheet([Outcome(input=FOG, error=error)], tmp_path / "x.html"))
    assert (entry["state"], entry["why"]) == (state, str(error))


def test_outcomes_without_files_are_shown_without_asking_any_host(tmp_path: Path) -> None:
    page = contact_sheet([Outcome(input=FOG, task=TASK)], tmp_path / "x.html")
    [entry] = shown_on(page)
    assert entry["why"] == "made, but not downloaded to this folder"
    assert "cdn.example.com" not in page.read_text(encoding="utf-8")


# --- a folder that a batch has filled ----------------------------------------------------------


def made(options: dict[str, Any], path: Path, out: Path) -> None:
    """Run a batch without delay: the command looks as seldom as it does for people."""
    with Client(**options) as client, client.batch(path, out=out) as outcomes:
        for _ in outcomes:
            pass


def test_a_batch_leaves_a_sheet_of_all_that_is_on_record(
    server: Emulator, options_of: dict[str, Any], tmp_path: Path
) -> None:
    server.add_fault(Fault("create", "withhold", prompt="fog 1"))
    server.add_fault(Fault("create", status=422, prompt="fog 2"))
    path, out = file_of(tmp_path, 4), tmp_path / "out"
    made(options_of, path, out)
    done = batch(server, path, "--out", out)
    assert f"Results: {out / 'index.html'}" in done.stdout
    entries = {entry["key"]: entry for entry in shown_on(out / "index.html")}
    assert list(entries) == ["fog-0x", "fog-1x", "fog-2x", "fog-3x"]
    states = [entry["state"] for entry in entries.values()]
    assert states == ["success", "in doubt", "refused", "success"]
    prompts = [entry["prompt"] for entry in entries.values()]
    assert prompts == [f"fog {number}" for number in range(4)]
    for key in ("fog-0x", "fog-3x"):
        assert (out / entries[key]["file"]).is_file()
        assert entries[key]["time"]
    assert len(server.charges) == 3  # the withheld one included, which is why it is a doubt


def test_what_earlier_runs_have_made_stays_on_the_sheet(
    options_of: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made(options_of, file_of(tmp_path, 3), out)
    (out / "results.jsonl").write_text("", encoding="utf-8")
    assert [entry["state"] for entry in shown_on(contact_sheet(out))] == ["success"] * 3


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C for another process is POSIX only")
def test_ctrl_c_leaves_a_sheet_too(tmp_path: Path) -> None:
    emulator = Emulator(seed=1, durations=60)
    out = tmp_path / "out"
    with (
        emulator.serve(),
        subprocess.Popen(
            [sys.executable, "-c", MAIN, "batch", str(file_of(tmp_path, 2)), "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(emulator),
        ) as process,
    ):
        while len(emulator.charges) < 2:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 130
    assert f"Results: {out / 'index.html'}" in said
    entries = shown_on(out / "index.html")
    assert {entry["prompt"] for entry in entries} == {"fog 0", "fog 1"}
    assert {entry["standing"] for entry in entries} == {"pending"}


def test_a_page_of_the_users_own_stays_and_the_batch_succeeds(
    server: Emulator, options_of: dict[str, Any], tmp_path: Path
) -> None:
    path, out = file_of(tmp_path, 1), tmp_path / "out"
    made(options_of, path, out)
    (out / "index.html").write_text("<h1>mine</h1>", encoding="utf-8")
    done = batch(server, path, "--out", out)
    assert done.returncode == 0
    assert "index.html is no contact sheet and stays as it is" in done.stderr
    assert (out / "index.html").read_text(encoding="utf-8") == "<h1>mine</h1>"


def test_while_the_batch_runs_its_lines_are_shown_without_prompts(
    server: Emulator, options_of: dict[str, Any], tmp_path: Path
) -> None:
    with Client(**options_of) as client, client.batch([("fog", FOG)], out=tmp_path) as outcomes:
        assert next(outcomes).ok
        [entry] = shown_on(contact_sheet(tmp_path))
        assert (entry["key"], entry["prompt"], entry["state"]) == ("fog", "", "success")
        with pytest.raises(liangxin.LedgerLocked):
            contact_sheet(tmp_path, ledger=tmp_path / "ledger.db")
    assert shown_on(contact_sheet(tmp_path))[0]["prompt"] == FOG.prompt
    assert len(server.charges) == 1


def test_what_was_settled_since_the_run_is_shown_as_it_stands_now(
    server: Emulator, options_of: dict[str, Any], tmp_path: Path
) -> None:
    server.withhold_answer_to_next_create()
    with Client(**options_of) as client, client.batch([("fog", FOG)], out=tmp_path) as outcomes:
        assert not next(outcomes).ok
    [entry] = shown_on(contact_sheet(tmp_path))
    assert (entry["standing"], "MAYBE" in entry["why"]) == ("doubt", False)
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.attach("fog", server.charges[0].task_id)
    [entry] = shown_on(contact_sheet(tmp_path))
    assert (entry["state"], entry["standing"], entry["why"]) == (
        "accepted",
        "pending",
        "no result: accepted",
    )


def test_a_ledger_that_keeps_no_inputs_gives_none_away(
    options_of: dict[str, Any], tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "ledger.db", store_inputs=False)
    with (
        Client(**options_of) as client,
        client.batch([("fog", FOG)], out=tmp_path, ledger=ledger) as outcomes,
    ):
        assert next(outcomes).ok
    ledger.close()
    page = contact_sheet(tmp_path)
    assert shown_on(page)[0]["state"] == "success"
    assert FOG.prompt not in page.read_text(encoding="utf-8")


# --- other folders -----------------------------------------------------------------------------


def test_lines_are_enough_where_there_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "fog.png").write_bytes(b"")
    told = {"id": "fog", "task_id": "t1", "model": "z-image", "state": "success"}
    lines_to(tmp_path / "results.jsonl", told | {"files": ["fog.png"]})
    lines_to(
        tmp_path / "errors.jsonl",
        {"id": "sea", "error": "AmbiguousCreate", "message": "lost", "money": "maybe paid"},
    )
    fog, sea = shown_on(contact_sheet(tmp_path))
    assert (fog["title"], fog["file"]) == ("Z-Image", "./fog.png")
    assert (sea["state"], sea["standing"], sea["why"]) == ("in doubt", "doubt", "lost")


def test_a_manifest_is_read_if_it_is_there(tmp_path: Path) -> None:
    for name in ("fog-1.png", "fog-2.png"):
        (tmp_path / name).write_bytes(b"")
    about = {"key": "fog", "task_id": "t1", "model": "z-image", "size": 0}
    lines = [about | {"file": name} for name in ("fog-1.png", "fog-1.png", "fog-2.png")]
    lines_to(tmp_path / "manifest.jsonl", *lines)
    entries = shown_on(contact_sheet(tmp_path))
    assert [entry["file"] for entry in entries] == ["./fog-1.png", "./fog-2.png"]
    for entry in entries:
        assert (entry["key"], entry["task"], entry["state"]) == ("fog", "t1", "success")


def test_a_line_that_was_cut_or_is_nonsense_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_bytes(
        b'[]\n{"id": 7}\n\xff\n'
        + b"[" * 100_000
        + b'\n{"id": "fog", "state": "success"}\n{"id": "s'
    )
    assert [entry["key"] for entry in shown_on(contact_sheet(tmp_path))] == ["fog"]


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.png", "{outside}/secret.png", "a/../../secret.png", "gone.png"),
        *("x" * 5000, "nul\0.png", "\ud800.png", ".", "", 7, None),
    ],
    ids=lambda name: str(name)[:20].encode("ascii", "backslashreplace").decode(),
)
def test_no_file_is_shown_that_is_not_in_the_folder(name: object, tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    for secret in (tmp_path / "secret.png", outside / "secret.png"):
        secret.write_bytes(b"")
    if isinstance(name, str):
        name = name.format(outside=outside)
    lines_to(folder / "results.jsonl", {"id": "fog", "state": "success", "files": [name]})
    [entry] = shown_on(contact_sheet(folder))
    assert "file" not in entry
    assert "secret" not in (folder / "index.html").read_text(encoding="utf-8")


def test_a_folder_of_files_alone_is_shown_by_their_names(tmp_path: Path) -> None:
    for name in ("b.png", "a.mp4", "a.poster.jpg", "notes.txt", "ledger.txt"):
        (tmp_path / name).write_bytes(b"")
    clip, picture = shown_on(contact_sheet(tmp_path))
    assert (clip["key"], clip["clip"], clip["poster"]) == ("a.mp4", True, "./a.poster.jpg")
    assert (picture["key"], picture["clip"], picture["state"]) == ("b.png", False, "success")
    assert f"<title>{tmp_path.name}</title>" in (tmp_path / "index.html").read_text("utf-8")


# --- the file ----------------------------------------------------------------------------------


def test_an_earlier_sheet_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    page = contact_sheet([], tmp_path / "index.html")
    os.link(page, tmp_path / "earlier.html")
    contact_sheet([Outcome(input=FOG, task=TASK)], page)
    assert len(shown_on(page)) == 1
    assert shown_on(tmp_path / "earlier.html") == []  # replaced, not written over
    assert {path.name for path in tmp_path.iterdir()} == {"earlier.html", "index.html"}


def test_an_iterable_that_breaks_leaves_the_earlier_sheet_whole(tmp_path: Path) -> None:
    def broken() -> Any:
        yield Outcome(input=FOG, task=TASK)
        raise RuntimeError("no more")

    page = contact_sheet([], tmp_path / "index.html")
    before = page.read_bytes()
    with pytest.raises(RuntimeError, match="no more"):
        contact_sheet(broken(), page)
    assert page.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


@pytest.mark.parametrize(
    ("results", "options", "field"),
    [
        ([], {}, "path"),
        ([], {"path": "x.html", "ledger": "x.db"}, "ledger"),
        ("no-such-folder", {}, "results"),
        (os.curdir, {"path": "x.html", "ledger": "no-such.db"}, "ledger"),
    ],
)
def test_what_makes_no_sense_is_refused(
    results: Any,
    options: dict[str, str],
    field: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as told:
        contact_sheet(results, **options)
    assert told.value.field == field
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("told", "shown"),
    [(7, "7.0 s"), (-1, None), (float("inf"), None), (float("nan"), None), ("7", None)],
)
def test_a_duration_that_makes_no_sense_is_none(
    told: object, shown: object, tmp_path: Path
) -> None:
    lines_to(tmp_path / "results.jsonl", {"id": "fog", "state": "success", "seconds": told})
    assert shown_on(contact_sheet(tmp_path))[0].get("time") == shown


def test_a_page_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()
    done = CliRunner().invoke(cli, ["sheet", str(tmp_path)])
    assert (done.exit_code, "cannot be written: Is a directory" in done.output) == (1, True)


def test_the_command_writes_the_page_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "fog.png").write_bytes(b"")
    done = CliRunner().invoke(cli, ["sheet", str(tmp_path)])
    assert (done.exit_code, done.output) == (0, f"{tmp_path / 'index.html'}\n")
    (tmp_path / "index.html").write_text("mine", encoding="utf-8")
    done = CliRunner().invoke(cli, ["sheet", str(tmp_path)])
    assert (done.exit_code, "stays as it is" in done.output) == (2, True)
