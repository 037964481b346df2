"""
What every test can ask for: all backends, virtual time, the emulator, and clients of it.

A test that is `async` runs on asyncio, asyncio+uvloop and trio.  Marked `virtual_time`, it runs
on clocks that jump, with the emulator in process on the same clock: minutes pass in milliseconds.
"""

from __future__ import annotations

import inspect
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import hypothesis
import pytest
import uvloop

import liangxin
from liangxin.emulator import Emulator, virtual_time
from tests.virtual_time import JumpingUvloop

KEY = "sk-test-0123456789"


def pytest_configure(config: pytest.Config) -> None:
    # A shell lets what it starts in the background ignore Ctrl-C, which several tests send.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # No test is timed by the wall clock: the first input of a model also imports its family.
    hypothesis.settings.register_profile("unhurried", deadline=None)
    hypothesis.settings.load_profile("unhurried")
    config.addinivalue_line("markers", "virtual_time: run on clocks that jump")
    config.addinivalue_line("markers", "campaign: long, and about the system, not the interpreter")
    config.addinivalue_line("markers", "once: about programs, pages and files, not the interpreter")


ONCE = (
    "docs/",
    "emulator/test_tape_programs",
    "test_batch_read",
    "test_callback_frameworks",
    "test_cli",
    "test_contact_sheet",
    "test_ledger_file",
    "test_mcp",
    "test_wire_properties",
)
"""How the names of files begin whose tests need no second interpreter."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    for item in items:
        if item.path.relative_to(folder).as_posix().startswith(ONCE):
            item.add_marker(pytest.mark.once)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(name: str, obj: object) -> None:
    """Mark every coroutine test for anyio's plugin, before the plugin looks."""
    if name.startswith("test") and _is_coroutine(obj):
        pytest.mark.anyio(obj)


def _is_coroutine(obj: object) -> bool:
    # Hypothesis wraps a test and keeps the coroutine function inside.
    inner = getattr(getattr(obj, "hypothesis", None), "inner_test", obj)
    return inspect.iscoroutinefunction(inner)


@pytest.fixture(params=["asyncio", "asyncio+uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The backend of a test, and its clock."""
    is_virtual = request.node.get_closest_marker("virtual_time") is not None
    if request.param == "asyncio+uvloop":
        return "asyncio", {"loop_factory": JumpingUvloop if is_virtual else uvloop.new_event_loop}
    return virtual_time(request.param) if is_virtual else (request.param, {})


@pytest.fixture(autouse=True)
def _forget_configured_slugs() -> Iterator[None]:
    """What a test tells the process about slugs ends with it."""
    yield
    liangxin.models.configure(dict.fromkeys(liangxin.models.__all__))


@pytest.fixture
def emulator() -> Emulator:
    """The service in process, on the clock of the test: for `virtual_time`."""
    return Emulator(seed=1, clock=anyio.current_time)


@pytest.fixture
def client_of(emulator: Emulator) -> Callable[..., liangxin.AsyncClient]:
    """Make async clients of the emulator in process."""

    def make(**options: Any) -> liangxin.AsyncClient:
        options.setdefault("transport", emulator.transport())
        return liangxin.AsyncClient(KEY, base_url="http://127.0.0.1:9", **options)

    return make


@pytest.fixture
def server() -> Iterator[Emulator]:
    """The service on a real socket, in a thread, a thousand times as fast as life."""
    emulator = Emulator(seed=1, speed=1000)
    with emulator.serve():
        yield emulator


@pytest.fixture
def options_of(server: Emulator) -> dict[str, Any]:
    """What a client of either kind needs to reach the server, and to be done quickly."""
    return {
        "api_key": KEY,
        "base_url": server.base_url,
        "min_interval": 0.01,
        "max_interval": 0.05,
        "poll_budget": 5000,
    }
