"""The pytest plugin as users have it who test code of their own: each test here runs theirs."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Protocol

import pytest

pytest_plugins = "pytester"
pytestmark = pytest.mark.campaign

PAGE = Path(__file__).parents[1] / "docs" / "testing.md"
HEADER = """
import anyio
import pytest
from liangxin import AmbiguousCreate, Client, TaskFailed, models

FOG = models.ZImage(prompt="a lighthouse in fog")
"""


class Run(Protocol):
    def __call__(self, tests: str, *options: str) -> pytest.RunResult: ...


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder for tests; of the plugins that are installed, theirs run with these two alone."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "anyio,liangxin")
    return pytester


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run a file of tests; each that is marked for anyio runs twice, on asyncio and on trio."""

    def run(tests: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(HEADER + textwrap.dedent(tests))
        # In a process of their own: pytester unloads what was imported, and anyio breaks by that.
        return pytester.runpytest_subprocess("--strict-markers", "-W", "error", *options)

    return run


# --- fixtures ------------------------------------------------------------------------------------


def test_a_blocking_test_has_an_emulator_of_its_own_and_a_client_of_it(run: Run) -> None:
    result = run("""
        @pytest.mark.parametrize("time", ["first", "second"])
        def test_it(liangxin_client, liangxin_emulator, time):
            task = liangxin_client.run(FOG)
            assert [charge.task_id for charge in liangxin_emulator.charges] == [task.id]
    """)
    result.assert_outcomes(passed=2)


def test_an_async_test_has_an_emulator_of_its_own_and_an_open_client_of_it(run: Run) -> None:
    result = run("""
        @pytest.mark.anyio
        async def test_it(liangxin_async_client, liangxin_emulator):
            task = await liangxin_async_client.run(FOG)
            assert [charge.task_id for charge in liangxin_emulator.charges] == [task.id]
    """)
    result.assert_outcomes(passed=2)


def test_async_fixtures_find_the_client_open(run: Run) -> None:
    result = run("""
        @pytest.fixture
        async def task(liangxin_async_client):
            return await liangxin_async_client.create_task(FOG)

        @pytest.mark.anyio
        async def test_it(task, liangxin_async_client):
            assert (await liangxin_async_client.wait(task)).urls
    """)
    result.assert_outcomes(passed=2)


def test_a_runner_other_than_anyios_has_the_client_open_within_the_test(run: Run) -> None:
    result = run(
        """
        async def test_it(liangxin_async_client):
            assert (await liangxin_async_client.run(FOG)).urls
        """,
        "-p",
        "tests.plain_runner",
    )
    result.assert_outcomes(passed=1)


def test_the_emulator_on_a_port_is_the_same_for_all_and_new_for_each(run: Run) -> None:
    result = run("""
        seen = set()

        @pytest.mark.parametrize("time", ["first", "second"])
        def test_it(liangxin_emulator_server, time):
            seen.add(liangxin_emulator_server.base_url)
            with Client("sk", base_url=liangxin_emulator_server.base_url) as client:
                client.create_task(FOG)
            assert len(liangxin_emulator_server.charges) == 1

        def test_there_was_one_port():
            assert len(seen) == 1
    """)
    result.assert_outcomes(passed=3)


def test_a_marker_hands_options_to_the_emulator(run: Run) -> None:
    result = run("""
        @pytest.mark.liangxin_emulator(durations=7.0)
        def test_it(liangxin_client, liangxin_emulator):
            task = liangxin_client.create_task(FOG)
            assert liangxin_emulator.tasks[task.id].duration == 7.0
    """)
    result.assert_outcomes(passed=1)


# --- virtual time --------------------------------------------------------------------------------


def test_marked_for_virtual_time_an_hour_passes_by_the_clock_of_both(run: Run) -> None:
    result = run("""
        @pytest.mark.anyio
        @pytest.mark.liangxin_virtual_time
        @pytest.mark.liangxin_emulator(durations=3600.0)
        async def test_it(liangxin_async_client, liangxin_emulator):
            begun = anyio.current_time()
            task = await liangxin_async_client.create_task(FOG)
            await anyio.sleep(3599)
            assert liangxin_emulator.state_of(task.id) == "generating"
            await liangxin_async_client.wait(task)
            assert anyio.current_time() - begun >= 3600
    """)
    result.assert_outcomes(passed=2)


def test_virtual_time_on_one_backend(run: Run) -> None:
    result = run(
        """
        @pytest.mark.anyio
        @pytest.mark.liangxin_virtual_time("trio")
        async def test_it(liangxin_async_client):
            await liangxin_async_client.run(FOG)
        """,
        "-v",
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*test_it?trio? PASSED*"])


def test_who_chooses_a_backend_whose_time_jumps_needs_no_marker(run: Run) -> None:
    result = run("""
        from liangxin.emulator import virtual_time

        @pytest.fixture(params=["asyncio", "trio"])
        def anyio_backend(request):
            return virtual_time(request.param)

        @pytest.mark.anyio
        @pytest.mark.liangxin_emulator(durations=3600.0)
        async def test_it(liangxin_async_client):
            begun = anyio.current_time()
            await liangxin_async_client.run(FOG)
            assert anyio.current_time() - begun >= 3600
    """)
    result.assert_outcomes(passed=2)


def test_async_fixtures_live_on_the_same_virtual_time(run: Run) -> None:
    result = run("""
        @pytest.fixture
        async def task(liangxin_async_client):
            return await liangxin_async_client.run(FOG)

        @pytest.mark.anyio
        @pytest.mark.liangxin_virtual_time
        @pytest.mark.liangxin_emulator(durations=3600.0)
        async def test_it(task):
            assert task.urls
    """)
    result.assert_outcomes(passed=2)


# --- faults --------------------------------------------------------------------------------------


def test_marked_faults_are_in_force_in_the_order_in_which_they_are_read(run: Run) -> None:
    result = run("""
        pytestmark = pytest.mark.liangxin_fault("create", "fail", message="of the module")

        @pytest.mark.liangxin_fault("create", "fail", message="of the upper line")
        @pytest.mark.liangxin_fault("create", "fail", message="of the lower line")
        def test_it(liangxin_client):
            for place in ("module", "upper line", "lower line"):
                with pytest.raises(TaskFailed, match=place):
                    liangxin_client.run(FOG)
            liangxin_client.run(FOG)
    """)
    result.assert_outcomes(passed=1)


def test_a_fault_leaves_what_fixtures_do_alone(run: Run) -> None:
    result = run("""
        @pytest.fixture
        def task(liangxin_client):
            return liangxin_client.create_task(FOG)

        @pytest.mark.liangxin_fault("create", "withhold")
        def test_it(task, liangxin_client):
            with pytest.raises(AmbiguousCreate):
                liangxin_client.create_task(FOG)
    """)
    result.assert_outcomes(passed=1)


def test_a_fault_is_in_force_on_a_real_port_for_one_test(run: Run) -> None:
    result = run("""
        @pytest.fixture
        def client(liangxin_emulator_server):
            with Client("sk", base_url=liangxin_emulator_server.base_url) as client:
                yield client

        @pytest.mark.liangxin_fault("create", "withhold", count=None)
        def test_it(client):
            with pytest.raises(AmbiguousCreate):
                client.create_task(FOG)

        def test_the_next(client):
            client.create_task(FOG)
    """)
    result.assert_outcomes(passed=2)


# --- what makes no sense -------------------------------------------------------------------------

NONSENSE = {
    "a fault that there is not": (
        """
        @pytest.mark.liangxin_fault("create", withold=1)
        def test_it(liangxin_emulator): ...
        """,
        "*::test_it: @pytest.mark.liangxin_fault('create', withold=1): *'withold'*",
    ),
    "a fault without an emulator": (
        """
        @pytest.mark.liangxin_fault("create", "withhold")
        def test_it(): ...
        """,
        "*::test_it: @pytest.mark.liangxin_fault('create', 'withhold'): * no liangxin_emulator *",
    ),
    "an option that there is not": (
        """
        @pytest.mark.liangxin_emulator(duration=7.0)
        def test_it(liangxin_emulator): ...
        """,
        "*::test_it: @pytest.mark.liangxin_emulator(duration=7.0): *'duration'*",
    ),
    "a backend that there is not": (
        """
        @pytest.mark.anyio
        @pytest.mark.liangxin_virtual_time("curio")
        async def test_it(liangxin_emulator): ...
        """,
        "*::test_it: @pytest.mark.liangxin_virtual_time('curio'): *'asyncio' and 'trio'*",
    ),
    "virtual time without a loop": (
        """
        @pytest.mark.liangxin_virtual_time
        def test_it(liangxin_emulator): ...
        """,
        "*::test_it: liangxin_virtual_time is for async tests",
    ),
    "blocking in virtual time": (
        """
        @pytest.mark.anyio
        @pytest.mark.liangxin_virtual_time
        async def test_it(liangxin_client): ...
        """,
        "*::test_it?asyncio?: *: take liangxin_async_client",
    ),
    "an async client in a blocking test": (
        """
        def test_it(liangxin_async_client): ...
        """,
        "*::test_it: *: take liangxin_client",
    ),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_what_makes_no_sense_fails_with_a_sentence(run: Run, what: str) -> None:
    tests, sentence = NONSENSE[what]
    result = run(tests)
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines([sentence])
    result.stdout.no_fnmatch_line("*another exception*")


# --- a test that failed --------------------------------------------------------------------------


def test_a_test_that_failed_shows_the_books_and_one_that_passed_does_not(run: Run) -> None:
    result = run("""
        @pytest.mark.liangxin_fault("create", status=429)
        def test_it(liangxin_client):
            liangxin_client.create_task(FOG)
            assert False, "to see the report"

        def test_another(liangxin_client):
            liangxin_client.create_task(FOG)
    """)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines_random(["*- LiangXin emulator -*"])
    result.stdout.fnmatch_lines(
        [
            "requests: 2",
            "* s  POST /api/v1/jobs/createTask  429  (fault: answer)",
            "* s  POST /api/v1/jobs/createTask  200  task_z-image_*",
            "charges: 1",
            " *1  z-image  task_z-image_*",
        ]
    )
    assert str(result.stdout).count("- LiangXin emulator -") == 1


def test_of_many_requests_the_latest_are_shown(run: Run) -> None:
    result = run("""
        def test_it(liangxin_client):
            for _ in range(11):
                liangxin_client.create_task(FOG)
            assert False, "to see the report"
    """)
    result.stdout.fnmatch_lines(["requests: 11 (the latest 10)", "charges: 11 (the latest 10)"])
    assert str(result.stdout).count("POST /api/v1/jobs/createTask") == 10


# --- those who do not use it ---------------------------------------------------------------------


def test_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import liangxin.pytest_plugin;"
        "print(*{name.partition('.')[0] for name in sys.modules.keys() - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "liangxin" in done.stdout.split()
    assert not {"anyio", "attr", "attrs", "cattrs", "httpx", "starlette"} & {*done.stdout.split()}


def test_without_the_extra_one_sentence_says_so_and_other_tests_run(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest("import sys; sys.modules['starlette'] = None")
    pytester.makepyfile("""
        import pytest

        def test_it(liangxin_client): ...

        @pytest.mark.anyio
        @pytest.mark.liangxin_virtual_time
        async def test_later(liangxin_async_client): ...

        def test_of_something_else(): ...
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=3)
    result.stdout.fnmatch_lines(['the emulator needs an extra: pip install "liangxin?emulator?"'])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_run_that_does_not_use_it_never_loads_the_emulator(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.delenv("PYTEST_PLUGINS")
    pytester.makepyfile("""
        import sys

        def test_it(request):
            assert request.config.pluginmanager.has_plugin("liangxin")
            assert "liangxin.emulator" not in sys.modules

        def test_a_failure():
            assert False, "to see the report"
    """)
    result = pytester.runpytest_subprocess("-W", "error")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*LiangXin*")


# --- the page ------------------------------------------------------------------------------------


def test_the_blocks_of_the_page_pass(pytester: pytest.Pytester) -> None:
    blocks = re.findall(
        r"^```python\n# (\w+\.py)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    assert len(blocks) == PAGE.read_text(encoding="utf-8").count("```python")
    for name, block in blocks:
        pytester.path.joinpath(name).write_text(block, encoding="utf-8")
    result = pytester.runpytest_subprocess("--strict-markers", "-W", "error")
    twice = 4
    result.assert_outcomes(passed=7 + 2 * twice)
