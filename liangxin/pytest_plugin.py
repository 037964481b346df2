"""
The pytest plugin: the emulator and clients of it as fixtures, faults and virtual time as markers.

It imports pytest alone, and the rest when a test asks for it: a run that does not use it pays next
to nothing, and needs no extra.  It judges nothing; where a test failed, it shows the books.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from importlib import util
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from liangxin import AsyncClient, Client
    from liangxin.emulator import Emulator, SeenRequest

KEY = "sk-test"
"""The clients' API key; the emulator takes any, unless told otherwise."""

SPEED = 1000.0
"""How fast the emulator is where time does not jump: a minute passes in 60 ms."""

SHOWN = 10
"""So many of the latest requests and charges are shown where a test failed."""

_OPTIONS = "liangxin_emulator"
_FAULT = "liangxin_fault"
_VIRTUAL = "liangxin_virtual_time"
_MARKERS = (
    f"{_OPTIONS}(**options): options of Emulator, for the fixture of the same name",
    f"{_FAULT}(endpoint, action, ...): a Fault that is in force when the test begins",
    f"{_VIRTUAL}(*backends): run on a clock that jumps, on these backends of anyio",
)

_emulator_key: pytest.StashKey[Emulator] = pytest.StashKey()


# --- fixtures ------------------------------------------------------------------------------------


@pytest.fixture
def liangxin_emulator(request: pytest.FixtureRequest) -> Emulator:
    """
    An emulator of the test's own, in process.

    On the clock of the event loop where that jumps, else a thousand times as fast as life.
    """
    emulator = _new_emulator(request)
    request.node.stash[_emulator_key] = emulator
    return emulator


@pytest.fixture(scope="session")
def liangxin_emulator_server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """
    An emulator on a real port, at its `base_url`, for anything that speaks HTTP.

    One for the whole run, a thousand times as fast as life; reset before each test that uses it.
    """
    emulator = _emulator_class()(speed=SPEED)
    with emulator.serve():
        request.session.stash[_emulator_key] = emulator
        yield emulator
        del request.session.stash[_emulator_key]


@pytest.fixture
def liangxin_client(
    request: pytest.FixtureRequest, liangxin_emulator: Emulator
) -> Iterator[Client]:
    """A blocking client of `liangxin_emulator`."""
    from liangxin import Client

    if _is_virtual(request):
        _fail(request.node, "liangxin_client waits in real time: take liangxin_async_client")
    with Client(KEY, **_client_options(request, liangxin_emulator)) as client:
        yield client


@pytest.fixture
def liangxin_async_client(
    request: pytest.FixtureRequest, liangxin_emulator: Emulator
) -> Iterator[AsyncClient]:
    """
    A client of `liangxin_emulator`, open while the test runs.

    With anyio's plugin, it is open for other async fixtures too.
    """
    if "anyio_backend" in request.fixturenames:
        yield request.getfixturevalue("_liangxin_open_client")
        return
    if not inspect.iscoroutinefunction(request.function):
        _fail(request.node, "liangxin_async_client is for async tests: take liangxin_client")
    client = _new_async_client(request, liangxin_emulator)
    test = request.node.obj
    request.node.obj = _opening(client, test)
    yield client
    request.node.obj = test


@pytest.fixture
async def _liangxin_open_client(
    request: pytest.FixtureRequest, liangxin_emulator: Emulator
) -> AsyncIterator[AsyncClient]:
    async with _new_async_client(request, liangxin_emulator) as client:
        yield client


def _opening(client: AsyncClient, test: Any) -> Any:
    """Return `test` inside the client: other runners than anyio's enter fixtures in other tasks."""

    @functools.wraps(test)
    async def opened(*args: Any, **kwargs: Any) -> None:
        async with client:
            await test(*args, **kwargs)

    return opened


# --- how they are made ---------------------------------------------------------------------------


def _emulator_class() -> type[Emulator]:
    try:
        from liangxin.emulator import Emulator
    except ImportError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    return Emulator


def _new_emulator(request: pytest.FixtureRequest) -> Emulator:
    import anyio

    make = _emulator_class()
    options: dict[str, Any] = {"speed": SPEED}
    if _is_virtual(request):
        if not inspect.iscoroutinefunction(request.function):
            _fail(request.node, f"{_VIRTUAL} is for async tests")
        options = {"clock": anyio.current_time}
    marker = request.node.get_closest_marker(_OPTIONS)
    if marker is None:
        return make(**options)
    try:
        return make(*marker.args, **options | marker.kwargs)
    except (TypeError, ValueError) as error:
        _refuse(request.node, marker, error)


def _new_async_client(request: pytest.FixtureRequest, emulator: Emulator) -> AsyncClient:
    from liangxin import AsyncClient

    return AsyncClient(KEY, **_client_options(request, emulator))


def _client_options(request: pytest.FixtureRequest, emulator: Emulator) -> dict[str, Any]:
    options: dict[str, Any] = {"base_url": emulator.base_url, "transport": emulator.transport()}
    if _is_virtual(request):
        return options
    return options | {"poll_interval": 20 / SPEED, "poll_budget": SPEED}


def _is_virtual(request: pytest.FixtureRequest) -> bool:
    """Whether the marker says so, or whoever chose the backend."""
    if request.node.get_closest_marker(_VIRTUAL) is not None:
        return True
    if "anyio_backend" not in request.fixturenames:
        return False
    from liangxin.emulator import JumpingLoop

    options = request.getfixturevalue("anyio_backend_options")
    return options.get("loop_factory") is JumpingLoop or options.get("clock") is not None


# --- markers -------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the backends of a test on virtual time, where anyio's plugin runs it."""
    test = metafunc.definition
    marker = test.get_closest_marker(_VIRTUAL)
    if marker is None or "anyio_backend" not in metafunc.fixturenames:
        return
    try:
        from liangxin.emulator import virtual_time
    except ImportError:
        return  # the fixture says what is missing
    names = marker.args or [name for name in ("asyncio", "trio") if util.find_spec(name)]
    try:
        backends = [virtual_time(name) for name in names]
    except ValueError as error:
        _refuse(test, marker, error)
    # As if the test said so itself: that comes before any fixture.
    test.add_marker(pytest.mark.parametrize("anyio_backend", backends, ids=names))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give each test an emulator on a real port that nobody has used."""
    served = _served(item)
    if served is not None:
        served.reset()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Put the marked faults in force, in the order in which they are read."""
    for marker in reversed(list(item.iter_markers(_FAULT))):
        emulators = _emulators(item)
        if not emulators:
            _refuse(item, marker, "the test has no liangxin_emulator or liangxin_emulator_server")
        for emulator in emulators:
            _add_fault(item, marker, emulator)


def _add_fault(item: pytest.Item, marker: pytest.Mark, emulator: Emulator) -> None:
    from liangxin.emulator import Fault

    try:
        emulator.add_fault(Fault(*marker.args, **marker.kwargs))
    except (TypeError, ValueError) as error:
        _refuse(item, marker, error)


def _refuse(node: pytest.Item, marker: pytest.Mark, why: object) -> NoReturn:
    """Fail a test whose marker makes no sense."""
    given = [*map(repr, marker.args), *(f"{name}={it!r}" for name, it in marker.kwargs.items())]
    _fail(node, f"@pytest.mark.{marker.name}({', '.join(given)}): {why}")


def _fail(node: pytest.Item, why: str) -> NoReturn:
    raise pytest.fail.Exception(f"{node.nodeid}: {why}", pytrace=False) from None


# --- the books of a test that failed -------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the emulator saw."""
    report = yield
    if report.failed:
        for emulator in _emulators(item):
            report.sections.append(("LiangXin emulator", _books(emulator)))
    return report


def _emulators(item: pytest.Item) -> list[Emulator]:
    """Return the emulators that a test uses."""
    found = (item.stash.get(_emulator_key, None), _served(item))
    return [emulator for emulator in found if emulator is not None]


def _served(item: pytest.Item) -> Emulator | None:
    """Return the emulator on a real port, if it is there and the test uses it."""
    if "liangxin_emulator_server" not in getattr(item, "fixturenames", ()):
        return None
    return item.session.stash.get(_emulator_key, None)


def _books(emulator: Emulator) -> str:
    """Return the latest requests and charges, a line each."""
    requests = [_request_line(each) for each in emulator.requests]
    charges = [f"{each.amount:5}  {each.model}  {each.task_id}" for each in emulator.charges]
    return "\n".join([*_latest("requests", requests), *_latest("charges", charges)])


def _request_line(seen: SeenRequest) -> str:
    line = f"{seen.at:9.3f} s  {seen.method} {seen.path}  {seen.status or 'dropped'}"
    if seen.task_id:
        line += f"  {seen.task_id}"
    return f"{line}  (fault: {seen.fault})" if seen.fault else line


def _latest(name: str, lines: list[str]) -> list[str]:
    of = f" (the latest {SHOWN})" if len(lines) > SHOWN else ""
    return [f"{name}: {len(lines)}{of}", *lines[-SHOWN:]]
