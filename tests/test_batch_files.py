"""Batches from files to files, on real sockets: what is on disk afterwards, and each line."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import liangxin
from liangxin import Client, LedgerError, Outcome, RawInput
from liangxin.batch import BatchReport, Request, read
from liangxin.batch._run import file_name
from liangxin.emulator import Emulator, Fault
from liangxin.ledger import Change, Ledger, LedgerRow, LedgerState, Move, Plan, input_sha256

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


def test_the_manifest_says_what_each_file_holds_over_all_runs(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran(options_of, file_of(tmp_path, 2), out=out)
    with (out / "manifest.jsonl").open("ab") as file:
        file.write(b'{"key": "cut')
    ran(options_of, file_of(tmp_path, 3), out=out)
    lines = (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines.pop(2) == '{"key": "cut'
    for line in map(json.loads, lines):
        data = (out / line["file"]).read_bytes()
        assert (line["sha256"], line["size"]) == (hashlib.sha256(data).hexdigest(), len(data))
        assert (line["media_type"], line["host"]) == ("image/png", "127.0.0.1")
        assert (line["key"], line["task_id"]) in {
            (json.loads(task.param)["input"]["prompt"].replace(" ", "-") + "x", task.id)
            for task in server.tasks.values()
        }
        assert line["created_at"] <= line["completed_at"]
        assert "?" not in json.dumps(line)
    assert len(lines) == 3


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


def test_what_a_killed_download_has_left_is_removed_by_the_next_run(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / f".fog-0x.{'0' * 16}.part").write_bytes(b"\x89PNG")
    ran(options_of, file_of(tmp_path, 1), out=out)
    assert {path.name for path in out.iterdir()} == {
        *("errors.jsonl", "fog-0x.png", "ledger.db", "manifest.jsonl", "results.jsonl")
    }


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


# --- runs over what has ended ---------------------------------------------------------------------

BAD = '{"id": "x", "model": "z-image", "input": {"promt": "?"}}'


def test_a_bad_line_far_behind_what_has_ended_is_named_before_anything_more_is_created(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    ledger = tmp_path / "x.db"
    ran(options_of, file_of(tmp_path, 3), ledger=ledger)
    before = len(server.requests)
    with pytest.raises(liangxin.InputError, match=r"line 601.*promt"):
        ran(options_of, file_of(tmp_path, 600, BAD), ledger=ledger)
    assert len(server.requests) == before


def test_a_failed_request_is_not_renewed_for_a_file_with_a_bad_line(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    server.add_fault(Fault("create", "fail", fail_code="500", prompt="fog 1"))
    path = tmp_path / "x.db"
    ran(options_of, file_of(tmp_path, 3), ledger=path)
    with pytest.raises(liangxin.InputError, match=r"line 601.*promt"):
        ran(options_of, file_of(tmp_path, 600, BAD), ledger=path, retry_failed=True)
    with Ledger(path) as ledger:
        assert ledger.counts() == {LedgerState.SUCCEEDED: 2, LedgerState.FAILED: 1}
    assert len(server.charges) == 3


class CountingLedger(Ledger):
    """Counts what is asked of it."""

    _synchronous = "OFF"
    lookups = 0
    applied = 0

    def find(self, keys: Sequence[str], *, bare: bool = False) -> dict[str, LedgerRow]:
        self.lookups += 1
        return super().find(keys, bare=bare)

    def apply(self, changes: Sequence[Change]) -> list[LedgerRow | LedgerError]:
        self.applied += 1
        return super().apply(changes)


def ended(path: Path, ledger: Ledger) -> None:
    """Put on record that the tasks of all requests of a file have succeeded."""
    changes: list[Change] = []
    for line in lines_of(path):
        key, model, asked = line["id"], line["model"], line["input"]
        sha256 = input_sha256(model, asked)
        changes.append(Plan(key=key, ref=key, model=model, input=asked, sha256=sha256, at=1.0))
        changes += [
            Move(ref=key, to=to, at=1.0, task_id=f"task-{key}", urls=(f"https://x.example/{key}",))
            for to in (LedgerState.SENDING, LedgerState.ACCEPTED, LedgerState.SUCCEEDED)
        ]
    refused = [each for each in ledger.apply(changes) if isinstance(each, LedgerError)]
    assert refused == []


def rerun(ledger: Ledger, path: Path) -> tuple[list[Outcome], liangxin.InputError | None]:
    told: list[Outcome] = []
    with Client("sk-test", base_url="http://127.0.0.1:9") as client:
        try:
            with client.batch(path, ledger=ledger) as outcomes:
                told.extend(outcomes)
        except liangxin.InputError as error:
            return told, error
    return told, None


def test_what_has_ended_is_looked_up_by_the_hundred_and_told_in_the_order_of_the_file(
    tmp_path: Path,
) -> None:
    path = file_of(tmp_path, 1000)
    with CountingLedger(tmp_path / "x.db") as ledger:
        ended(path, ledger)
        ledger.applied = 0
        told, error = rerun(ledger, path)
        assert (ledger.lookups, ledger.applied) == (4, 0)
    assert error is None
    assert [outcome.key for outcome in told] == [f"fog-{n}x" for n in range(1000)]
    assert all(outcome.resumed and outcome.result().urls for outcome in told)


def test_what_has_ended_is_told_while_the_file_is_read_for_the_first_time(tmp_path: Path) -> None:
    """Checking all of it first would take as long as telling it."""
    with CountingLedger(tmp_path / "x.db") as ledger:
        ended(file_of(tmp_path, 600), ledger)
        told, error = rerun(ledger, file_of(tmp_path, 600, BAD))
    assert "line 601" in str(error)
    assert len(told) == 512


@pytest.mark.campaign
def test_a_longer_file_of_what_has_ended_takes_little_more_memory(tmp_path: Path) -> None:
    """Of a line the hashes of its key and input are kept; a request alone is ten times that."""
    peaks = [_peak_of_rerun(tmp_path, count) for count in (1000, 3000)]
    assert peaks[1] - peaks[0] < 400 * 2000


def _peak_of_rerun(folder: Path, count: int) -> int:
    path = file_of(folder, count)
    with CountingLedger(folder / f"{count}.db") as ledger:
        ended(path, ledger)
        with Client("sk-test", base_url="http://127.0.0.1:9") as client:
            tracemalloc.start()
            try:
                with client.batch(path, ledger=ledger) as outcomes:
                    assert sum(1 for outcome in outcomes if outcome.ok) == count
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
