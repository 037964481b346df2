"""
Whether the tests would notice: breaks one promise about money at a time, in a copy of the package.

    python tests/sabotage.py            # or some of them: python tests/sabotage.py lock retry-after

Each act of sabotage is a small change, as a hurried hand might make it, and names the quickest
tests that catch it.  Ends with 1 if one is not caught, or if the copy's tests fail before any is
done.  The tree itself is never touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from attrs import frozen

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60
"""Seconds after which tests that hang have noticed."""

Verdict: TypeAlias = Literal["passed", "failed", "hung"]


@frozen
class Cut:
    """A piece of text, found exactly once in a file, and what takes its place."""

    file: str
    old: str
    new: str


@frozen
class Sabotage:
    """One promise that is broken, and the tests that say so."""

    name: str
    harm: str
    cuts: Sequence[Cut]
    tests: str
    """A file of tests."""
    only: str
    """Which of them: pytest's `-k`."""


CALLBACKS = "liangxin/_callbacks.py"
CREATION = "liangxin/_creation.py"
CONNECTION = "liangxin/_connection.py"
CONTENTS = "liangxin/_contents.py"
RECORDING = "liangxin/_recording.py"
RUN = "liangxin/batch/_run.py"
SQLITE = "liangxin/ledger/_sqlite.py"
WIRE = "liangxin/_wire.py"
MACHINE = "tests/test_money_machine.py"

ACTS = [
    Sabotage(
        "no-sending",
        "`sending` is not committed before the first byte",
        [
            Cut(
                CREATION,
                "                await creation.entry.sending(None if ticket is None else "
                "ticket.digest)\n",
                "                pass\n",
            )
        ],
        "tests/test_creation.py",
        "what_cannot_be_recorded_is_not_sent",
    ),
    Sabotage(
        "late-sending",
        "`sending` is committed after the bytes have left",
        [
            Cut(
                CONNECTION,
                "        await evidence.leaving()\n        with suppress",
                "        with suppress",
            ),
            Cut(
                CONNECTION,
                "            await self._stream.send(data)\n",
                "            await self._stream.send(data)\n            await evidence.leaving()\n",
            ),
        ],
        "tests/test_creation.py",
        "what_cannot_be_recorded_is_not_sent",
    ),
    Sabotage(
        "shield",
        "a create runs in its caller's task, behind a shield",
        [
            Cut(
                CREATION,
                "        creation = self.start(input, callback_url, done, recorder=recorder, "
                "key=key)\n"
                "        try:\n",
                "        from types import SimpleNamespace\n"
                "        mine, owned = [], self._owned\n"
                "        self._owned = SimpleNamespace(start=mine.append)\n"
                "        try:\n"
                "            creation = self.start(\n"
                "                input, callback_url, done, recorder=recorder, key=key\n"
                "            )\n"
                "        finally:\n"
                "            self._owned = owned\n"
                "        try:\n"
                "            with anyio.CancelScope(shield=True):\n"
                "                try:\n"
                "                    await mine[0]()\n"
                "                finally:\n"
                "                    self._running.discard(creation)\n"
                "                    self._emptied.set()\n",
            )
        ],
        "tests/test_creation.py",
        "whoever_is_cancelled and asyncio",
    ),
    Sabotage(
        "normal",
        "a power cut may take back what was acknowledged: synchronous=NORMAL",
        [Cut(SQLITE, '    _synchronous = "FULL"\n', '    _synchronous = "NORMAL"\n')],
        "tests/test_ledger_file.py",
        "the_switches_are_as_a_power_cut_needs_them",
    ),
    Sabotage(
        "resend",
        "a run sends again what is in doubt",
        [
            Cut(
                RUN,
                "    async def _is_to_be_renewed(self, request: Request, row: LedgerRow) -> "
                "bool:\n",
                "    async def _is_to_be_renewed(self, request: Request, row: LedgerRow) -> "
                "bool:\n"
                "        if row.state is LedgerState.AMBIGUOUS:\n"
                "            renew = Renew(key=row.key, ref=secrets.token_hex(16), at=now())\n"
                "            await self._run.recorder.record(renew)\n"
                "            return True\n",
            )
        ],
        "tests/test_batch.py",
        "a_lost_answer_is_a_doubt_for_ever",
    ),
    Sabotage(
        "retry-doubts",
        "retry_failed sends again what is in doubt",
        [
            Cut(
                RUN,
                "        if row.state is LedgerState.FAILED:\n",
                "        if row.state in (LedgerState.FAILED, LedgerState.AMBIGUOUS):\n",
            ),
            Cut(
                RUN,
                "        return row.state in (LedgerState.FAILED, LedgerState.REFUSED)\n",
                "        return row.state not in (LedgerState.SUCCEEDED, LedgerState.DOWNLOADED)\n",
            ),
        ],
        MACHINE,
        "told and retry",
    ),
    Sabotage(
        "any-id",
        "whatever stands in the place of a task id is taken for one",
        [
            Cut(
                "liangxin/_wire.py",
                "    if _is_task_id(task_id):\n",
                "    if task_id is not None:\n        task_id = str(task_id)\n",
            )
        ],
        "tests/test_creation.py",
        "every_failure_has_its_name and 200",
    ),
    Sabotage(
        "late-accepted",
        "a task is returned before it is on record",
        [
            Cut(
                CREATION,
                "            await creation.entry.accepted(task, status)\n",
                "            entry = creation.entry\n"
                "            self._owned.start(lambda: entry.accepted(task, status))\n",
            )
        ],
        MACHINE,
        "told and one_create",
    ),
    Sabotage(
        "retry-lost",
        "a create whose answer was lost is sent again",
        [
            Cut(
                CREATION,
                "            except (NotSent, RateLimited, ServiceUnavailable) as exc:\n",
                "            except (TransportError, RateLimited, ServiceUnavailable) as exc:\n",
            )
        ],
        "tests/test_batch_more.py",
        "retries_left",
    ),
    Sabotage(
        "forget-sending",
        "what was being sent in a crash is taken for planned",
        [
            Cut(
                SQLITE,
                "                (LedgerState.AMBIGUOUS.value, _CRASHED, *sending),\n",
                "                (LedgerState.PLANNED.value, _CRASHED, *sending),\n",
            )
        ],
        MACHINE,
        "told and power_cut",
    ),
    Sabotage(
        "lock",
        "the lock file is not locked",
        [
            Cut(
                "liangxin/ledger/_lock.py",
                "            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
                "            pass\n",
            )
        ],
        "tests/test_ledger_file.py",
        "a_second_process_is_told or a_second_ledger_of_this_process",
    ),
    Sabotage(
        "retry-after",
        "Retry-After is ignored",
        [
            Cut(
                CREATION,
                '                asked = getattr(exc, "retry_after", None)\n',
                "                asked = None\n",
            )
        ],
        "tests/test_looking.py",
        "a_create_waits_as_long_as_it_was_told",
    ),
    Sabotage(
        "repeated",
        "a key that comes twice in a run is told twice",
        [Cut(RUN, "        if digest in self._seen:\n", "        if False:\n")],
        "tests/test_batch.py",
        "a_key_that_comes_again_is_paid_once",
    ),
    Sabotage(
        "same-time",
        "two who ask for one key at a time are not told apart",
        [
            Cut(CREATION, "        while name in self._keys:\n", "        while False:\n"),
            Cut(
                CREATION,
                "            self._keys.pop(name).set()\n",
                "            self._keys.pop(name, anyio.Event()).set()\n",
            ),
        ],
        "tests/test_batch.py",
        "the_same_key_at_the_same_time",
    ),
    Sabotage(
        "stale",
        "a create leaves on a connection that the service has closed",
        [
            Cut(
                "liangxin/_transport.py",
                "            if not connection.is_stale:\n                return connection\n",
                "            return connection\n",
            )
        ],
        "tests/test_connection.py",
        "a_connection_gone_stale",
    ),
    Sabotage(
        "truncated",
        "a download that was cut short is kept",
        [
            Cut(
                "liangxin/_download.py",
                "        except httpx.TransportError as exc:\n            raise MayPass(\n",
                "        except httpx.TransportError as exc:\n"
                "            if part.size:\n"
                "                return ending_of_head(part, shown)\n"
                "            raise MayPass(\n",
            )
        ],
        "tests/test_download.py",
        "does_not_end_properly",
    ),
    Sabotage(
        "unmarked",
        "a download that does not say where it ends is kept wherever it ended",
        [
            Cut(
                "liangxin/_files.py",
                "        whole = part.has_marked_end\n",
                "        whole = True\n",
            )
        ],
        "tests/test_download.py",
        "does_not_end_properly",
    ),
    Sabotage(
        "unchecked",
        "a request is created before the rest of its file is checked",
        [
            Cut(
                RUN,
                "            await self._run.check_file()\n            if not item.is_new:\n",
                "            if not item.is_new:\n",
            )
        ],
        "tests/test_batch_files.py",
        "far_behind",
    ),
    Sabotage(
        "renewed-unchecked",
        "a failed request is planned again for a file that is then refused",
        [
            Cut(
                RUN,
                "        await self._run.check_file()\n        if row.state is",
                "        if row.state is",
            )
        ],
        "tests/test_batch_files.py",
        "is_not_renewed",
    ),
    Sabotage(
        "part-in-use",
        "a run removes what another one is downloading",
        [
            Cut(
                "liangxin/_files.py",
                "            if try_lock(file.fileno()):\n",
                "            if 1:\n",
            )
        ],
        "tests/test_download.py",
        "abandoned",
    ),
    Sabotage(
        "conflict",
        "a key may stand for two inputs",
        [
            Cut(
                "liangxin/ledger/_moves.py",
                "    if plan.sha256 == row.sha256:\n        return\n",
                "    return\n",
            )
        ],
        MACHINE,
        "told and another_input",
    ),
    Sabotage(
        "refused-500",
        "500 counts as a refusal, which is not paid",
        [
            Cut(
                "liangxin/_wire.py",
                "_REFUSALS = frozenset({400, ",
                "_REFUSALS = frozenset({500, 400, ",
            )
        ],
        MACHINE,
        "told and doubts",
    ),
    Sabotage(
        "not-owed",
        "an acceptance that found no room on the disk is not written later",
        [
            Cut(
                RECORDING,
                "            self._owed = [slip for slip in slips if slip.is_fact]\n",
                "            self._owed = []\n",
            )
        ],
        MACHINE,
        "told and full_disk",
    ),
    Sabotage(
        "cancelled-block",
        "who cancels the client's block cancels the writing of what it has bought",
        [
            Cut(
                RECORDING,
                "CancelScope(shield=True):\n                while self._waiting:\n",
                "CancelScope():\n                while self._waiting:\n",
            )
        ],
        MACHINE,
        "told and block",
    ),
    Sabotage(
        "cancelled-doubt",
        "who cancels the client's block is not told of what is in doubt",
        [
            Cut(
                CREATION,
                "CancelScope(shield=True):\n                    result = await self._settled(",
                "CancelScope():\n                    result = await self._settled(",
            )
        ],
        "tests/test_batch_more.py",
        "a_block_that_is_cancelled",
    ),
    Sabotage(
        "any-name",
        "whatever task a callback names is taken for the one whose answer was lost",
        [
            Cut(
                CALLBACKS,
                "return task if self._is_ours(ticket, task) else None",
                "return task",
            )
        ],
        "tests/test_callbacks.py",
        "another_token",
    ),
    Sabotage(
        "early-name",
        "a task that a callback names before the create is in doubt is forgotten",
        [Cut(CALLBACKS, "        self._ask(ticket)  # a callback may", "        # a callback may")],
        "tests/test_callbacks.py",
        "came_early",
    ),
    Sabotage(
        "eager-names",
        "whoever has a token has the service asked as quickly as it answers",
        [Cut(CALLBACKS, "await anyio.sleep(NAME_PAUSE)", "await anyio.sleep(0)")],
        "tests/test_callbacks.py",
        "wrong_names",
    ),
    Sabotage(
        "token-unwritten",
        "the token of a create is not on record before its first byte",
        [
            Cut(
                CREATION,
                "sending(None if ticket is None else ticket.digest)",
                "sending()",
            )
        ],
        "tests/test_callbacks.py",
        "earlier_process or restart",
    ),
    Sabotage(
        "hasty-close",
        "closing the client does not wait for the answers to what has left",
        [
            Cut(
                CREATION,
                "            if not creation.in_doubt:\n"
                "                creation.scope.cancel()\n"
                "        while",
                "            creation.scope.cancel()\n        while",
            )
        ],
        MACHINE,
        "told and closed",
    ),
    Sabotage(
        "401",
        "a batch goes on creating after its key was refused",
        [
            Cut(
                RUN,
                "        if isinstance(result, (Unauthorized, Forbidden)):\n",
                "        if isinstance(result, Forbidden):\n",
            )
        ],
        "tests/test_batch.py",
        "a_refused_key_stops_the_creating",
    ),
    Sabotage(
        "max-ambiguous",
        "a batch goes on creating, however many doubts there are",
        [
            Cut(
                RUN,
                "        if self.report.ambiguous > self.rules.max_ambiguous:\n",
                "        if False:\n            limit = 0\n        if False:\n",
            )
        ],
        "tests/test_batch.py",
        "too_many_doubts_stop",
    ),
    Sabotage(
        "picture-identity",
        "the ledger does not tell one picture from another",
        [Cut(WIRE, "        names = iter(content.identity for ", "        names = iter('x' for ")],
        "tests/test_media.py",
        "same_picture_from_elsewhere",
    ),
    Sabotage(
        "changed-picture",
        "a file that changes while it is uploaded passes for the one that was read",
        [
            Cut(
                CONTENTS,
                "                if _mark(os.fstat(file.fileno())) != content.mark:\n",
                "                if False:\n",
            )
        ],
        "tests/test_media.py",
        "changes_while_it_is_uploaded",
    ),
    Sabotage(
        "early-upload",
        "what the ledger knows already is uploaded once more",
        [
            Cut(
                CREATION,
                "        planned = await entry.plan(creation.request)\n",
                "        if creation.request.media:\n"
                "            async with self._media().filled(creation.input, creation.request):\n"
                "                pass\n"
                "        planned = await entry.plan(creation.request)\n",
            )
        ],
        "tests/test_media.py",
        "waited_for_without_an_upload",
    ),
    Sabotage(
        "early-hook",
        "a hook, which may crash, runs before the answer to a create is on record",
        [
            Cut(
                CREATION,
                "        if creation.entry is not None:\n"
                "            await creation.entry.accepted(task, status)\n",
                "        if self._observer is not None:\n"
                "            self._observer.create_ended(creation, task)\n"
                "        if creation.entry is not None:\n"
                "            await creation.entry.accepted(task, status)\n",
            )
        ],
        "tests/test_hooks.py",
        "no_hook_runs_before",
    ),
]


# --- the copy ----------------------------------------------------------------------------------


def copied(folder: Path) -> Path:
    """A copy of what the tests need, which is imported instead of whatever is installed."""
    leave_out = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for name in ("liangxin", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave_out)
    shutil.copy(ROOT / "pyproject.toml", folder)
    where = "import liangxin, tests; print(liangxin.__file__, tests.__file__)"
    found = _python(folder, "-c", where).stdout.split()
    if [Path(each).parent.parent for each in found] != [folder, folder]:
        raise SystemExit(f"the copy in {folder} is not what is imported, but {found}")
    return folder


def _python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # No bytecode: two versions of a file may be of one size and one second.
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def verdict(folder: Path, tests: str, only: str) -> tuple[Verdict, str]:
    """What the tests say of the copy as it is, and their last words."""
    options = ("-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=short", "-rf")
    try:
        run = _python(folder, "-m", "pytest", *options, tests, "-k", only)
    except subprocess.TimeoutExpired:
        return "hung", f"no end within {PATIENCE} s"
    if run.returncode not in (0, 1):  # no such test, or a sabotage that is no Python
        raise SystemExit(f"{tests} -k {only!r} could not be run:\n{run.stdout[-3000:]}")
    words = run.stdout.strip().splitlines()
    failed = [line for line in words if line.startswith("FAILED")]
    return ("failed" if run.returncode else "passed"), (failed or words)[-1]


def commit(act: Sabotage, folder: Path) -> dict[Path, str]:
    """Make the cuts of an act; return the files as they were."""
    before: dict[Path, str] = {}
    for cut in act.cuts:
        file = folder / cut.file
        text = file.read_text(encoding="utf-8")
        before.setdefault(file, text)
        if text.count(cut.old) != 1:
            undo(before)
            raise SystemExit(
                f"{act.name}: found {text.count(cut.old)} times instead of once in {cut.file}:\n"
                f"{cut.old}"
            )
        text = text.replace(cut.old, cut.new)
        compile(text, cut.file, "exec")
        file.write_text(text, encoding="utf-8")
    return before


def undo(before: dict[Path, str]) -> None:
    """Put back the files as they were."""
    for file, text in before.items():
        file.write_text(text, encoding="utf-8")


def _check_the_tests(folder: Path, acts: Sequence[Sabotage]) -> bool:
    """Whether the named tests pass as long as nothing is broken; one run for each file."""
    all_pass = True
    for tests in dict.fromkeys(act.tests for act in acts):
        only = " or ".join(f"({act.only})" for act in acts if act.tests == tests)
        said, words = verdict(folder, tests, only)
        if said != "passed":
            all_pass = False
            _say(f"{said} with nothing broken: {tests}: {words}")
    return all_pass


def _is_caught(folder: Path, act: Sabotage) -> bool:
    began = time.monotonic()
    before = commit(act, folder)
    try:
        said, words = verdict(folder, act.tests, act.only)
    finally:
        undo(before)
    caught = "NOT CAUGHT" if said == "passed" else "caught"
    _say(f"{caught:10} {act.name:16} {time.monotonic() - began:5.1f} s  {act.harm}")
    _say(f"{'':10} {words}")
    return said != "passed"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # this is a program


def main(names: Sequence[str]) -> int:
    """Commit the acts of these names, or all of them."""
    unknown = set(names) - {act.name for act in ACTS}
    if unknown:
        raise SystemExit(f"there is no {', '.join(sorted(unknown))}")
    acts = [act for act in ACTS if not names or act.name in names]
    with tempfile.TemporaryDirectory() as temporary:
        folder = copied(Path(temporary).resolve())
        if not _check_the_tests(folder, acts):
            return 1
        caught = [_is_caught(folder, act) for act in acts]
    _say(f"{sum(caught)} of {len(caught)} caught")
    return 0 if all(caught) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
