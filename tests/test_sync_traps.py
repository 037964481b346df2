"""
The traps of a blocking facade over an event loop: Ctrl-C, fork, exit, threads, garbage.

Each test is one trap, sprung against the service on a real socket and judged by its books.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

import liangxin
from liangxin import Client, ClientStateError, ModelInput, Outcome, Task
from liangxin.emulator import Emulator
from liangxin.emulator._faults import Fault
from liangxin.models import ZImage

Options = dict[str, Any]
POSTER = ZImage(prompt="a lighthouse in fog")
ENDLESS = ZImage(prompt="a slow cat !slow:900000s")

posix = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@pytest.fixture
def client(options_of: Options) -> Iterator[Client]:
    with Client(**options_of) as client:
        yield client


def until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for what another thread or process is about to do."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not in {seconds:g} s: {inspect.getsource(condition)}"
        time.sleep(0.002)


@contextmanager
def ctrl_c_when(condition: Callable[[], object]) -> Iterator[None]:
    """Press Ctrl-C when the condition holds, and expect it to arrive as itself."""
    main = threading.main_thread().ident
    assert main is not None

    def press() -> None:
        until(condition)
        signal.pthread_kill(main, signal.SIGINT)

    with ThreadPoolExecutor(1) as executor:
        pressed = executor.submit(press)
        with pytest.raises(KeyboardInterrupt):
            yield
        pressed.result()


def waiting(client: Client) -> int:
    """How many tasks the client looks at for somebody."""
    return client._client._poller.waiting


def threads_called(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def charged(server: Emulator) -> list[str]:
    return sorted(charge.task_id for charge in server.charges)


def unclaimed(client: Client) -> list[str]:
    return sorted(outcome.task.id for outcome in client.unclaimed if outcome.task)


# --- Ctrl-C --------------------------------------------------------------------------------


@posix
def test_ctrl_c_ends_a_wait_and_the_looking_and_the_client_goes_on(
    client: Client, server: Emulator
) -> None:
    task = client.create_task(ENDLESS)
    with ctrl_c_when(lambda: server.looks_of(task.id)):
        client.wait(task)
    until(lambda: not waiting(client))
    assert client.run(POSTER).urls


@posix
def test_ctrl_c_during_a_create_that_has_left_keeps_its_task(
    client: Client, server: Emulator
) -> None:
    server.add_fault(Fault("create", "delay", delay=200))
    with ctrl_c_when(lambda: server.charges):
        client.create_task(POSTER)
    assert client.unclaimed == ()
    until(lambda: client.unclaimed)
    assert unclaimed(client) == charged(server)
    assert client.run(POSTER).urls
    assert len(server.charges) == 2


@posix
def test_ctrl_c_during_a_run_keeps_the_task_that_was_paid_for(
    client: Client, server: Emulator
) -> None:
    with ctrl_c_when(lambda: server.looks):
        client.run(ENDLESS)
    until(lambda: client.unclaimed)
    assert unclaimed(client) == charged(server)
    assert client.unclaimed[0].input == ENDLESS


@posix
def test_ctrl_c_during_a_create_that_waits_for_its_retry_sends_nothing_more(
    client: Client, server: Emulator
) -> None:
    server.fail_next_create(429, headers={"Retry-After": "30"})
    with ctrl_c_when(lambda: server.requests):
        client.create_task(POSTER)
    client.close()
    assert len(server.requests) == 1
    assert not server.charges
    assert client.unclaimed == ()


@posix
def test_ctrl_c_at_any_moment_of_a_create_loses_no_task(client: Client, server: Emulator) -> None:
    client.get_task(client.create_task(POSTER))
    main = threading.main_thread().ident
    assert main is not None
    taken, pressed = [client.get_task(server.charges[0].task_id).id], 0
    for step in range(150):
        fired = threading.Event()

        def press(after: float = step * 40e-6, fired: threading.Event = fired) -> None:
            end = time.perf_counter() + after
            while time.perf_counter() < end:
                pass
            signal.pthread_kill(main, signal.SIGINT)
            fired.set()

        thread = threading.Thread(target=press)
        task = None
        try:
            thread.start()
            task = client.create_task(POSTER)
            fired.wait(5)
            thread.join(5)
        except KeyboardInterrupt:
            pressed += 1
        thread.join(5)
        if task is not None:
            taken.append(task.id)
    client.close()
    assert pressed
    assert sorted(taken + unclaimed(client)) == charged(server)


@posix
@pytest.mark.parametrize("first", ["the caller leaves", "the result arrives"])
@pytest.mark.parametrize("given_as", ["task", "failure", "outcome"])
def test_what_was_paid_for_is_kept_when_ctrl_c_meets_the_result(
    client: Client, server: Emulator, first: str, given_as: str
) -> None:
    main = threading.main_thread().ident
    assert main is not None
    interrupted, ended = threading.Event(), threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        if first == "the result arrives":
            ended.wait(15)
        raise KeyboardInterrupt

    async def create(input: ModelInput) -> Task | Outcome:
        task = await client._client.create_task(input)
        asyncio.get_running_loop().call_soon(ended.set)
        signal.pthread_kill(main, signal.SIGINT)
        interrupted.wait(15)
        if first == "the caller leaves":
            threading.Event().wait(0.02)  # the loop stands still; the caller is gone by then
        if given_as == "failure":
            raise liangxin.TaskFailed(task, "it failed")
        return task if given_as == "task" else Outcome(input=input, task=task)

    client.get_task(client.create_task(POSTER))
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            client._portal.run(create, POSTER)
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: client.unclaimed)
    (kept,) = client.unclaimed
    assert kept.input == POSTER
    assert kept.task is not None
    assert kept.task.id in charged(server)


@posix
def test_ctrl_c_during_watch_ends_its_looking(client: Client, server: Emulator) -> None:
    task = client.create_task(ENDLESS)
    with ctrl_c_when(lambda: server.looks_of(task.id) > 2):
        for _ in client.watch(task):
            pass
    until(lambda: not waiting(client))


@posix
def test_ctrl_c_inside_the_body_of_run_many_arrives_as_itself(
    client: Client, server: Emulator
) -> None:
    body = threading.Event()
    with ctrl_c_when(body.is_set), client.run_many([POSTER, ENDLESS, ENDLESS]) as outcomes:
        assert next(outcomes).ok
        body.set()
        threading.Event().wait(15)
    with client.run_many([POSTER, POSTER]) as outcomes:
        assert [outcome.ok for outcome in outcomes] == [True, True]
    client.close()
    assert len(charged(server)) == 3 + len(client.unclaimed)


@posix
def test_ctrl_c_while_the_next_outcome_is_awaited_leaves_the_block(
    client: Client, server: Emulator
) -> None:
    def endless() -> Iterator[ModelInput]:
        yield ENDLESS
        yield ENDLESS

    with ctrl_c_when(lambda: server.looks > 2), client.run_many(endless()) as outcomes:
        next(outcomes)
    until(lambda: not waiting(client))
    assert unclaimed(client) == charged(server)


@posix
def test_a_body_may_catch_ctrl_c_and_draw_on(client: Client, server: Emulator) -> None:
    slow = ZImage(prompt="cat !slow:300s")
    with client.run_many([slow]) as outcomes:
        with ctrl_c_when(lambda: server.looks):
            next(outcomes)
        assert next(outcomes).ok
    assert client.unclaimed == ()


@posix
def test_ctrl_c_during_the_first_call_leaves_a_client_that_starts(
    options_of: Options, server: Emulator
) -> None:
    class SlowToOpen(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            opened.set()
            await asyncio.sleep(60)
            raise AssertionError

    opened = threading.Event()
    with Client(**options_of | {"transport": SlowToOpen()}) as client:
        for _ in range(2):
            with ctrl_c_when(opened.is_set):
                client.get_task("task_1")
            opened.clear()
        assert len(threads_called("liangxin")) == 1
    assert not server.requests


@posix
def test_ctrl_c_while_close_waits_for_a_create_can_be_followed_by_another_close(
    options_of: Options, server: Emulator
) -> None:
    client = Client(**options_of)
    server.add_fault(Fault("create", "delay", delay=600))
    with ThreadPoolExecutor(1) as executor:
        creating = executor.submit(client.create_task, POSTER)
        until(lambda: server.charges)
        closing = threading.Event()
        with ctrl_c_when(lambda: closing.is_set() and client._portal._closed):
            closing.set()
            client.close()
        client.close()
    assert not threads_called("liangxin")
    assert [creating.result().id] == charged(server)


# --- close ---------------------------------------------------------------------------------


def calls_of(client: Client) -> list[Callable[[], object]]:
    return [
        lambda: client.create_task(POSTER),
        lambda: client.get_task("task_1"),
        lambda: [*client.watch("task_1")],
        lambda: client.wait("task_1"),
        lambda: client.run(POSTER),
        lambda: client.run_many([POSTER]).__enter__(),
        lambda: client.download(Task(id="task_1"), "nowhere"),
    ]


@pytest.mark.parametrize("verb", range(7))
@pytest.mark.parametrize("used", [True, False])
def test_every_verb_after_close_says_that_the_client_is_closed(
    options_of: Options, server: Emulator, verb: int, used: bool
) -> None:
    client = Client(**options_of)
    if used:
        client.create_task(POSTER)
    client.close()
    with pytest.raises(ClientStateError, match="the client is closed; make another one"):
        calls_of(client)[verb]()
    assert len(server.requests) == used
    assert not threads_called("liangxin")


def test_closing_twice_does_nothing(options_of: Options) -> None:
    client = Client(**options_of)
    client.create_task(POSTER)
    client.close()
    client.close()
    with client:
        pass


def test_calls_that_wait_while_another_thread_closes_get_a_sentence(
    options_of: Options, server: Emulator
) -> None:
    client = Client(**options_of)
    tasks = [client.create_task(ENDLESS) for _ in range(4)]

    def many() -> list[Outcome]:
        with client.run_many([ENDLESS]) as outcomes:
            return [*outcomes]

    with ThreadPoolExecutor(8) as executor:
        waits = [executor.submit(client.wait, task) for task in tasks]
        watch = executor.submit(lambda: [*client.watch(tasks[0])])
        run = executor.submit(client.run, ENDLESS)
        outcomes = executor.submit(many)
        until(lambda: len(server.charges) == 6 and waiting(client) == 6)
        client.close()
        calls: list[Future[Any]] = [*waits, watch, run]
        for call in calls:
            with pytest.raises(ClientStateError, match="clos"):
                call.result(15)
        try:
            ends = [outcome.error for outcome in outcomes.result(15)]
        except ClientStateError:
            ends = []
        assert all(isinstance(end, ClientStateError) for end in ends)
    assert not threads_called("liangxin")
    assert set(unclaimed(client)) <= set(charged(server))


def test_a_look_under_way_does_not_keep_close(options_of: Options, server: Emulator) -> None:
    client = Client(**options_of)
    task = client.create_task(POSTER)
    server.add_fault(Fault("look", "delay", delay=20_000))
    with ThreadPoolExecutor(1) as executor:
        look = executor.submit(client.get_task, task)
        until(lambda: server.looks)
        began = time.monotonic()
        client.close()
        with pytest.raises(ClientStateError, match="closed during the call"):
            look.result(15)
    assert time.monotonic() - began < 10


def test_closing_inside_the_body_of_run_many_ends_it(options_of: Options, server: Emulator) -> None:
    client = Client(**options_of)
    with client.run_many([POSTER, ENDLESS]) as outcomes:
        assert next(outcomes).ok
        until(lambda: len(server.charges) == 2)
        client.close()
        with pytest.raises(ClientStateError):
            next(outcomes)
    assert not threads_called("liangxin")
    assert len(client.unclaimed) == 1


def test_a_loop_that_cannot_be_closed_is_no_error_of_a_client_that_has_ended_well(
    options_of: Options, server: Emulator
) -> None:
    class Stubborn(asyncio.SelectorEventLoop):
        def close(self) -> None:
            super().close()
            raise OSError(16, "Device or resource busy")

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return Stubborn()

    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(Policy())
    try:
        with Client(**options_of) as client:
            client.create_task(POSTER)
    finally:
        asyncio.set_event_loop_policy(before)
    assert len(server.charges) == 1


def test_threads_that_call_and_close_at_once_neither_hang_nor_lose_a_task(
    options_of: Options, server: Emulator
) -> None:
    taken: list[str] = []
    clients = [Client(**options_of) for _ in range(8)]

    def create_until_closed(client: Client) -> None:
        while True:
            try:
                taken.append(client.create_task(POSTER).id)
            except ClientStateError:
                return
            except liangxin.NotSent:
                continue

    with ThreadPoolExecutor(24) as executor:
        for round_, client in enumerate(clients):
            calls = [executor.submit(create_until_closed, client) for _ in range(8)]
            until(lambda enough=6 * round_: len(taken) >= enough)  # type: ignore[misc]
            client.close()
            for call in calls:
                call.result(15)
    kept = [each for client in clients for each in unclaimed(client)]
    assert sorted(taken + kept) == charged(server)


def test_a_transport_that_cannot_be_closed_says_so_once_and_as_itself(options_of: Options) -> None:
    class Stuck(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(401, json={"code": 401, "msg": "no"})

        async def aclose(self) -> None:
            raise OSError("stuck")

    client = Client(**options_of | {"transport": Stuck()})
    with pytest.raises(liangxin.Unauthorized):
        client.get_task("task_1")
    with pytest.raises(OSError, match="stuck"):
        client.close()
    client.close()
    assert not threads_called("liangxin")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_threads_and_descriptors_are_back_where_they_were_after_close(
    options_of: Options,
) -> None:
    def state() -> tuple[int, set[str]]:
        return len(os.listdir("/proc/self/fd")), {each.name for each in threading.enumerate()}

    def use() -> None:
        with Client(**options_of) as client:
            client.run(POSTER)
            with client.run_many(iter([POSTER] * 20)) as outcomes:
                assert len([*outcomes]) == 20
            with client.run_many(iter([POSTER] * 20)) as outcomes:
                next(outcomes)
            next(iter(client.watch(client.create_task(ENDLESS))))

    use()
    until(lambda: not threads_called("liangxin-inputs"))
    before = state()
    for _ in range(3):
        use()
    # The server's ends of the connections are descriptors of this process too.
    until(lambda: state() <= before)


# --- exit ----------------------------------------------------------------------------------


def script(text: str, options: Options, *, ctrl_c: Callable[[], object] | None = None) -> str:
    """Run a program against the server; it must end by itself, well, and without a word."""
    head = f"""
        import logging, os, sys, threading, liangxin
        logging.getLogger("liangxin").addHandler(logging.NullHandler())
        from itertools import count
        from liangxin import Client
        from liangxin.models import ZImage
        POSTER, ENDLESS = ZImage(prompt="cat"), ZImage(prompt="cat !slow:900000s")
        client = Client(**{options!r})
    """
    program = textwrap.dedent(head) + textwrap.dedent(text)
    env = os.environ | {"PYTHONPATH": str(Path(liangxin.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if ctrl_c is not None:
                until(ctrl_c)
                process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, error) == (0, ""), out
    return out


EXITS = {
    "after a call": "client.run(POSTER)",
    "with a watch half consumed": """
        states = client.watch(client.create_task(ENDLESS))
        next(states)
    """,
    "with run_many open": """
        block = client.run_many(POSTER for _ in count())
        outcomes = block.__enter__()
        assert next(outcomes).ok
    """,
    "with run_many open in a generator": """
        def outcomes():
            with client.run_many([POSTER, ENDLESS]) as stream:
                yield from stream
        stream = outcomes()
        assert next(stream).ok
    """,
    "with inputs that wait for ever": """
        import queue
        block = client.run_many(iter(queue.Queue().get, None))
        block.__enter__()
        client.run(POSTER)
    """,
    "with inputs that wait for ever, after the block": """
        import queue
        wishes = queue.Queue()
        wishes.put(POSTER)
        with client.run_many(iter(wishes.get, None)) as outcomes:
            assert next(outcomes).ok
        client.close()
    """,
    "with a daemon thread in a call": """
        task = client.create_task(ENDLESS)
        threading.Thread(target=quiet, args=(ENDLESS,), daemon=True).start()
        try:
            client.wait(task, timeout=0.2)
        except liangxin.WaitTimeout:
            pass
    """,
    "from a running asyncio loop": """
        import asyncio
        async def main():
            client.run(POSTER)
        asyncio.run(main())
    """,
    "by sys.exit in a running asyncio loop": """
        import asyncio
        async def main():
            client.run(POSTER)
            sys.exit(0)
        asyncio.run(main())
    """,
    "with a client that a cycle holds": """
        class Holder: pass
        holder = Holder()
        holder.itself, holder.client = holder, client
        holder.states = client.watch(client.create_task(ENDLESS))
        next(holder.states)
        del client, holder
    """,
}
QUIET = """
def quiet(*arguments):
    try:
        client.run(*arguments)
    except liangxin.ClientStateError:
        pass
"""


@pytest.mark.parametrize("ending", EXITS)
def test_the_interpreter_exits_without_close(
    ending: str, options_of: Options, server: Emulator
) -> None:
    script(QUIET + textwrap.dedent(EXITS[ending]), options_of)
    assert server.charges


def test_an_exit_with_a_create_in_flight_waits_for_its_answer(
    options_of: Options, server: Emulator
) -> None:
    server.add_fault(Fault("create", "delay", delay=500))
    program = """
        import atexit
        from liangxin import _portal
        atexit.unregister(_portal._stop_all)
        atexit.register(lambda: print(client.unclaimed[0].task.id))
        atexit.register(_portal._stop_all)
        left = threading.Event()
        from liangxin._connection import Evidence
        leaving = Evidence.leaving
        async def passed(evidence):
            await leaving(evidence)
            left.set()
        Evidence.leaving = passed
        def create():
            try:
                client.create_task(POSTER)
            except liangxin.ClientStateError:
                pass
        with client.run_many([POSTER]):
            left.wait(10)
    """
    assert [script(program, options_of).strip()] == charged(server)


def test_an_exit_does_not_wait_for_ever(options_of: Options, server: Emulator) -> None:
    server.add_fault(Fault("create", "delay", delay=50_000))
    program = """
        from liangxin import _portal
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        _portal.EXIT_GRACE = 0.3
        threading.Thread(target=client.create_task, args=(POSTER,), daemon=True).start()
        while not client._client._transport.in_use:
            pass
        threading.Event().wait(0.3)
    """
    out = script(program, options_of)
    assert out.startswith("the interpreter exits while creates are under way")
    assert len(server.charges) == 1


@posix
def test_ctrl_c_in_a_script_closes_the_client_on_its_way_out(
    options_of: Options, server: Emulator
) -> None:
    program = """
        try:
            with client, client.run_many(ENDLESS for _ in count()) as outcomes:
                next(outcomes)
        except KeyboardInterrupt:
            print(len(client.unclaimed))
    """
    out = script(program, options_of, ctrl_c=lambda: len(server.charges) > 20)
    assert int(out) == len(server.charges)


# --- fork ----------------------------------------------------------------------------------


@forking
def test_a_forked_child_gets_a_sentence_and_the_parent_goes_on(
    options_of: Options, server: Emulator
) -> None:
    program = """
        task = client.create_task(ENDLESS)
        states = client.watch(task)
        next(states)
        block = client.run_many([ENDLESS])
        outcomes = block.__enter__()
        child = os.fork()
        if child == 0:
            calls = [
                lambda: client.get_task(task), lambda: client.create_task(POSTER),
                lambda: next(states), lambda: next(outcomes),
                lambda: client.run_many([POSTER]).__enter__(),
            ]
            for call in calls:
                try:
                    call()
                except liangxin.ClientStateError as exc:
                    print(exc)
            block.__exit__(None, None, None)
            client.close()
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        client.run(POSTER)
        client.close()
    """
    out = script(
        "import warnings; warnings.simplefilter('ignore')\n" + textwrap.dedent(program), options_of
    )
    lines = out.splitlines()
    assert len(lines) == 5
    assert all("carried across a fork" in line and "another one here" in line for line in lines)
    assert len(server.charges) == 3


@forking
def test_a_child_of_multiprocessing_gets_a_sentence(options_of: Options, server: Emulator) -> None:
    program = """
        import multiprocessing, warnings
        warnings.simplefilter("ignore")
        client.create_task(POSTER)
        def call():
            try:
                client.create_task(POSTER)
            except liangxin.ClientStateError as exc:
                print(exc, flush=True)
        process = multiprocessing.get_context("fork").Process(target=call)
        process.start()
        process.join()
        assert process.exitcode == 0
    """
    assert "carried across a fork" in script(program, options_of)
    assert len(server.charges) == 1


@forking
def test_a_client_that_was_not_used_yet_may_cross_a_fork(
    options_of: Options, server: Emulator
) -> None:
    program = """
        child = os.fork()
        client.run(POSTER)
        client.close()
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """
    script(program, options_of)
    assert len(server.charges) == 2


# --- threads and loops ---------------------------------------------------------------------


def test_sixteen_threads_share_one_client_and_one_loop(client: Client, server: Emulator) -> None:
    gate = threading.Barrier(16)

    def use(number: int) -> list[tuple[str, str]]:
        gate.wait(10)
        tasks = [client.run(ZImage(prompt=f"{number}-{each}")) for each in range(4)]
        return [(task.id, f"{number}-{each}") for each, task in enumerate(tasks)]

    with ThreadPoolExecutor(16) as executor:
        made = [each for part in executor.map(use, range(16)) for each in part]
    assert len(threads_called("liangxin")) == 1
    assert sorted(task for task, _ in made) == charged(server)
    assert len({charge.task_id for charge in server.charges}) == 64
    assert len({charge.idempotency_key for charge in server.charges}) == 64
    assert all(server.tasks[task].prompt == prompt for task, prompt in made)


def test_a_client_works_inside_a_running_asyncio_loop(client: Client, server: Emulator) -> None:
    async def cell() -> list[bool]:
        task = client.run(POSTER)
        assert [*client.watch(task.id)][-1].is_final
        with client.run_many(iter([POSTER, POSTER])) as outcomes:
            return [outcome.ok for outcome in outcomes]

    assert asyncio.run(cell()) == [True, True]
    assert len(server.charges) == 3


def test_a_client_works_inside_a_running_trio_loop(client: Client, server: Emulator) -> None:
    async def cell() -> list[bool]:
        client.run(POSTER)
        with client.run_many(iter([POSTER, POSTER])) as outcomes:
            return [outcome.ok for outcome in outcomes]

    assert trio.run(cell) == [True, True]
    assert len(server.charges) == 3


def test_a_transport_that_calls_the_client_gets_a_sentence_and_no_deadlock(
    options_of: Options,
) -> None:
    class Recursive(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            for call in (*calls_of(recursive), recursive.close):
                with pytest.raises(ClientStateError, match="its own event loop's thread"):
                    call()
            return httpx.Response(404, json={"code": 404, "msg": "unknown"})

    with (
        Client(**options_of | {"transport": Recursive()}) as recursive,
        pytest.raises(liangxin.TaskNotFound),
    ):
        recursive.get_task("task_1")


def test_inputs_that_the_loop_draws_get_a_sentence_when_they_call_the_client(
    client: Client,
) -> None:
    class Recursive(list[ModelInput]):
        def __iter__(self) -> Iterator[ModelInput]:
            client.create_task(POSTER)
            return super().__iter__()

    with (
        pytest.raises(ClientStateError, match="its own event loop's thread"),
        client.run_many(Recursive()) as outcomes,
    ):
        next(outcomes)


# --- leaving early -------------------------------------------------------------------------


def test_a_break_out_of_watch_ends_the_looking(client: Client, server: Emulator) -> None:
    task = client.create_task(ENDLESS)
    for _ in client.watch(task):
        break
    until(lambda: not waiting(client) and not client._client._transport.in_use)
    looks = server.looks
    client.get_task(task)
    assert server.looks == looks + 1


def test_a_break_out_of_run_many_ends_the_looking_and_keeps_what_was_paid_for(
    client: Client, server: Emulator
) -> None:
    with client.run_many([POSTER] + [ENDLESS] * 5) as outcomes:
        for outcome in outcomes:
            assert outcome.ok
            break
    assert not waiting(client)
    until(lambda: len(client.unclaimed) == len(server.charges) - 1)
    assert [*outcomes] == []


def test_a_watch_that_is_garbage_of_the_loops_own_thread_is_closed_too(
    client: Client, server: Emulator
) -> None:
    class Cycle:
        pass

    async def collect() -> None:
        gc.collect()

    gc.disable()
    try:
        cycle: Any = Cycle()
        cycle.itself, cycle.states = cycle, client.watch(client.create_task(ENDLESS))
        next(cycle.states)
        del cycle
        assert waiting(client) == 1
        client._portal.run(collect)
    finally:
        gc.enable()
    until(lambda: not waiting(client))


def test_a_block_that_is_garbage_of_the_loops_own_thread_is_left_too(
    client: Client, server: Emulator
) -> None:
    def outcomes() -> Iterator[Outcome]:
        with client.run_many([POSTER, ENDLESS]) as stream:
            yield from stream

    async def collect() -> None:
        gc.collect()

    class Cycle:
        pass

    gc.disable()
    try:
        cycle: Any = Cycle()
        cycle.itself, cycle.outcomes = cycle, outcomes()
        assert next(cycle.outcomes).ok
        del cycle
        client._portal.run(collect)
    finally:
        gc.enable()
    until(lambda: not waiting(client))
    until(lambda: len(client.unclaimed) == len(server.charges) - 1)


def test_an_exception_in_the_body_arrives_as_itself_and_not_in_a_group(client: Client) -> None:
    class OurOwnError(BaseException):
        pass

    ours = OurOwnError()
    with pytest.raises(OurOwnError) as caught, client.run_many([POSTER, ENDLESS]) as outcomes:
        next(outcomes)
        raise ours
    assert caught.value is ours
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert client.run(POSTER).urls


def test_an_exception_in_the_body_of_with_client_arrives_as_itself(options_of: Options) -> None:
    with pytest.raises(LookupError, match="ours"), Client(**options_of) as client:
        client.create_task(POSTER)
        raise LookupError("ours")
    assert not threads_called("liangxin")
