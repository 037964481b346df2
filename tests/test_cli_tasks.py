"""`liangxin get`, `wait` and `download`: what was created before, to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from liangxin.emulator import Emulator, Fault
from tests.commands import QUICK, command, records


@pytest.fixture
def still() -> Iterator[Emulator]:
    """A service whose time is moved by the test alone."""
    with (emulator := Emulator(seed=1, speed=0)).serve():
        yield emulator


def created(server: Emulator, count: int) -> list[str]:
    """The ids of new tasks."""
    made = [command("create", "z-image", "-p", f"fog {n}", server=server) for n in range(count)]
    return [each.stdout.strip() for each in made]


def test_get_tells_where_tasks_stand_and_looks_once(still: Emulator) -> None:
    [task] = created(still, 1)
    [record] = records(command("get", task, server=still))
    assert (record["task_id"], record["state"], record["urls"]) == (task, "waiting", [])
    still.advance(600)
    [record] = records(command("get", task, task, server=still))
    assert (record["state"], record["prompt"]) == ("success", "fog 0")
    assert record["urls"][0].startswith(still.base_url)
    assert still.looks == 2
    assert len(still.charges) == 1


def test_for_people_there_is_a_line_for_a_task_and_one_for_each_result(still: Emulator) -> None:
    [task] = created(still, 1)
    still.advance(600)
    head, url = command("get", task, "--format", "human", server=still).stdout.splitlines()
    assert head.split()[:3] == [task, "success", "z-image"]
    assert url.startswith(f"    {still.base_url}")


def test_a_task_that_nobody_knows_is_an_error_beside_the_others(still: Emulator) -> None:
    [task] = created(still, 1)
    done = command("get", "unheard-of", task, server=still)
    assert done.exit_code == 1
    told = {record["task_id"]: record["error"] for record in records(done)}
    assert told == {"unheard-of": "TaskNotFound", task: None}
    assert "Error: " in done.stderr


def test_wait_tells_of_each_task_and_fails_if_some_did(server: Emulator) -> None:
    server.add_fault(Fault("create", "fail", prompt="fog 1", message="too foggy"))
    tasks = created(server, 3)
    done = command("wait", *tasks, *QUICK, server=server)
    assert done.exit_code == 3
    told = {record["task_id"]: record["state"] for record in records(done)}
    assert told == {tasks[0]: "success", tasks[1]: "fail", tasks[2]: "success"}
    assert "too foggy" in done.stderr
    assert "To go on" not in done.stderr
    assert len(server.charges) == 3


def test_wait_for_all_is_one_list_as_json(server: Emulator) -> None:
    tasks = created(server, 2)
    done = command("wait", *tasks, *QUICK, "--format", "json", server=server)
    assert done.exit_code == 0
    assert {record["task_id"] for record in json.loads(done.stdout)} == set(tasks)


def test_wait_for_any_ends_with_the_first_and_names_the_others(still: Emulator) -> None:
    [quick] = created(still, 1)
    still.advance(600)
    [slow] = created(still, 1)
    done = command("wait", slow, quick, "--any", *QUICK, server=still)
    assert done.exit_code == 0
    assert [record["task_id"] for record in records(done)] == [quick]
    assert f"liangxin wait {slow}" in done.stderr


def test_a_time_out_has_an_exit_code_and_names_what_is_left(still: Emulator) -> None:
    tasks = created(still, 2)
    done = command("wait", *tasks, "--timeout", "0.05", *QUICK, server=still)
    assert done.exit_code == 5
    assert {record["error"] for record in records(done)} == {"WaitTimeout"}
    assert f"liangxin wait {tasks[0]} {tasks[1]}" in done.stderr


def test_download_waits_for_tasks_and_prints_where_their_results_are(
    server: Emulator, tmp_path: Path
) -> None:
    tasks = created(server, 2)
    done = command("download", *tasks, "--out", tmp_path / "x", *QUICK, server=server)
    assert done.exit_code == 0
    paths = {tmp_path / "x" / f"{task}.png" for task in tasks}
    assert set(map(Path, done.stdout.splitlines())) == paths
    assert all(path.is_file() for path in paths)
    assert len(server.charges) == 2


def test_several_tasks_do_not_go_into_one_file(server: Emulator, tmp_path: Path) -> None:
    done = command("download", "a", "b", "--out", tmp_path / "x.png", server=server)
    assert done.exit_code == 2
    assert "name a folder" in done.stderr
    assert server.requests == ()


def test_a_result_that_is_gone_can_be_asked_for_again(server: Emulator, tmp_path: Path) -> None:
    server.add_fault(Fault("create", "urls", urls=("https://127.0.0.1:9/private.png",)))
    [task] = created(server, 1)
    done = command("download", task, "--out", tmp_path, *QUICK, server=server)
    assert done.exit_code == 1
    assert "Error: " in done.stderr
    assert f"liangxin download {task} --out {tmp_path}" in done.stderr


@pytest.mark.parametrize("verb", ["get", "wait", "download"])
def test_a_refused_key_has_an_exit_code_of_its_own(verb: str, tmp_path: Path) -> None:
    with (emulator := Emulator(api_keys=["another"])).serve():
        pace = () if verb == "get" else QUICK
        out = ("--out", tmp_path) if verb == "download" else ()
        done = command(verb, "some-task", *pace, *out, server=emulator)
    assert done.exit_code == 4
    assert "401" in done.stderr


def test_what_is_no_id_is_refused_before_anything_is_sent(server: Emulator) -> None:
    assert command("get", "\x1b[2J", server=server).exit_code == 2
    assert server.requests == ()
