"""No acknowledged change is missing after a power cut, at whatever moment it comes."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from liangxin._errors import LedgerError
from liangxin.ledger import Ledger
from tests.powercut import NAME, Call, Chance, Disk, changes, expected, record

pytestmark = pytest.mark.campaign

TORN = (0.2, 0.7)
"""With which probability a sector reaches the disk, in folders that are torn at random."""


class Reader(Ledger):
    """Nothing that it writes has to last."""

    _synchronous = "OFF"


def folders(calls: list[Call], seed: int = 1) -> Iterator[tuple[int, dict[str, bytes]]]:
    """What may be found after a power cut behind each call, and how much was acknowledged."""
    chance = random.Random(seed)
    ways: list[Chance] = [lambda: False, lambda: True]
    ways += [lambda odds=odds: chance.random() < odds for odds in TORN]  # type: ignore[misc]  # bound now
    seen = set()
    disk = Disk()
    for call in calls:
        disk.do(call)
        for reached in ways:
            found = disk.after_power_cut(reached)
            known = hash((disk.acknowledged, *sorted(found.items())))
            if known not in seen:
                seen.add(known)
                yield disk.acknowledged, found


def losses(calls: list[Call], folder: Path) -> Iterator[str]:
    """Each way in which a power cut loses something."""
    folder.mkdir()
    for acknowledged, found in folders(calls):
        for old in folder.iterdir():
            old.unlink()
        for name, content in found.items():
            folder.joinpath(name.lstrip("/")).write_bytes(content)
        try:
            with Reader(folder / NAME) as ledger:
                rows = {row.ref: row.state for row in ledger.rows(history=True)}
        except LedgerError as error:
            yield f"after {acknowledged}: {error}"
            continue
        # The change in flight may be there or not, but nothing in between.
        if rows not in (expected(acknowledged), expected(acknowledged + 1)):
            yield f"after {acknowledged}: {rows}"


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """What a ledger asked of the disk."""
    return record(tmp_path_factory.mktemp("recorded") / "disk")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where files are quick to make, if there is such a place."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path / "after"
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name, "after")


def test_a_power_cut_loses_nothing_that_was_acknowledged(calls: list[Call], folder: Path) -> None:
    assert [call.verb for call in calls].count("said") == len(changes())
    assert sum(call.verb == "sync" and call.name == f"/{NAME}" for call in calls) > 10  # was folded
    assert not list(losses(calls, folder))


def test_the_same_check_finds_out_a_ledger_that_acknowledges_too_early(
    tmp_path: Path, folder: Path
) -> None:
    calls = record(tmp_path / "disk", "careless")
    assert next(losses(calls, folder), None) is not None


@pytest.mark.parametrize("forgotten", ["the log", "the file", "the folder"])
def test_the_same_check_finds_out_a_sync_that_is_forgotten(
    calls: list[Call], folder: Path, forgotten: str
) -> None:
    name = {"the log": f"/{NAME}-wal", "the file": f"/{NAME}", "the folder": ""}[forgotten]
    rest = [call for call in calls if (call.verb, call.name) != ("sync", name)]
    assert next(losses(rest, folder), None) is not None
