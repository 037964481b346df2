"""
The receiver on a port that is open to the world: what strangers send, and the callbacks among it.

Real sockets and a server in a process of its own, in each of the ways to serve the receiver.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from attrs import define

from liangxin.emulator import Emulator
from tests.hostile_requests import ALL, CORPUS, Case
from tests.test_callback_receiver import token_of

pytestmark = pytest.mark.campaign

MEMORY = 32 * 1024
"""By how many KiB a server may grow over all that is thrown at it."""
PATIENCE = 30.0
"""Seconds after which a test that waits for an answer has failed."""


@define(eq=False)
class Service:
    """A process that takes callbacks, and the emulator that sends them."""

    emulator: Emulator
    process: subprocess.Popen[str]
    port: int
    memory: int = 0
    """KiB, once it has been used."""

    def run(self, *prompts: str) -> list[str]:
        """Let it create a task for each prompt; the ids of those it was told the ends of."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(prompts) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the service has died"
        return list(json.loads(answer))

    def resident(self) -> int:
        """KiB of memory that it has."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1])


@contextmanager
def serving(mode: str, emulator: Emulator) -> Iterator[Service]:
    """A service in a process of its own, warm."""
    with (
        emulator.serve() as url,
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            [sys.executable, "-m", "tests.callback_service", mode, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            service = Service(emulator, process, int(process.stdout.readline()))
            service.run(*["!slow:0.1s"] * 3)
            if sys.platform == "linux":
                service.memory = service.resident()
            yield service
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
        said.seek(0)
        words = said.read()
        assert not any(token_of(emulator, task_id) in words for task_id in emulator.tasks)
        assert mode != "serving" or words == ""  # mounted, what is logged is uvicorn's affair


@pytest.fixture(scope="module", params=["serving", "h11", "httptools"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """`receiver.serving`, and the app mounted in Starlette under uvicorn, with both its parsers."""
    with serving(request.param, Emulator(speed=1000)) as service:
        yield service


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)


def statuses(received: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


def send(sock: socket.socket, data: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it had heard enough
        sock.sendall(data)


def receive(sock: socket.socket) -> bytes:
    """What comes next; nothing if the other side has hung up."""
    try:
        return sock.recv(65536)
    except ConnectionResetError:  # on a request that it would not read to its end
        return b""


def exchange(service: Service, case: Case, token: bytes) -> list[int]:
    """The statuses of all answers to a case."""
    received = b""
    with connect(service) as sock, ThreadPoolExecutor(1) as sender:
        sender.submit(send, sock, case.data.replace(b"@@", token))
        while len(statuses(received)) < case.answers and (chunk := receive(sock)):
            received += chunk
        sender.submit(send, sock, case.then.replace(b"@@", token)).result()
        with suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        while chunk := receive(sock):
            received += chunk
    return statuses(received)


@pytest.mark.parametrize("group", CORPUS)
def test_what_strangers_send_is_refused_and_callbacks_are_taken_as_before(
    service: Service, group: str
) -> None:
    [task_id] = service.run("a lighthouse in fog")
    token = token_of(service.emulator, task_id).encode()
    looks = service.emulator.looks
    with ExitStack() as open_ones, ThreadPoolExecutor(8) as threads:
        whole = [case for case in CORPUS[group] if case.answers]
        for case in CORPUS[group]:
            if not case.answers:
                sock = open_ones.enter_context(connect(service))
                send(sock, case.data.replace(b"@@", token))
        answers = threads.map(lambda case: exchange(service, case, token), whole)
        wrong = {
            case.name: got
            for case, got in zip(whole, answers, strict=True)
            if not set(got) <= case.statuses
        }
        assert wrong == {}
        assert service.emulator.looks == looks
        found = service.run("a lighthouse at noon", "a lighthouse at night")
    assert len(found) == 2
    assert {service.emulator.looks_of(each) for each in found} == {1}
    if sys.platform == "linux":
        assert service.resident() - service.memory < MEMORY


def test_the_corpus_is_of_more_than_three_hundred_requests_no_two_alike() -> None:
    assert len({(case.data, case.then) for case in ALL}) == len(ALL) > 300


@pytest.mark.parametrize("mode", ["serving", "h11", "httptools"])
def test_callbacks_are_heeded_within_two_seconds_amid_a_thousand_junk_requests_a_second(
    mode: str,
) -> None:
    prompts = [f"!slow:{number / 10:g}s" for number in range(2, 52)]
    with serving(mode, Emulator()) as service:  # as slow as life, so its seconds are ours
        junk = [sys.executable, "-m", "tests.hostile_requests", str(service.port), "5000", "1000"]
        with subprocess.Popen(junk, stdout=subprocess.PIPE, text=True) as flood:
            found = service.run(*prompts)
            answered, seconds = json.loads(flood.communicate(timeout=PATIENCE)[0])
        books = service.emulator
    told = {each.task_id: each for each in books.callbacks}
    looked = {seen.task_id: seen.at for seen in books.requests if seen.endpoint == "look"}
    lags = sorted(looked[each] - books.tasks[each].final_at for each in found)
    report = f"{answered} junk requests in {seconds:.1f} s; slowest lags {lags[-3:]}"
    assert len(found) == 50, report
    assert {(told[each].status, told[each].attempt) for each in found} == {(200, 1)}, report
    assert answered == 5000, report
    assert lags[-1] < 2, report
