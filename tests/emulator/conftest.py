"""The emulator with a clock moved by hand, on every backend; nothing here waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from liangxin.emulator import Emulator
from tests.emulator.service import EPOCH, HandClock


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="asyncio+uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The backend of a test."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


@pytest.fixture
def clock() -> HandClock:
    """The emulator's time."""
    return HandClock()


@pytest.fixture
def emulator(clock: HandClock) -> Emulator:
    """A service whose tasks take 100 seconds each."""
    return Emulator(seed=1, clock=clock, wall=lambda: EPOCH, durations=100.0)


@pytest.fixture
def served(clock: HandClock) -> Iterator[Emulator]:
    """The same on a real socket."""
    emulator = Emulator(seed=1, clock=clock, wall=lambda: EPOCH, durations=100.0)
    with emulator.serve():
        yield emulator
