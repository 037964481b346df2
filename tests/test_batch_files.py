"""Batches from files to files, on real sockets: what is on disk afterwards, and each line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import liangxin
from liangxin import Client, RawInput
from liangxin.batch import BatchReport, Request, read
from liangxin.batch._run import file_name
from liangxin.emulator import Emulator, Fault
from liangxin.ledger import Ledger, LedgerState

Options = dict[str, Any]


def file_of(folder: Path, count: int, *more: str) -> Path:
    path = folder / "posters.jsonl"
    lines = [
        json.dumps({"id": f"fog-{n}x", "model": "z-image", "input": {"prompt": f"fog {n}"}})
        for n in range(count)
    ]
    path.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ran(options: Options, *args: Any, **asked: Any) -> BatchReport:
    report = BatchReport()
    with Client(**options) as client, client.batch(*args, report=report, **asked) as outcomes:
        for _ in outcomes:
            pass
    return report


def test_results_lie_beside_a_line_for_each_and_a_second_run_sends_nothing(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    path, out = file_of(tmp_path, 5), tmp_path / "out"
    report = ran(options_of, path, out=out)
    assert (report.total, report.created, report.downloaded, report.ok) == (5, 5, 5, True)
    found = lines_of(out / "results.jsonl")
    assert {line["id"] for line in found} == {f"fog-{n}x" for n in range(5)}
    for line in found:
        (name,) = line["files"]
        assert (out / name).read_bytes().startswith(b"\x89PNG")
        assert name == f"{line['id']}.png"
    assert lines_of(out / "errors.jsonl") == []
    before = len(server.requests)

    again = ran(options_of, path, out=out)
    assert len(server.requests) == before
    assert (again.resumed, again.succeeded, again.ok) == (5, 5, True)
    assert sorted(lines_of(out / "results.jsonl"), key=str) == sorted(found, key=str)


def test_a_file_that_is_gone_is_fetched_again_and_not_created_again(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    path, out = file_of(tmp_path, 3), tmp_path / "out"
    ran(options_of, path, out=out)
    (out / "fog-1x.png").unlink()
    report = ran(options_of, path, out=out)
    assert (report.downloaded, report.created) == (3, 0)
    assert (out / "fog-1x.png").exists()
    assert len(server.charges) == 3


def test_a_bad_line_is_named_before_anything_is_created(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    path = file_of(tmp_path, 3, '{"id": "x", "model": "z-image", "input": {"promt": "?"}}')
    with pytest.raises(liangxin.InputError, match=r"posters\.jsonl line 4.*promt"):
        ran(options_of, path, out=tmp_path / "out")
    assert server.requests == ()
    report = ran(options_of, path, out=tmp_path / "out", skip_bad_lines=True)
    assert (report.succeeded, report.bad_lines) == (3, 1)


def test_an_error_has_a_line_that_says_what_it_costs_and_what_to_do(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    server.add_fault(Fault("create", status=422, message="no faces", prompt="fog 1"))
    server.add_fault(Fault("create", "fail", fail_code="500", prompt="fog 2"))
    server.add_fault(Fault("create", "withhold", prompt="fog 3"))
    out = tmp_path / "out"
    report = ran(options_of, file_of(tmp_path, 4), out=out)
    errors = {line["id"]: line for line in lines_of(out / "errors.jsonl")}
    assert {key: (line["error"], line["money"]) for key, line in errors.items()} == {
        "fog-1x": ("InvalidInput", "refused"),
        "fog-2x": ("TaskFailed", "paid"),
        "fog-3x": ("AmbiguousCreate", "maybe paid"),
    }
    assert "no faces" in errors["fog-1x"]["message"]
    assert all(line["what_now"] for line in errors.values())
    assert (report.succeeded, report.refused, report.failed, report.ambiguous) == (1, 1, 1, 1)
    with Ledger(out / "ledger.db") as ledger:
        assert ledger.counts()[LedgerState.AMBIGUOUS] == 1
    assert len(server.charges) == 3


def test_options_of_reading_go_with_the_file(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    path = tmp_path / "films.csv"
    path.write_text("id,title\na,Alien\nb,Brazil\n", encoding="utf-8")
    requests = read(path, model="z-image", defaults={"prompt": "a poster of {title}"})
    report = ran(options_of, requests, out=tmp_path / "out")
    assert (report.total, report.succeeded) == (2, 2)

    path.write_text("id,title\nc,Casablanca\nd,\n", encoding="utf-8")
    bad = read(path, model="z-image", defaults={"prompt": "{title} {year}"})
    with pytest.raises(liangxin.InputError, match="year"):
        ran(options_of, bad, out=tmp_path / "out")
    assert len(server.charges) == 2


def test_a_generator_of_a_blocking_caller_is_drawn_in_its_own_thread(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    with Client(**options_of) as client:

        def improving() -> Any:
            first = client.run(RawInput("z-image", {"prompt": "a first try"}))
            yield "second", RawInput("z-image", {"prompt": f"better than {first.id}"})
            yield Request(key="third", input=RawInput("z-image", {"prompt": "a third"}))

        with client.batch(improving(), ledger=tmp_path / "x.db") as outcomes:
            assert sorted(outcome.key or "" for outcome in outcomes) == ["second", "third"]
    assert len(server.charges) == 3


def test_no_two_keys_share_a_file() -> None:
    keys = ["a", "A", "a-1", "a-2", "a b", "a/b", "ä", "a" * 200, "a" * 199 + "b", "..", "a.png"]
    names = [file_name(key) for key in keys]
    assert names[0] == "a"
    assert len({name.lower() for name in names}) == len(keys)
    assert not any(name[-1].isdigit() and "-" in name for name in names)
