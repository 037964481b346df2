"""
What the emulator can take: requests a second in process and as a server, tasks in memory, start.

Rates are those of one core: requests over the CPU time that the emulator's process spent on them,
so that a busy machine changes little.  The server's stands beside a bare starlette application
that reads the same requests and writes answers of the same size, on the same server.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, Router

from liangxin.emulator import Emulator
from liangxin.emulator._app import CREATE_PATH, LOOK_PATH
from liangxin.emulator._server import serve_in_thread
from tests.bench.children import child
from tests.bench.results import Results
from tests.bench.serving import pin_client

ORDER = json.dumps({"model": "z-image", "input": {"prompt": "a lighthouse in fog"}}).encode()
LOOKS_PER_CREATE = 4
CONNECTIONS = 16
TASKS = 100_000
KIB_A_MIB = 1024


def measure(results: Results) -> None:
    """Rates in process and on a socket, memory, and the time to the greeting; medians, in turns."""
    count, turns = (2_000, 3) if results.quick else (20_000, 7)
    inside: list[float] = []
    bare: list[float] = []
    served: list[float] = []
    for _ in range(turns):
        inside.append(child("emulator", {"what": "inside", "count": count})["rps"])
        bare.append(_served("bare", count))
        served.append(_served("emulator", count))
    results.add("emulator_inside_rps", statistics.median(inside))
    results.add("emulator_server_rps", statistics.median(served))
    ratios = [ours / theirs for ours, theirs in zip(served, bare, strict=True)]
    results.add("emulator_vs_bare", statistics.median(ratios))
    kept = child("emulator", {"what": "memory", "count": TASKS})
    results.add("emulator_mib_100k", kept["mib"])
    starts = [_start() for _ in range(turns)]
    results.add("emulator_start_s", statistics.median(starts))
    results.data["emulator"] = {
        "inside": inside,
        "bare": bare,
        "served": served,
        "memory": kept,
        "start": starts,
    }


# --- in process ---------------------------------------------------------------------------------


async def _inside(count: int) -> dict[str, float]:
    """Requests are made beforehand: that is the client's affair."""
    emulator = Emulator(durations=1e9)
    transport = emulator.transport()

    async def answers(requests: list[httpx.Request]) -> tuple[list[bytes], float]:
        start = time.process_time()
        bodies = [await (await transport.handle_async_request(each)).aread() for each in requests]
        return bodies, time.process_time() - start

    await answers([_create()])  # all is imported
    created, creating = await answers([_create() for _ in range(count // (1 + LOOKS_PER_CREATE))])
    ids = [json.loads(body)["data"]["taskId"] for body in created]
    looks = [_look(task_id) for task_id in ids for _ in range(LOOKS_PER_CREATE)]
    _, looking = await answers(looks)
    asked = len(created) + len(looks)
    assert len(emulator.requests) == 1 + asked
    return {"rps": asked / (creating + looking)}


_HEADERS = [(b"host", b"127.0.0.1:9"), (b"authorization", b"Bearer sk-bench")]
_HERE = "http://127.0.0.1:9"


def _create() -> httpx.Request:
    headers = [*_HEADERS, (b"content-type", b"application/json")]
    return httpx.Request("POST", f"{_HERE}{CREATE_PATH}", headers=headers, content=ORDER)


def _look(task_id: str) -> httpx.Request:
    return httpx.Request("GET", f"{_HERE}{LOOK_PATH}?taskId={task_id}", headers=_HEADERS)


async def _memory(count: int) -> dict[str, float]:
    emulator = Emulator(durations=1e9)
    transport = emulator.transport()
    for number in range(count):
        body = json.dumps(
            {"model": "z-image", "input": {"prompt": f"a lighthouse in fog, number {number}"}}
        ).encode()
        request = httpx.Request("POST", f"{_HERE}{CREATE_PATH}", headers=_HEADERS, content=body)
        await (await transport.handle_async_request(request)).aread()
    assert len(emulator.charges) == count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_A_MIB
    return {"mib": peak, "kib_a_task": KIB_A_MIB * peak / count}


# --- as a server --------------------------------------------------------------------------------


def _bare() -> Router:
    """What starlette costs by itself: the same addresses, answers of the same size, no books."""
    numbers = itertools.count(1)
    tasks: dict[str, str] = {}

    async def create(request: Request) -> JSONResponse:
        order = await request.json()
        task_id = f"task_{order['model']}_{next(numbers):013d}"
        tasks[task_id] = (await request.body()).decode()
        return JSONResponse({"code": 200, "msg": "success", "data": {"taskId": task_id}})

    async def look(request: Request) -> JSONResponse:
        task_id = request.query_params["taskId"]
        record = {
            "taskId": task_id,
            "model": "z-image",
            "state": "waiting",
            "param": tasks[task_id],
            "resultJson": "",
            "failCode": "",
            "failMsg": "",
            "costTime": None,
            "completeTime": None,
            "createTime": 1_777_600_000_000,
            "updateTime": 1_777_600_000_000,
        }
        return JSONResponse({"code": 200, "msg": "success", "data": record})

    routes = [
        Route(LOOK_PATH, look, methods=["GET"]),
        Route(CREATE_PATH, create, methods=["POST"]),
    ]
    return Router(routes)


def _serve(side: str) -> None:
    """Serve until standard input ends; prints the address."""
    app = Emulator(durations=1e9).app if side == "emulator" else _bare()
    with serve_in_thread(app, "127.0.0.1", 0) as url:
        print(url, flush=True)
        sys.stdin.read()


def _served(side: str, count: int) -> float:
    """Return requests a second of the server's CPU time."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.emulator", json.dumps({"what": "serve", "side": side})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=pin_client,
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().rpartition(":")[2])
        asyncio.run(_load(port, count // 10))  # everything is imported and compiled
        before = _cpu_of(server.pid)
        asked = asyncio.run(_load(port, count))
        spent = _cpu_of(server.pid) - before
        server.communicate()
    return asked / spent


def _cpu_of(process: int) -> float:
    """Return the seconds of CPU time that a process has spent."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / 100.0  # USER_HZ is 100 on every Linux that Python knows


async def _load(port: int, count: int) -> int:
    """Send `count` requests over a few kept connections; returns how many it were."""
    each = count // CONNECTIONS
    return sum(await asyncio.gather(*(_talk(port, each) for _ in range(CONNECTIONS))))


async def _talk(port: int, count: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer sk-bench\r\n"
    create = (
        f"POST {CREATE_PATH} HTTP/1.1\r\n{head}Content-Type: application/json\r\n"
        f"Content-Length: {len(ORDER)}\r\n\r\n"
    ).encode() + ORDER
    asked = 0
    while asked < count:
        task_id = json.loads(await _ask(reader, writer, create))["data"]["taskId"]
        look = f"GET {LOOK_PATH}?taskId={task_id} HTTP/1.1\r\n{head}\r\n".encode()
        for _ in range(LOOKS_PER_CREATE):
            await _ask(reader, writer, look)
        asked += 1 + LOOKS_PER_CREATE
    writer.close()
    return asked


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200"), head
    return await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))


def _start() -> float:
    """Return the seconds from nothing to the greeting, which comes when it listens."""
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "liangxin.emulator", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        program.stderr.readline()
        seconds = time.perf_counter() - start
        program.terminate()
    return seconds


def main(job: dict[str, Any]) -> None:
    """One job in a process of its own."""
    if job["what"] == "serve":
        _serve(job["side"])
    else:
        jobs = {"inside": _inside, "memory": _memory}
        print(json.dumps(anyio.run(jobs[job["what"]], job["count"])))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
