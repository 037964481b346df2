"""
Power cuts: what a program's system calls may leave on the disk, if they stop at any moment.

`record` runs this module as a program under strace: it makes changes to a ledger, and says after
each that it was acknowledged.  `Disk` replays the calls: what was synced is there for good; of what
was not, each sector of 512 bytes, each truncation, and each name that appeared or went may have
reached the disk or not.  That is more than a real file system would do, in every order.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define, field, frozen

from liangxin.ledger import Change, Ledger, LedgerState, Move, Plan, input_sha256

SECTOR = 512
NAME = "posters.db"

CALLS = (
    "openat,creat,pwrite64,pwritev,write,writev,ftruncate,truncate,fallocate,fsync,fdatasync,"
    "sync_file_range,unlink,unlinkat,rename,renameat,renameat2,link,linkat"
)


# --- the program that is recorded ----------------------------------------------------------------


def changes() -> list[list[Change]]:
    """About forty groups of changes; some span several pages."""
    groups: list[list[Change]] = []
    for n in range(9):
        ref = f"ref {n}"
        asked = {"prompt": "a lighthouse in fog " * (500 if n % 4 == 1 else 10), "seed": n}
        plan = Plan(
            key=f"key {n}",
            ref=ref,
            model="z-image",
            input=asked,
            sha256=input_sha256("z-image", asked),
            at=1.0,
        )
        answer = Move(
            ref=ref, to=LedgerState.ACCEPTED, at=3.0, task_id=f"task {n}", http_status=200
        )
        doubt = Move(
            ref=ref, to=LedgerState.AMBIGUOUS, at=3.0, raw=b"<html>" * 100, reason="HTTP 502"
        )
        groups += [
            [plan],
            [Move(ref=ref, to=LedgerState.SENDING, at=2.0)],
            [doubt if n == 5 else answer],
        ]
        if n != 5:
            groups.append(
                [Move(ref=ref, to=LedgerState.SUCCEEDED, at=4.0, urls=("https://x/1.png",))]
            )
    groups.append([Move(ref=f"ref {n}", to=LedgerState.DOWNLOADED, at=5.0) for n in range(3)])
    groups.append([Move(ref=f"ref {n}", to=LedgerState.DOWNLOADED, at=5.0) for n in (3, 4, 6)])
    return groups


def expected(done: int) -> dict[str, LedgerState]:
    """The states by ref after so many groups, when the ledger is opened again."""
    states: dict[str, LedgerState] = {}
    for change in (change for group in changes()[:done] for change in group):
        assert isinstance(change, (Plan, Move))
        states[change.ref] = LedgerState.PLANNED if isinstance(change, Plan) else change.to
    doubt = {LedgerState.SENDING: LedgerState.AMBIGUOUS}
    return {ref: doubt.get(state, state) for ref, state in states.items()}


class Careless(Ledger):
    """A ledger that acknowledges what is not on the disk: the checks have to find it out."""

    _synchronous = "NORMAL"


def run(folder: str, how: str) -> None:
    """Make the changes in two sessions, the first closed well, with a log that is soon folded."""
    said = os.open(f"{folder}.said", os.O_WRONLY | os.O_CREAT)
    groups = changes()
    for some in (groups[:20], groups[20:]):
        ledger = (Careless if how == "careless" else Ledger)(os.path.join(folder, NAME))
        with ledger._using() as db:
            db.execute("PRAGMA wal_autocheckpoint = 12")
        for group in some:
            ledger.apply(group)
            os.write(said, b"acknowledged\n")
        if some is not groups[20:]:
            ledger.close()
    os._exit(0)


# --- its system calls ----------------------------------------------------------------------------


@frozen
class Call:
    """One system call that changes what is on the disk, or an acknowledgement (`said`)."""

    verb: str
    name: str = ""
    at: int = 0
    data: bytes = b""


def record(folder: Path, how: str = "careful") -> list[Call]:
    """Run the program, and return what it asked of the disk; skip where nobody may watch."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    folder.mkdir()
    trace = folder.with_suffix(".trace")
    watch = ["strace", "-f", "-y", "-xx", "-X", "raw", "-s", "1000000", "-o", str(trace)]
    if subprocess.run([*watch, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not watch processes here (ptrace is not permitted)")
    program = [sys.executable, "-m", "tests.powercut", str(folder), how]
    home = Path(__file__).parents[1]
    subprocess.run([*watch, "-e", f"trace={CALLS}", *program], cwd=home, check=True)
    return list(_calls(trace.read_text(), folder))


_LINE = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)", re.MULTILINE)
_TEXT = re.compile(r'[<"]((?:\\x[0-9a-f]{2})*)[>"]')


def _calls(trace: str, folder: Path) -> Iterator[Call]:
    for verb, arguments, answer in _LINE.findall(trace):
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(arguments)]
        path = next((p for p in map(os.fsdecode, texts) if p.startswith(str(folder))), None)
        if path is None or int(answer) < 0 or path.endswith(".lock"):
            continue
        numbers = [int(each, 0) for each in re.findall(r", (0x[0-9a-f]+|[1-9]\d*|0)\b", arguments)]
        yield from _call(verb, path.removeprefix(str(folder)), texts[-1], numbers, int(answer))


def _call(verb: str, name: str, data: bytes, numbers: list[int], answer: int) -> Iterator[Call]:
    name = name.removesuffix(" (deleted)")
    match verb:
        case "openat":
            assert not numbers[0] & os.O_TRUNC
            if numbers[0] & os.O_CREAT and name != ".said":
                yield Call("create", name)
        case "write" if name == ".said":
            yield Call("said")
        case "pwrite64":
            yield Call("write", name, at=numbers[1], data=data[:answer])
        case "ftruncate":
            yield Call("truncate", name, at=numbers[0])
        case "fsync" | "fdatasync":
            yield Call("sync", name)
        case "unlink":
            yield Call("unlink", name)
        case _:
            raise AssertionError(f"{verb} of {name}: how that ends is not modelled")


# --- what they leave -----------------------------------------------------------------------------

Chance = Callable[[], bool]


@define
class _File:
    durable: bytes = b""
    pending: list[Call] = field(factory=list)

    def sync(self) -> None:
        self.durable, self.pending = self.after(lambda: True), []

    def after(self, reached: Chance) -> bytes:
        content = bytearray(self.durable)
        for call in self.pending:
            if call.verb == "write":
                _write_sectors(content, call, reached)
            elif reached():
                del content[call.at :]
                content.extend(bytes(call.at - len(content)))
        return bytes(content)


def _write_sectors(content: bytearray, call: Call, reached: Chance) -> None:
    start, end = call.at, call.at + len(call.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        if reached():
            content.extend(bytes(max(0, stop - len(content))))
            content[start:stop] = call.data[start - call.at : stop - call.at]
        start = stop


@define
class Disk:
    """Files in one folder: what is there for good, and what may be."""

    now: dict[str, _File] = field(factory=dict)
    names: dict[str, _File] = field(factory=dict)
    pending: list[tuple[str, _File | None]] = field(factory=list)
    acknowledged: int = 0

    def do(self, call: Call) -> None:
        """Take a call in."""
        match call.verb:
            case "said":
                self.acknowledged += 1
            case "create" if call.name not in self.now:
                self.now[call.name] = _File()
                self.pending.append((call.name, self.now[call.name]))
            case "unlink":
                del self.now[call.name]
                self.pending.append((call.name, None))
            case "write" | "truncate":
                self.now[call.name].pending.append(call)
            case "sync" if call.name:
                self.now[call.name].sync()
            case "sync":  # the folder
                self.names, self.pending = self._names(lambda: True), []

    def _names(self, reached: Chance) -> dict[str, _File]:
        names = dict(self.names)
        for name, file in self.pending:
            if reached():
                names.pop(name, None)
                if file is not None:
                    names[name] = file
        return names

    def after_power_cut(self, reached: Chance) -> dict[str, bytes]:
        """One of the folders that may be found afterwards, by name."""
        return {name: file.after(reached) for name, file in self._names(reached).items()}


if __name__ == "__main__":
    run(*sys.argv[1:])
