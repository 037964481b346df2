"""What is logged of a client, and that `LIANGXIN_LOG` brings it to standard error."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import anyio
import pytest

import liangxin
from liangxin import RawInput
from liangxin._logging import log_event, log_to_stderr
from liangxin._text import without_queries
from liangxin.emulator import Emulator, Fault
from liangxin.hooks import Event
from tests.conftest import KEY

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
Clients = Callable[..., liangxin.AsyncClient]


@pytest.fixture
def emulator() -> Emulator:
    """Every task takes 20 seconds."""
    return Emulator(seed=1, clock=anyio.current_time, durations=20.0)


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records if record.name == "liangxin"]


@pytest.mark.virtual_time
async def test_info_is_what_costs_and_what_ends(
    client_of: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "liangxin")
    async with client_of() as client:
        task = await client.run(POSTER)
    created, ended = caplog.messages
    assert re.fullmatch(rf"created {task.id} of z-image in 0\.\d\d s", created)
    assert re.fullmatch(
        rf"{task.id}: success after 2\d\.\d s, \d+ looks?, found \d\.\d s late", ended
    )


@pytest.mark.virtual_time
async def test_debug_has_every_request_besides(
    emulator: Emulator, client_of: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "liangxin")
    async with client_of() as client:
        task = await client.run(POSTER)
    about_looks = [line for line in caplog.messages if line.startswith("recordInfo of")]
    assert len(about_looks) == emulator.looks_of(task.id)
    assert any(line.startswith("createTask, attempt 1") for line in caplog.messages)


@pytest.mark.virtual_time
async def test_a_retry_is_one_line_with_its_reason_and_its_pause(
    emulator: Emulator, client_of: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.add_fault(Fault("create", status=429, headers={"Retry-After": "60"}, count=1))
    caplog.set_level(logging.INFO, "liangxin")
    async with client_of() as client:
        await client.create_task(POSTER)
    assert re.search(r"emulated fault.*; trying again in 6\d\.\d s", caplog.messages[0])


@pytest.mark.virtual_time
async def test_a_doubt_is_a_warning_with_what_helps_to_settle_it(
    emulator: Emulator, client_of: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.add_fault(Fault("create", "withhold", count=1))
    caplog.set_level(logging.INFO, "liangxin")
    async with client_of() as client:
        with pytest.raises(liangxin.AmbiguousCreate) as caught:
            await client.create_task(POSTER)
    assert levels(caplog) == ["WARNING"]
    assert caught.value.client_ref in caplog.text


@pytest.mark.virtual_time
async def test_no_line_tells_a_secret(
    emulator: Emulator, client_of: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.fail_next_task(message=f"https://example.com/cat.png?sig=0123abcd {KEY}\x1b[31m")
    caplog.set_level(logging.DEBUG, "liangxin")
    async with client_of() as client:
        with pytest.raises(liangxin.TaskFailed):
            await client.run(POSTER)
    assert "https://example.com/cat.png?…" in caplog.text
    for secret in (KEY, "0123abcd", "lighthouse", "\x1b"):
        assert secret not in caplog.text


def test_an_event_of_a_later_version_is_logged_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "liangxin")
    log_event(Event(host="api.example.com", port=443))
    assert caplog.messages == ["Event(host='api.example.com', port=443)"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://example.com/a.png?sig=1&x=2 there", "see https://example.com/a.png?… there"),
        ("'https://example.com/a?sig=1'", "'https://example.com/a?…'"),
        ("s3://bucket/a#part", "s3://bucket/a?…"),
        ("http://me:secret@proxy.example:3128: refused", "http://proxy.example:3128: refused"),
        ("is this a question? yes", "is this a question? yes"),
        ("recordInfo?taskId=t1", "recordInfo?taskId=t1"),
    ],
)
def test_an_address_is_shown_without_its_query_and_its_user(text: str, shown: str) -> None:
    assert without_queries(text) == shown


# --- LIANGXIN_LOG ---------------------------------------------------------------------------


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The package's logger, left as it was."""
    logger = logging.getLogger("liangxin")
    handlers, level = [*logger.handlers], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def open_and_close_a_client() -> None:
    with liangxin.Client(KEY, base_url="https://api.example.com"):
        pass


@pytest.mark.usefixtures("logger")
def test_lines_go_to_standard_error_once_however_many_clients_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIANGXIN_LOG", " Info ")
    open_and_close_a_client()
    open_and_close_a_client()
    log_event(Event(host="api.example.com", port=443))
    [line] = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO    liangxin  Event\(.*\)", line)


@pytest.mark.usefixtures("logger")
def test_other_lines_of_the_package_are_redacted_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_to_stderr("info")
    logging.getLogger("liangxin").warning("%s is gone", "https://example.com/a?sig=0123abcd")
    assert capsys.readouterr().err.endswith("https://example.com/a?… is gone\n")


def test_without_the_variable_no_handler_is_there(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIANGXIN_LOG", raising=False)
    before = [*logger.handlers]
    open_and_close_a_client()
    assert logger.handlers == before


def test_an_unknown_value_costs_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANGXIN_LOG", "verbose")
    code = "import liangxin\nfor _ in 1, 2: liangxin.Client('sk-x', base_url='https://x.example')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "LIANGXIN_LOG can be debug or info, not 'verbose': nothing is changed\n"
