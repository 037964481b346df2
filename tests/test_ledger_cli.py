"""`liangxin ledger`, run as people run it."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from liangxin.cli._app import cli
from liangxin.cli.ledger import _STATES
from liangxin.ledger import Change, Ledger, LedgerState, Move, Plan, Renew, input_sha256
from tests.test_cli import liangxin_program, without

S = LedgerState


def run(*args: object) -> Result:
    # click before 8.2 has to be told to keep the two streams apart, and later ones cannot be.
    knows = "mix_stderr" in inspect.signature(CliRunner).parameters
    options: dict[str, Any] = {"mix_stderr": False} if knows else {}
    return CliRunner(**options).invoke(cli, ["ledger", *map(str, args)], env={"COLUMNS": "200"})


def plan(key: str, prompt: str = "雨 in fog") -> Plan:
    asked = {"prompt": prompt}
    sha256 = input_sha256("z-image", asked)
    return Plan(key=key, ref=key, model="z-image", input=asked, sha256=sha256, at=1777600000.5)


def doubt(key: str, reason: str = "HTTP 502") -> list[Change]:
    sending = Move(ref=key, to=S.SENDING, at=1777600001.0)
    answer = Move(ref=key, to=S.AMBIGUOUS, at=2.0, reason=reason, raw=b"<\xff>", http_status=502)
    return [plan(key), sending, answer]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A ledger with something of everything."""
    path = tmp_path / "posters.db"
    with Ledger(path) as ledger:
        ledger.apply([plan("a"), *doubt("b"), *doubt("c"), *doubt("d")])
        ledger.apply([Move(ref="c", to=S.ACCEPTED, at=3.0, task_id="t1")])
        ledger.apply([Move(ref="c", to=S.SUCCEEDED, at=4.0, urls=("https://x/1.png",))])
        ledger.apply([Renew(key="d", ref="d again", at=5.0, reason="on purpose")])
    return path


def states(file: Path) -> dict[str, str]:
    with Ledger(file) as ledger:
        return {row.key: row.state.value for row in ledger.rows()}


# --- status ------------------------------------------------------------------------------------


def test_the_status_is_counted_by_state_and_by_money(file: Path) -> None:
    done = run("status", file)
    assert done.exit_code == 0
    lines = [line.strip("│┃ ").split() for line in done.stdout.splitlines()]
    cells = [[word for word in line if word != "│"] for line in lines]
    for row in (
        ["planned", "nothing", "2"],
        ["ambiguous", "maybe", "paid", "1"],
        ["succeeded", "paid", "1"],
        ["resent", "maybe", "paid", "1"],
        ["all", "nothing", "2"],
        ["all", "paid", "1"],
        ["all", "refused", "0"],
        ["all", "maybe", "paid", "2"],
    ):
        assert row in cells
    assert "attach, resend or abandon" in done.stderr


def test_the_status_for_programs_names_every_state(file: Path) -> None:
    done = run("status", file, "--format", "json")
    told = json.loads(done.stdout)
    assert list(told["states"]) == [state.value for state in S]
    assert told["states"]["planned"] == 2
    assert told["money"] == {"nothing": 2, "paid": 1, "refused": 0, "maybe paid": 2}
    assert done.stderr == ""


def test_every_state_can_be_named() -> None:
    assert list(_STATES) == [state.value for state in S]


# --- rows --------------------------------------------------------------------------------------


def test_a_key_is_shown_with_its_history(file: Path) -> None:
    done = run("show", file, "d")
    assert done.exit_code == 0
    past, present = done.stdout.split("\n\n")
    assert "state        resent" in past
    assert "current      false" in past
    assert "reason       HTTP 502; on purpose" in past
    assert "state        planned" in present
    assert "current" not in present
    assert 'input        {"prompt": "雨 in fog"}' in present
    assert "planned_at   1970-01-01T00:00:05+00:00" in present


def test_a_key_is_shown_to_programs(file: Path) -> None:
    (row,) = json.loads(run("show", file, "c", "--format", "json").stdout)
    assert row["task_id"] == "t1"
    assert row["raw"] == "<\\xff>"
    assert row["urls"] == ["https://x/1.png"]
    assert row["planned_at"] == 1777600000.5


def test_rows_are_exported_as_json_lines(file: Path) -> None:
    done = run("export", file)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["key"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[0]["input"] == {"prompt": "雨 in fog"}
    assert rows[1]["money"] == "maybe paid"
    assert (
        run("export", file, "--state", "ambiguous", "--state", "succeeded").stdout.count("\n") == 2
    )
    assert run("export", file, "--history").stdout.count("\n") == 5
    assert run("export", file, "--state", "resent").stdout == ""


def test_rows_are_exported_as_a_table(file: Path) -> None:
    done = run("export", file, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["key"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[0]["planned_at"] == "2026-05-01T01:46:40+00:00"
    assert rows[0]["input"] == '{"prompt": "雨 in fog"}'
    assert json.loads(rows[2]["urls"]) == ["https://x/1.png"]
    assert rows[0]["task_id"] == ""


HOSTILE = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_is_a_formula(tmp_path: Path, text: str) -> None:
    path = tmp_path / "posters.db"
    with Ledger(path) as ledger:
        ledger.apply([plan(text, prompt=text)])
        ledger.apply(doubt("b", reason=text)[:2])
        ledger.apply([Move(ref="b", to=S.REFUSED, at=2.0, reason=text)])
    done = run("export", path, "--format", "csv")
    for row in csv.DictReader(io.StringIO(done.stdout)):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())


def test_what_a_service_wrote_cannot_drive_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "posters.db"
    with Ledger(path) as ledger:
        ledger.apply(doubt("b\x1b[2J", reason="\x1b[2J\x9b31m\u202etxt [red]x[/red]")[:1])
        ledger.apply(doubt("c", reason="\x1b[2J\x9b31m\u202etxt [red]x[/red]"))
    for args in (("show", path, "c"), ("export", path), ("export", path, "--format", "csv")):
        done = run(*args)
        assert done.exit_code == 0
        assert done.stdout.replace("\n", "").replace("\r", "").isprintable()
        assert "[red]x[/red]" in done.stdout
    done = run("abandon", path, "b\x1b[2J", "c")
    assert done.output.replace("\n", "").isprintable()


# --- the user's word ---------------------------------------------------------------------------


def test_a_task_is_attached(file: Path) -> None:
    done = run("attach", file, "b", "t2")
    assert (done.exit_code, done.stdout) == (0, "b: accepted, task t2\n")
    assert states(file)["b"] == "accepted"


def test_nothing_is_sent_again_without_the_words(file: Path) -> None:
    done = run("resend", file, "b")
    assert done.exit_code == 2
    assert "--accept-double-payment" in done.stderr
    assert states(file)["b"] == "ambiguous"
    done = run("resend", file, "b", "--accept-double-payment")
    assert (done.exit_code, done.stdout) == (0, "b: planned\n")
    assert states(file)["b"] == "planned"


def test_a_key_that_is_refused_does_not_stop_the_others(file: Path) -> None:
    done = run("abandon", file, "a", "nobody", "b")
    assert done.exit_code == 1
    assert done.stdout == "b: abandoned\n"
    assert "'a' is planned" in done.stderr
    assert "no key 'nobody'" in done.stderr
    assert states(file) == {"a": "planned", "b": "abandoned", "c": "succeeded", "d": "planned"}


# --- damage ------------------------------------------------------------------------------------


def test_recovering_says_what_is_kept_and_what_is_lost(file: Path) -> None:
    new = file.with_name("new.db")
    done = run("recover", file, "--to", new)
    assert (done.exit_code, done.stdout) == (0, f"{new}: 5 rows were kept.\n")
    assert done.stderr == ""
    import sqlite3

    db = sqlite3.connect(file)
    db.execute("UPDATE rows SET state = 'elated' WHERE key = 'b'")
    db.commit()
    db.close()
    done = run("recover", file, "--to", file.with_name("newer.db"))
    assert "4 rows were kept" in done.stdout
    assert "1 rows were lost" in done.stderr
    assert done.stderr.endswith("known:\nb\n")


# --- errors ------------------------------------------------------------------------------------

EVERY = [
    ("status", "{file}"),
    ("show", "{file}", "a"),
    ("export", "{file}"),
    ("recover", "{file}", "--to", "{file}.new"),
    ("attach", "{file}", "b", "t"),
    ("resend", "{file}", "b", "--accept-double-payment"),
    ("abandon", "{file}", "b"),
]


@pytest.mark.parametrize("args", EVERY, ids=lambda args: args[0])
def test_a_ledger_in_use_is_one_sentence_with_the_process(
    file: Path, args: tuple[str, ...]
) -> None:
    with Ledger(file):
        done = run(*(arg.format(file=file) for arg in args))
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1
    assert "is in use by this very process" in done.stderr


def test_a_ledger_in_use_by_another_process_names_it(file: Path) -> None:
    with Ledger(file):
        done = liangxin_program("ledger", "status", str(file))
    assert done.returncode == 1
    assert f"in use by process {os.getpid()} on " in done.stderr


@pytest.mark.parametrize("args", EVERY, ids=lambda args: args[0])
def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path, args: tuple[str, ...]) -> None:
    done = run(*(arg.format(file=tmp_path / "posters.db") for arg in args))
    assert done.exit_code == 2
    assert "does not exist" in done.stderr
    assert os.listdir(tmp_path) == []


def test_an_unknown_key_is_an_error(file: Path) -> None:
    done = run("show", file, "nobody")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no key 'nobody'" in done.stderr


def test_a_damaged_ledger_names_the_way_out(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])
    done = run("status", file)
    assert done.exit_code == 1
    assert "liangxin ledger recover" in done.stderr


def test_rows_need_no_extra_package_but_click(file: Path) -> None:
    done = liangxin_program(
        "ledger", "export", str(file), setup=without("rich", "httpx", "anyio", "cattrs")
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 4
    done = liangxin_program("ledger", "status", str(file), setup=without("rich"))
    assert (done.returncode, done.stdout) == (1, "")
    assert 'pip install "liangxin[cli]"' in done.stderr


def test_a_reader_who_stops_early_is_no_error(file: Path) -> None:
    import subprocess
    import sys

    with Ledger(file) as ledger:
        ledger.apply([plan(f"key {n}") for n in range(5000)])
    script = "from liangxin.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "ledger", "export", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(30)
    assert sorted(os.listdir(file.parent)) == [file.name]
