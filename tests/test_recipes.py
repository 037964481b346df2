"""
The programs of docs/recipes.md as they are written there (but for the pauses between two looks),
each in a process of its own.

They are judged by the emulator's books: whoever asks twice with one key pays once.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nbclient
import nbformat
import pytest

from liangxin.emulator import Emulator
from tests.test_callback_receiver import free_port

pytestmark = pytest.mark.campaign  # about other packages, and the same on every interpreter

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"
PROMPT = "a lighthouse in fog"


def recipe(name: str) -> str:
    """The block of the page that stands below this marker."""
    _, below = PAGE.read_text(encoding="utf-8").split(f"<!-- run: {name} -->\n```")
    return below.partition("\n")[2].partition("```")[0]


def impatient(program: str) -> str:
    """The same program, with a client that looks at once: it waits for pictures, not for pauses."""
    return program.replace("Client(", "Client(poll_interval=0.05, ")


@pytest.fixture
def service() -> Iterator[Emulator]:
    """The service, with tasks that take half a second."""
    emulator = Emulator(durations=0.5)
    with emulator.serve():
        yield emulator


@pytest.fixture
def surroundings(service: Emulator) -> dict[str, str]:
    """The environment of a program that is to find the emulator."""
    told = {"LIANGXIN_API_KEY": "sk-test", "LIANGXIN_BASE_URL": service.base_url}
    return {**os.environ, **told, "PYTHONPATH": str(PAGE.parents[1])}


@contextmanager
def running(*command: str, cwd: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program of Python's, which is asked to end with the block."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=cwd, env=env, stdout=quiet, stderr=quiet
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def run(program: str, *, cwd: Path, env: dict[str, str]) -> str:
    """Run a program to its end, and return what it printed."""
    (cwd / "program.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- FastAPI -------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, surroundings: dict[str, str]) -> Iterator[httpx.Client]:
    """The service with FastAPI, and a browser of it."""
    (tmp_path / "posters.py").write_text(recipe("FastAPI"), encoding="utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {**surroundings, "PUBLIC_URL": f"{url}/liangxin"}
    # It connects again while the program starts.
    transport = httpx.HTTPTransport(retries=7)
    with running("uvicorn", "posters:app", "--port", str(port), cwd=tmp_path, env=env):
        with httpx.Client(base_url=url, transport=transport, timeout=30) as browser:
            yield browser


def asked(key: str, prompt: str = PROMPT) -> dict[str, Any]:
    return {"params": {"prompt": prompt}, "headers": {"Idempotency-Key": key}}


def test_the_service_with_fastapi_begins_and_is_asked_later_or_waits(
    site: httpx.Client, service: Emulator
) -> None:
    begun = site.post("/tasks", **asked("fog"))
    assert begun.status_code == 202
    urls = site.post("/posters", **asked("fog")).json()
    later = site.get(f"/tasks/{begun.json()['task']}").json()
    assert later == {"state": "success", "urls": urls}
    assert len(service.charges) == 1
    [called] = service.callbacks
    assert called.status == 200


def test_who_hangs_up_and_asks_again_pays_once(site: httpx.Client, service: Emulator) -> None:
    site.get("/openapi.json").raise_for_status()
    with pytest.raises(httpx.ReadTimeout):
        site.post("/posters", **asked("fog"), timeout=0.2)
    assert site.post("/posters", **asked("fog")).status_code == 200
    assert len(service.charges) == 1


def test_errors_become_answers_that_say_what_is_wrong(
    site: httpx.Client, service: Emulator
) -> None:
    refused = site.post("/tasks", **asked("empty", prompt=""))
    site.post("/tasks", **asked("fog")).raise_for_status()
    conflict = site.post("/tasks", **asked("fog", prompt="rain"))
    unknown = site.get("/tasks/task_z-image_1")
    assert [each.status_code for each in (refused, conflict, unknown)] == [422, 409, 404]
    assert "prompt" in refused.json()["error"]
    assert len(service.charges) == 1


# --- Django --------------------------------------------------------------------------------------

FORKED = """
import os
import sys

import django
from django.conf import settings

settings.configure(ROOT_URLCONF="views", ALLOWED_HOSTS=["testserver"], SECRET_KEY="x")
django.setup()
import views  # as gunicorn --preload does

if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
from django.test import Client

for _ in range(2):
    asked = {"prompt": "a lighthouse in fog"}
    answer = Client().post("/posters", asked, HTTP_IDEMPOTENCY_KEY="fog")
    assert answer.status_code == 200, answer.content
    assert answer.json()["urls"]
views.client.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_the_django_view_may_be_imported_before_a_fork_and_pays_once(
    tmp_path: Path, surroundings: dict[str, str], service: Emulator
) -> None:
    (tmp_path / "views.py").write_text(impatient(recipe("Django")), encoding="utf-8")
    run(FORKED, cwd=tmp_path, env=surroundings)
    assert len(service.charges) == 1


# --- Jupyter -------------------------------------------------------------------------------------


def test_cells_show_pictures_and_may_be_run_again(
    tmp_path: Path, service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIANGXIN_API_KEY", "sk-test")
    monkeypatch.setenv("LIANGXIN_BASE_URL", service.base_url)
    blocking, awaiting = impatient(recipe("Jupyter, blocking")), impatient(recipe("Jupyter, await"))
    sources = [blocking, blocking.splitlines()[-1], awaiting, awaiting]
    plain: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None}
    cells = [{**plain, "outputs": [], "source": each} for each in sources]
    book = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
    notebook = nbformat.from_dict(book)  # type: ignore[no-untyped-call]  # it has no types
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=60, resources=resources).execute()
    shown = [cell.outputs[-1]["data"]["text/html"] for cell in notebook.cells]
    assert [each.count("<img") for each in shown] == [1, 1, 3, 3]
    assert len(service.charges) == 1 + 3


# --- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_table_of_prompts_becomes_a_table_of_results_and_is_paid_once(
    library: str, tmp_path: Path, surroundings: dict[str, str], service: Emulator
) -> None:
    pytest.importorskip(library)
    printed = run(2 * impatient(recipe(library)), cwd=tmp_path, env=surroundings)
    assert printed.count("paid") == 2 * 3
    prompts = {task.prompt for task in service.tasks.values()}
    assert prompts == {f"a poster of {film}" for film in ("fog, 1961", "rain, 1974", "snow, 1998")}
    assert len(service.charges) == 3
    assert len(list((tmp_path / "posters").glob("*.png"))) == 3


# --- Celery --------------------------------------------------------------------------------------

FILES = """
from posters import app

app.conf.update(
    broker_url="filesystem://",
    broker_transport_options={
        "data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control",
        "polling_interval": 0.05,
    },
    result_backend="file://results",
)
"""
"""A broker that needs no server; the recipe's is Redis."""
WORKER = ("celery", "-A", "on_files", "worker", "--without-gossip", "--without-mingle")
SEND = """
import on_files
from posters import poster

sent = [poster.delay(key, "a lighthouse in fog") for key in {keys}]
for each in sent:
    told = each.get(timeout=60, propagate=False)
    print(type(told).__name__ if each.failed() else told[0])
"""


@pytest.fixture
def queue(tmp_path: Path, surroundings: dict[str, str]) -> dict[str, str]:
    """The folders of a queue, and the environment of its workers."""
    pytest.importorskip("celery")
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "posters.py").write_text(impatient(recipe("Celery")), encoding="utf-8")
    (tmp_path / "sharded.py").write_text(recipe("Celery, sharded"), encoding="utf-8")
    (tmp_path / "on_files.py").write_text(FILES, encoding="utf-8")
    return {**surroundings, "POSTERS_LEDGER": "posters.db"}


def test_a_message_that_comes_twice_at_once_and_again_after_a_kill_pays_once(
    queue: dict[str, str], tmp_path: Path, service: Emulator
) -> None:
    send = SEND.format(keys=["fog", "fog"])
    threads = (*WORKER, "--pool", "threads")
    with running(*threads, cwd=tmp_path, env=queue) as worker:
        printed = run(send, cwd=tmp_path, env=queue)
        worker.kill()
    with running(*threads, cwd=tmp_path, env=queue):
        printed += run(send, cwd=tmp_path, env=queue)
    [url] = set(printed.split())
    assert url.startswith(service.base_url)
    assert len(service.charges) == 1


def test_a_second_process_of_a_pool_is_refused_by_the_ledger_before_it_pays(
    queue: dict[str, str], tmp_path: Path, service: Emulator
) -> None:
    prefork = (*WORKER, "--pool", "prefork", "--concurrency", "2")
    with running(*prefork, cwd=tmp_path, env=queue):
        printed = run(SEND.format(keys=["fog", "rain"]), cwd=tmp_path, env=queue)
    assert sorted(each.partition(":")[0] for each in printed.split()) == ["LedgerLocked", "http"]
    assert len(service.charges) == 1


def test_a_key_always_goes_to_the_same_queue(queue: dict[str, str], tmp_path: Path) -> None:
    send = "import on_files, sharded\nfor key in ['fog', 'fog', 'rain']: sharded.send(key, key)\n"
    run(send, cwd=tmp_path, env=queue)
    messages = [each.name.split(".")[-2] for each in (tmp_path / "queue").iterdir()]
    assert sorted(Counter(messages).values()) == [1, 2]


# --- CI ------------------------------------------------------------------------------------------


def test_the_steps_of_the_workflow_pass_on_this_machine(tmp_path: Path) -> None:
    for tool in ("bash", "curl"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    workflow = recipe("CI")
    (tmp_path / "test_posters.py").write_text(recipe("CI, pytest"), encoding="utf-8")
    (tmp_path / "program.py").write_text(recipe("CI, program"), encoding="utf-8")
    install, *steps = re.findall(r"- run: (?:\|\n((?: {10}.*\n)+)|(.*)\n)", workflow)
    assert "pip install" in install[1]
    told = dict(re.findall(r"(LIANGXIN_\w+): (.*)", workflow))
    port = str(free_port())
    script = "".join(textwrap.dedent(block or line) + "\n" for block, line in steps)
    env = {
        **os.environ,
        **told,
        "LIANGXIN_BASE_URL": told["LIANGXIN_BASE_URL"].replace("8787", port),
    }
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    env["PYTHONPATH"] = str(PAGE.parents[1])
    command = ["bash", "-euo", "pipefail", "-c", script.replace("8787", port)]
    done = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        said, _ = done.communicate(timeout=120)
    finally:
        os.killpg(done.pid, signal.SIGTERM)  # the emulator runs beside it, as it does there
    assert done.returncode == 0, said
    assert "1 passed" in said
    assert said.count('"amount"') == 1
