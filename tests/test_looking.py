"""
wait, watch, run and get_task: what is looked at, when, and what ends it.  In virtual time.
"""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

import liangxin
from liangxin import RawInput, TaskState
from liangxin.emulator import Emulator, Fault

pytestmark = pytest.mark.virtual_time

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
Clients = Callable[..., liangxin.AsyncClient]


@pytest.fixture
def emulator() -> Emulator:
    """Every task takes 20 seconds."""
    return Emulator(seed=1, clock=anyio.current_time, durations=20.0)


async def test_run_creates_once_and_returns_the_result(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of() as client:
        task = await client.run(POSTER)
    assert task.state is TaskState.SUCCESS
    assert task.urls
    assert [charge.task_id for charge in emulator.charges] == [task.id]
    assert anyio.current_time() == pytest.approx(20, abs=5)


def looks_at(emulator: Emulator) -> list[float]:
    return [seen.at for seen in emulator.requests if seen.method == "GET"]


async def test_no_two_looks_at_a_task_are_closer_or_further_apart_than_allowed(
    client_of: Clients,
) -> None:
    emulator = Emulator(seed=1, clock=anyio.current_time, durations=600.0)
    async with client_of(
        transport=emulator.transport(), min_interval=3, max_interval=20, lag_weight=0.05
    ) as client:
        await client.run(POSTER)
    pauses = [later - earlier for earlier, later in pairwise(looks_at(emulator))]
    assert 3 * 0.9 <= min(pauses) < 5
    assert max(pauses) <= 20 * 1.1


async def test_a_fixed_interval_is_kept(client_of: Clients) -> None:
    emulator = Emulator(seed=1, clock=anyio.current_time, durations=600.0)
    async with client_of(transport=emulator.transport(), poll_interval=10) as client:
        await client.run(POSTER)
    pauses = [later - earlier for earlier, later in pairwise(looks_at(emulator))]
    assert all(9 <= pause <= 11 for pause in pauses)
    assert len(pauses) >= 54


async def test_looks_are_saved_by_what_was_learned(client_of: Clients) -> None:
    """Tasks of a minute, where a few seconds were expected."""
    emulator = Emulator(seed=1, clock=anyio.current_time, durations=60.0)
    async with client_of(transport=emulator.transport()) as client:
        counts = []
        for _ in range(60):
            task = await client.run(POSTER)
            counts.append(emulator.looks_of(task.id))
    assert sum(counts[-10:]) < 0.75 * sum(counts[:10])


async def test_what_was_learned_is_kept_for_the_next_client(
    client_of: Clients, tmp_path: Path
) -> None:
    emulator = Emulator(seed=1, clock=anyio.current_time, durations=60.0)
    file = tmp_path / "durations.json"
    counts: list[int] = []
    for tasks in (40, 10):
        async with client_of(transport=emulator.transport(), durations=file) as client:
            for _ in range(tasks):
                counts.append(emulator.looks_of((await client.run(POSTER)).id))
    assert sum(counts[40:]) < 0.8 * sum(counts[:10])
    assert [path.name for path in tmp_path.iterdir()] == ["durations.json"]


@pytest.mark.parametrize("junk", ["", "{", "[]", '{"version": 2, "models": {}}', '{"models": 3}'])
async def test_a_file_of_durations_that_is_none_costs_a_warning(
    junk: str, client_of: Clients, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "durations.json"
    file.write_text(junk)
    async with client_of(durations=file) as client:
        assert (await client.run(POSTER)).urls
    assert "learned anew" in caplog.text
    assert "z-image" in file.read_text()


async def test_a_task_that_was_created_a_while_ago_is_not_too_young(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of() as client:
        task = await client.create_task(POSTER)
        await anyio.sleep(1000)
        before = anyio.current_time()
        await client.wait(task)
        assert anyio.current_time() == before
    assert emulator.looks == 1


async def test_get_task_is_one_look(emulator: Emulator, client_of: Clients) -> None:
    async with client_of() as client:
        task = await client.create_task(POSTER)
        again = await client.get_task(task)
        assert again.id == task.id == (await client.get_task(task.id)).id
        assert not again.is_final
    assert emulator.looks == 2


async def test_watch_yields_each_state_once_and_ends(client_of: Clients) -> None:
    async with client_of(poll_interval=0.5) as client:
        task = await client.create_task(POSTER)
        states = [snapshot.state async for snapshot in client.watch(task)]
    assert states[0] is TaskState.WAITING
    assert states[-1] is TaskState.SUCCESS
    assert len(states) == len(set(states))


async def test_watching_a_task_that_has_ended_yields_it_without_a_look(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of() as client:
        task = await client.run(POSTER)
        looks = emulator.looks
        assert [snapshot async for snapshot in client.watch(task)] == [task]
    assert emulator.looks == looks


async def test_watch_does_not_raise_for_a_task_that_fails(
    emulator: Emulator, client_of: Clients
) -> None:
    emulator.fail_next_task("500", "the upstream gave up")
    async with client_of() as client:
        task = await client.create_task(POSTER)
        async for snapshot in client.watch(task):
            last = snapshot
    assert (last.state, last.fail_code) == (TaskState.FAIL, "500")


async def test_a_task_that_fails_raises_with_its_snapshot(
    emulator: Emulator, client_of: Clients
) -> None:
    emulator.fail_next_task("500", "the upstream gave up")
    async with client_of() as client:
        with pytest.raises(liangxin.TaskFailed, match="the upstream gave up") as caught:
            await client.run(POSTER)
    assert caught.value.task.fail_message == "the upstream gave up"


async def test_a_time_out_says_that_the_task_goes_on_and_waiting_again_picks_it_up(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of() as client:
        with pytest.raises(liangxin.WaitTimeout, match="wait\\(\\) again") as caught:
            await client.run(POSTER, timeout=10)
        assert anyio.current_time() == pytest.approx(10, abs=0.01)
        task = await client.wait(caught.value.task)
        assert task.state is TaskState.SUCCESS
    assert len(emulator.charges) == 1


async def test_a_time_out_strikes_while_a_look_hangs(
    emulator: Emulator, client_of: Clients
) -> None:
    emulator.add_fault(Fault("look", "delay", delay=29, count=None))
    async with client_of() as client:
        task = await client.create_task(POSTER)
        with pytest.raises(liangxin.WaitTimeout):
            await client.wait(task, timeout=7)
    assert anyio.current_time() == pytest.approx(7, abs=30)
    assert emulator.looks == 1


async def test_waiting_for_a_final_task_needs_no_look(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of() as client:
        task = await client.run(POSTER)
        looks = emulator.looks
        assert await client.wait(task) is task
    assert emulator.looks == looks


async def test_many_who_wait_for_one_task_share_its_looks(
    emulator: Emulator, client_of: Clients
) -> None:
    found: list[str] = []
    async with client_of() as client:
        task = await client.create_task(POSTER)

        async def wait() -> None:
            found.append((await client.wait(task)).id)

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(wait)
    assert found == [task.id] * 50
    assert emulator.looks < 20


async def test_whoever_leaves_takes_nothing_from_the_others(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of() as client:
        task = await client.create_task(POSTER)
        async with anyio.create_task_group() as group:
            group.start_soon(client.wait, task)
            with anyio.move_on_after(5):
                await client.wait(task)
        assert client._poller.waiting == 0
        looks = emulator.looks
        await anyio.sleep(1000)
        assert emulator.looks == looks


async def test_a_watch_that_is_left_early_leaves_nothing_behind(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of() as client:
        task = await client.create_task(POSTER)
        watching = client.watch(task)
        async for _ in watching:
            break
        await watching.aclose()  # type: ignore[attr-defined]  # an async generator
        gc.collect()
        assert client._poller.waiting == 0


# --- trouble --------------------------------------------------------------------------------

TROUBLE = {
    "500": Fault("look", status=500, count=4),
    "502 page": Fault("look", status=502, body="<html>bad gateway</html>", count=4),
    "503": Fault("look", status=503, headers={"Retry-After": "2"}, count=4),
    "408": Fault("look", status=408, count=4),
    "429": Fault("look", status=429, count=4),
    "dropped": Fault("look", "drop_before", count=4),
    "cut": Fault("look", "cut", count=4),
    "garbage": Fault("look", "garbage", count=4),
    "another task's answer": Fault("look", "wrong_task_id", count=4),
    "unknown for a moment": Fault("look", "lost", count=4),
    "refused twice": Fault("look", status=401, envelope="gateway", count=2),
    "silence": Fault("look", "delay", delay=40, count=2),
    "data null": Fault("look", "replace", body='{"code":200,"msg":"success","data":null}', count=3),
}


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_trouble_with_looking_is_a_reason_to_look_again_later(
    trouble: str, client_of: Clients
) -> None:
    emulator = Emulator(seed=1, clock=anyio.current_time, durations=20.0)
    emulator.add_fault(TROUBLE[trouble])
    async with client_of(transport=emulator.transport()) as client:
        task = await client.run(POSTER, timeout=300)
    assert task.state is TaskState.SUCCESS
    assert len(emulator.charges) == 1


async def test_a_key_that_is_refused_three_times_in_a_row_is_believed(
    emulator: Emulator, client_of: Clients
) -> None:
    emulator.add_fault(Fault("look", status=401, envelope="gateway", count=None))
    async with client_of() as client:
        with pytest.raises(liangxin.Unauthorized):
            await client.run(POSTER)
        assert [outcome.task.id for outcome in client.unclaimed if outcome.task] == [
            charge.task_id for charge in emulator.charges
        ]
    assert emulator.looks == 3


async def test_a_task_is_lost_only_after_a_minute_of_answers_that_say_so(
    emulator: Emulator, client_of: Clients
) -> None:
    emulator.add_fault(Fault("look", "lost", count=None))
    async with client_of() as client:
        with pytest.raises(liangxin.TaskLost, match="before you pay for another") as caught:
            await client.run(POSTER)
        assert anyio.current_time() >= 60
        assert isinstance(caught.value.__cause__, liangxin.TaskNotFound)
    assert emulator.looks >= 3


def _record(state: str, task: str) -> bytes:
    data = {"taskId": task, "state": state, "resultJson": '{"resultUrls":["https://x.example/1"]}'}
    return json.dumps({"code": 200, "msg": "success", "data": data}).encode()


async def _states(emulator: Emulator, client_of: Clients, *states: str) -> list[TaskState]:
    async with client_of() as client:
        task = await client.create_task(POSTER)
        for state in states:
            emulator.add_fault(Fault("look", "replace", body=_record(state, task.id), count=1))
        return [snapshot.state async for snapshot in client.watch(task)]


async def test_a_state_never_goes_backwards(emulator: Emulator, client_of: Clients) -> None:
    seen = await _states(emulator, client_of, "generating", "waiting", "queuing", "success")
    assert seen == [TaskState.GENERATING, TaskState.SUCCESS]


async def test_a_state_of_a_new_name_is_not_the_end(
    emulator: Emulator, client_of: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    seen = await _states(emulator, client_of, "waiting", "painting", "painting", "success")
    assert seen == [TaskState.WAITING, TaskState.UNRECOGNIZED, TaskState.SUCCESS]
    assert sum("painting" in record.getMessage() for record in caplog.records) == 1


# --- budget ---------------------------------------------------------------------------------


async def test_all_tasks_together_stay_within_the_budget(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of(poll_budget=5) as client:
        inputs = [POSTER] * 100
        async with client.run_many(inputs, max_in_flight=100) as outcomes:
            assert [outcome.ok async for outcome in outcomes] == [True] * 100
    times = [seen.at for seen in emulator.requests if seen.method == "GET"]
    for start in times:
        assert sum(start <= at < start + 10 for at in times) <= 5 * 10 + 5 + 1


async def test_retry_after_on_a_look_holds_every_look(
    emulator: Emulator, client_of: Clients
) -> None:
    emulator.add_fault(Fault("look", status=429, headers={"Retry-After": "30"}, count=1))
    async with client_of() as client:
        async with client.run_many([POSTER] * 20) as outcomes:
            assert [outcome.ok async for outcome in outcomes] == [True] * 20
    times = [seen.at for seen in emulator.requests if seen.method == "GET"]
    refused = next(seen.at for seen in emulator.requests if seen.status == 429)
    assert not [at for at in times if refused < at < refused + 30]


# --- creates that are refused for now -------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
async def test_a_create_waits_as_long_as_it_was_told(
    status: int, emulator: Emulator, client_of: Clients
) -> None:
    emulator.add_fault(Fault("create", status=status, headers={"Retry-After": "120"}, count=1))
    async with client_of() as client:
        await client.create_task(POSTER)
    assert anyio.current_time() == pytest.approx(120, abs=1)
    assert len(emulator.charges) == 1


async def test_a_wait_that_is_too_long_is_told_instead_of_waited(
    emulator: Emulator, client_of: Clients
) -> None:
    emulator.add_fault(Fault("create", status=429, headers={"Retry-After": "301"}, count=1))
    async with client_of() as client:
        with pytest.raises(liangxin.RateLimited) as caught:
            await client.create_task(POSTER)
    assert caught.value.retry_after == 301
    assert anyio.current_time() < 1


async def test_one_refusal_for_now_holds_every_create(
    emulator: Emulator, client_of: Clients
) -> None:
    emulator.add_fault(Fault("create", status=429, headers={"Retry-After": "60"}, count=1))
    async with client_of(max_connections=1) as client:
        async with client.run_many([POSTER] * 5) as outcomes:
            assert [outcome.ok async for outcome in outcomes] == [True] * 5
    times = [seen.at for seen in emulator.requests if seen.method == "POST"]
    assert all(at >= 60 for at in times if at > times[0] + 1)


@pytest.mark.parametrize("leaving", ["the caller is cancelled", "the client closes"])
async def test_nobody_waits_any_more_so_a_refusal_for_now_is_final(
    leaving: str, emulator: Emulator, client_of: Clients
) -> None:
    emulator.add_fault(
        Fault("create", status=429, headers={"Retry-After": "60"}, delay=20, count=1)
    )
    async with client_of() as client, anyio.create_task_group() as group:
        group.start_soon(_forgiving, client)
        await anyio.sleep(5)
        if leaving == "the client closes":
            await client.aclose()
            assert anyio.current_time() == pytest.approx(20, abs=0.1)
        else:
            group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(200)
    assert len(emulator.requests) == 1
    assert emulator.charges == ()


async def _forgiving(client: liangxin.AsyncClient) -> None:
    with contextlib.suppress(liangxin.RateLimited):
        await client.create_task(POSTER)


async def test_the_retry_budget_ends(emulator: Emulator, client_of: Clients) -> None:
    emulator.add_fault(Fault("create", status=429, count=None))
    async with client_of(max_retries=3) as client:
        with pytest.raises(liangxin.RateLimited):
            await client.create_task(POSTER)
    assert len(emulator.requests) == 4
    assert emulator.charges == ()


async def test_what_never_left_is_sent_again(emulator: Emulator, client_of: Clients) -> None:
    class Unreachable:
        """Fails to connect twice, then connects."""

        def __init__(self) -> None:
            self.inner = emulator.transport()
            self.left = 2

        async def handle_async_request(self, request: Any) -> Any:
            import httpx

            if self.left:
                self.left -= 1
                raise httpx.ConnectError("unreachable")
            return await self.inner.handle_async_request(request)

        async def aclose(self) -> None:
            await self.inner.aclose()

    async with client_of(transport=Unreachable()) as client:
        await client.create_task(POSTER)
    assert len(emulator.charges) == 1


async def test_a_lost_answer_is_never_sent_again(emulator: Emulator, client_of: Clients) -> None:
    emulator.withhold_answer_to_next_create()
    async with client_of() as client:
        with pytest.raises(liangxin.AmbiguousCreate):
            await client.create_task(POSTER)
    assert len(emulator.charges) == 1


async def test_results_of_an_emulator_in_process_are_downloaded_without_the_key(
    emulator: Emulator, client_of: Clients, tmp_path: Path
) -> None:
    async with client_of() as client:
        (picture,) = await client.download(await client.run(POSTER), tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    fetched = [seen for seen in emulator.requests if seen.endpoint == "result"]
    assert fetched
    assert not [seen for seen in fetched if seen.key_hash or "authorization" in seen.headers]


async def test_a_download_is_watched_file_by_file_to_its_end(
    client_of: Clients, tmp_path: Path
) -> None:
    async with client_of() as client:
        task = await client.run(POSTER)
        progress = [each async for each in client.watch_download(task, tmp_path, name="fog")]
    assert progress[-1].path == tmp_path / "fog.png"
    assert progress[-1].received == progress[-1].total == (tmp_path / "fog.png").stat().st_size
    assert all(each.path is None for each in progress[:-1])


async def test_a_watched_download_that_fails_says_so(client_of: Clients, tmp_path: Path) -> None:
    policy = liangxin.DownloadPolicy(max_bytes=100)
    async with client_of(download_policy=policy) as client:
        task = await client.run(POSTER)
        with pytest.raises(liangxin.TooLarge, match="100 bytes"):
            async for _ in client.watch_download(task, tmp_path):
                pass
    assert list(tmp_path.iterdir()) == []


async def test_a_watched_download_that_is_left_ends(
    emulator: Emulator, client_of: Clients, tmp_path: Path
) -> None:
    emulator.add_fault(Fault("result", "delay", delay=20.0))
    async with client_of() as client:
        task = await client.run(POSTER)
        with anyio.move_on_after(1):
            async for _ in client.watch_download(task, tmp_path):
                raise AssertionError("nothing has come")
    assert list(tmp_path.iterdir()) == []
    assert [seen.status for seen in emulator.requests if seen.endpoint == "result"] == [200]


async def test_stats_agree_with_the_books_of_the_other_side(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of(rate_limit="100/s") as client:
        assert client.stats().looks_per_task is None
        async with client.run_many([POSTER] * 30, max_in_flight=30) as outcomes:
            await anext(outcomes)
            assert 0 < client.stats().waiting < 30
            async for _ in outcomes:
                pass
        stats = client.stats()
    assert (stats.looks, stats.found, stats.waiting) == (emulator.looks, 30, 0)
    assert stats.looks_per_task == emulator.looks / 30
    lags = [_lag(emulator, task) for task in emulator.tasks]
    assert stats.mean_lag == pytest.approx(sum(lags) / 30, abs=0.01)
    assert stats.durations["z-image"].finished == 30
    assert 10 < stats.durations["z-image"].median < 30
    assert (stats.create_rate, stats.busy_connections, stats.poll_price) == (100, 0, 1)


def _lag(emulator: Emulator, task: str) -> float:
    """From the end of a task to the look that found it, by the emulator's books."""
    record = emulator.tasks[task]
    found = max(seen.at for seen in emulator.requests if seen.task_id == task)
    return found - (record.created_at + record.duration)
