"""Every verb of the blocking client, judged by the books of the service."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

import liangxin
from liangxin import Client, ModelInput, Outcome, Task, TaskState
from liangxin.callbacks import CallbackReceiver
from liangxin.emulator import Emulator
from liangxin.models import ZImage
from tests.conftest import KEY

Options = dict[str, Any]
POSTER = ZImage(prompt="a lighthouse in fog")
ENDLESS = ZImage(prompt="a slow cat !slow:900000s")
DOOMED = ZImage(prompt="a sad cat !fail:out of luck")


def posters(number: int) -> list[ModelInput]:
    return [ZImage(prompt=f"poster {each}") for each in range(number)]


def charged(server: Emulator) -> list[str]:
    return [charge.task_id for charge in server.charges]


@pytest.fixture
def client(options_of: Options) -> Iterator[Client]:
    with Client(**options_of) as client:
        yield client


# --- one task ------------------------------------------------------------------------------


def test_create_task_is_one_charge_and_no_look(client: Client, server: Emulator) -> None:
    task = client.create_task(POSTER)
    assert charged(server) == [task.id]
    assert server.looks == 0
    assert task.model == "z-image"


def test_create_task_passes_the_callback_url_on(client: Client, server: Emulator) -> None:
    task = client.create_task(POSTER, callback_url="https://example.com/told")
    assert server.tasks[task.id].callback_url == "https://example.com/told"


def test_get_task_is_one_look_by_task_or_by_id(client: Client, server: Emulator) -> None:
    task = client.create_task(POSTER)
    assert client.get_task(task).id == client.get_task(task.id).id == task.id
    assert server.looks_of(task.id) == 2


def test_watch_yields_every_change_of_state_up_to_the_final_one(client: Client) -> None:
    states = [seen.state for seen in client.watch(client.create_task(POSTER))]
    assert states[-1] is TaskState.SUCCESS
    assert len(states) == len(set(states))


def test_watch_does_not_raise_when_the_task_fails(client: Client) -> None:
    assert [*client.watch(client.create_task(DOOMED))][-1].fail_message == "out of luck"


def test_wait_returns_the_task_with_its_urls(client: Client) -> None:
    task = client.wait(client.create_task(POSTER))
    assert task.state is TaskState.SUCCESS
    assert task.urls


def test_wait_raises_what_became_of_the_task(client: Client) -> None:
    with pytest.raises(liangxin.TaskFailed, match="out of luck"):
        client.wait(client.create_task(DOOMED))


def test_a_wait_that_is_too_short_can_be_taken_up_again(client: Client, server: Emulator) -> None:
    task = client.create_task(ENDLESS)
    for _ in range(2):
        with pytest.raises(liangxin.WaitTimeout) as caught:
            client.wait(task, timeout=0.05)
        assert caught.value.task.id == task.id
    assert charged(server) == [task.id]


def test_run_creates_once_and_waits(client: Client, server: Emulator) -> None:
    task = client.run(POSTER, timeout=20)
    assert task.state is TaskState.SUCCESS
    assert charged(server) == [task.id]


def test_a_refusal_arrives_as_its_own_exception(client: Client, server: Emulator) -> None:
    server.fail_next_create(403)
    with pytest.raises(liangxin.Forbidden):
        client.create_task(POSTER)
    assert not server.charges


def test_a_lost_answer_is_never_sent_again(client: Client, server: Emulator) -> None:
    server.withhold_answer_to_next_create()
    with pytest.raises(liangxin.AmbiguousCreate):
        client.create_task(POSTER)
    assert len(server.charges) == 1


def test_bad_input_is_refused_before_anything_is_sent(client: Client, server: Emulator) -> None:
    with pytest.raises(liangxin.InputError):
        client.create_task("a lighthouse")  # type: ignore[arg-type]
    assert not server.requests


def test_download_saves_the_results(client: Client, tmp_path: Path) -> None:
    task = client.run(POSTER)
    (path,) = client.download(task, tmp_path, name="poster")
    assert path.parent == tmp_path
    assert path.name.startswith("poster")
    assert path.stat().st_size > 1000


def test_watch_download_tells_of_each_file(client: Client, tmp_path: Path) -> None:
    task = client.run(POSTER)
    *_, last = client.watch_download(task, tmp_path)
    assert last.path is not None
    assert last.path.parent == tmp_path
    assert last.received == last.total == last.path.stat().st_size


# --- many tasks ----------------------------------------------------------------------------


def as_list() -> list[ModelInput]:
    return posters(5)


def as_tuple() -> tuple[ModelInput, ...]:
    return tuple(posters(5))


def as_generator() -> Iterator[ModelInput]:
    yield from posters(5)


@pytest.mark.parametrize("inputs", [as_list, as_tuple, as_generator])
def test_run_many_yields_an_outcome_for_each_input(
    client: Client, server: Emulator, inputs: Callable[[], Any]
) -> None:
    with client.run_many(inputs()) as outcomes:
        found = {outcome.index: outcome for outcome in outcomes}
    assert sorted(found) == [0, 1, 2, 3, 4]  # type: ignore[type-var]
    assert [found[each].input for each in range(5)] == posters(5)
    assert sorted(each.result().id for each in found.values()) == sorted(charged(server))


def test_one_failure_does_not_stop_the_others(client: Client) -> None:
    with client.run_many([POSTER, DOOMED, POSTER]) as outcomes:
        ends = {outcome.index: outcome.error for outcome in outcomes}
    assert isinstance(ends.pop(1), liangxin.TaskFailed)
    assert ends == {0: None, 2: None}


def test_a_generator_may_call_the_client_itself(client: Client, server: Emulator) -> None:
    def variations() -> Iterator[ModelInput]:
        for _ in range(3):
            url = client.run(POSTER).urls[0]
            yield ZImage(prompt=f"after {url[-8:]}")

    with client.run_many(variations()) as outcomes:
        assert all(outcome.ok for outcome in outcomes)
    assert len(server.charges) == 6


def test_a_generator_may_block_until_the_consumer_feeds_it(
    client: Client, server: Emulator
) -> None:
    wanted: queue.Queue[ModelInput | None] = queue.Queue()
    wanted.put(POSTER)
    with client.run_many(iter(wanted.get, None)) as outcomes:
        for outcome in outcomes:
            wanted.put(POSTER if len(server.charges) < 4 else None)
            assert outcome.ok
    assert len(server.charges) == 4


def test_an_endless_generator_may_be_left_early(client: Client, server: Emulator) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[ModelInput]:
        for number in count():
            drawn.append(number)
            yield POSTER

    with client.run_many(endless(), max_in_flight=4) as outcomes:
        taken = [next(outcomes).result().id for _ in range(6)]
    client.close()
    kept = [outcome.task.id for outcome in client.unclaimed if outcome.task]
    assert sorted(taken + kept) == sorted(charged(server))
    assert len(drawn) <= 6 + 4 + 1


def test_inputs_are_drawn_one_at_a_time_and_only_when_there_is_room(client: Client) -> None:
    drawn: list[int] = []

    def counted() -> Iterator[ModelInput]:
        for number in range(20):
            drawn.append(number)
            yield POSTER

    with client.run_many(counted(), max_in_flight=2) as outcomes:
        for taken, _ in enumerate(outcomes, 1):
            assert len(drawn) <= taken + 2
    assert drawn == [*range(20)]


def test_the_generator_runs_in_one_thread_that_is_neither_the_callers_nor_the_loops(
    client: Client,
) -> None:
    names: set[str] = set()

    def named() -> Iterator[ModelInput]:
        for _ in range(3):
            names.add(threading.current_thread().name)
            yield POSTER

    with client.run_many(named()) as outcomes:
        assert len([*outcomes]) == 3
    assert names == {"liangxin-inputs"}


def test_an_exception_of_the_inputs_is_raised_after_the_outcomes(client: Client) -> None:
    def breaking() -> Iterator[ModelInput]:
        yield POSTER
        raise OSError("the disk is gone")

    seen: list[bool] = []
    with pytest.raises(OSError, match="the disk is gone"), client.run_many(breaking()) as outcomes:
        for outcome in outcomes:
            seen.append(outcome.ok)
    assert seen == [True]


def test_inputs_that_exit_the_program_do_not_end_the_loop(client: Client) -> None:
    def exiting() -> Iterator[ModelInput]:
        yield POSTER
        raise SystemExit(3)

    with (
        pytest.raises(RuntimeError, match="the inputs raised SystemExit"),
        client.run_many(exiting()) as outcomes,
    ):
        assert next(outcomes).ok
        next(outcomes)
    assert client.run(POSTER).is_final


def test_inputs_that_cannot_be_iterated_are_refused_at_once(client: Client) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        client.run_many(3)  # type: ignore[arg-type]


def test_run_many_refuses_a_wrong_bound_with_a_sentence(client: Client) -> None:
    with (
        pytest.raises(liangxin.InputError, match="at least 1"),
        client.run_many([POSTER], max_in_flight=0),
    ):
        pass


def test_a_block_is_entered_once(client: Client) -> None:
    block = client.run_many([POSTER])
    with block as outcomes:
        assert [outcome.ok for outcome in outcomes] == [True]
    with pytest.raises(liangxin.ClientStateError, match="entered before"), block:
        pass


def test_threads_may_share_one_stream_of_outcomes(client: Client, server: Emulator) -> None:
    taken: list[Outcome] = []
    with client.run_many(posters(24), max_in_flight=8) as outcomes:
        threads = [threading.Thread(target=lambda: taken.extend(outcomes)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert sorted(outcome.result().id for outcome in taken) == sorted(charged(server))
    assert len(taken) == 24


# --- the client itself ---------------------------------------------------------------------


def test_base_url_is_known_before_the_first_call(options_of: Options) -> None:
    with Client(**options_of | {"base_url": options_of["base_url"] + "/"}) as client:
        assert client.base_url == options_of["base_url"]


def test_unclaimed_is_empty_when_every_result_was_taken(client: Client) -> None:
    client.run(POSTER)
    assert client.unclaimed == ()


def test_unclaimed_can_be_read_after_the_end(options_of: Options, server: Emulator) -> None:
    with Client(**options_of) as client, client.run_many([POSTER, *[ENDLESS] * 3]) as outcomes:
        assert next(outcomes).ok
    assert {each.input for each in client.unclaimed} <= {ENDLESS}
    assert len(client.unclaimed) == len(server.charges) - 1


def loop_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "liangxin"]


def test_the_thread_starts_with_the_first_call_and_ends_with_close(options_of: Options) -> None:
    client = Client(**options_of)
    assert not loop_threads()
    client.create_task(POSTER)
    assert len(loop_threads()) == 1
    client.close()
    assert not loop_threads()


def test_a_client_works_without_a_with_block(options_of: Options, server: Emulator) -> None:
    with closing(Client(**options_of)) as client:
        task: Task = client.run(POSTER)
    assert charged(server) == [task.id]


def test_a_client_that_was_never_used_closes_at_once(options_of: Options) -> None:
    with Client(**options_of) as client:
        pass
    assert not loop_threads()
    client.close()


def test_bad_options_are_refused_by_the_constructor() -> None:
    with pytest.raises(liangxin.InputError, match="no base_url"):
        Client("sk-test", base_url=" ")


def test_callbacks_may_come_in_any_thread() -> None:
    receiver = CallbackReceiver("https://example.com/liangxin")

    def post(request: httpx.Request) -> httpx.Response:
        path, body = request.url.path, request.content
        return httpx.Response(receiver.handle("POST", path, request.headers, body))

    emulator = Emulator(seed=1, speed=1000, callback_transport=httpx.MockTransport(post))
    with emulator.serve() as url:
        with Client(KEY, base_url=url, callbacks=receiver, poll_interval=600) as client:
            with client.run_many([POSTER] * 10) as outcomes:
                assert sum(outcome.ok for outcome in outcomes) == 10
    assert emulator.looks == 10
    assert [delivery.status for delivery in emulator.callbacks] == [200] * 10
