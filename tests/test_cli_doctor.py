"""`liangxin doctor`: one real thing is broken in each test, and the line of that thing says so."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from liangxin.cli._doctor import rich_lines
from liangxin.cli._doctor._findings import Finding
from liangxin.emulator import Emulator
from liangxin.ledger import Ledger
from tests import raw_server
from tests.commands import KEY, command, records
from tests.test_ledger_cli import doubt, plan

PROXIES = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY"))
NOT_FOUND = b'{"code": 404, "msg": "Task not found", "data": null}'


def findings(
    *args: object, server: Emulator | None = None, **env: str | None
) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the findings by the name of the check."""
    done = command("doctor", "--format", "jsonl", *args, server=server, **PROXIES | env)
    return done.exit_code, {each["check"]: each for each in records(done)}


def states(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: each["state"] for name, each in found.items()}


# --- where all is well ---------------------------------------------------------------------------


def test_nothing_is_wrong_nothing_is_created_and_the_service_is_asked_once(
    server: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, found = findings(server=server)
    assert code == 0
    assert list(found) == [
        *("versions", "extras", "base URL", "DNS", "proxy", "TCP"),
        *("service", "key", "clock", "ledger"),
    ]
    assert set(states(found).values()) == {"ok"}
    assert server.charges == ()
    assert [request.endpoint for request in server.requests] == ["look"]
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_service_is_as_good_as_any() -> None:
    code, found = findings("--emulator")
    assert (code, found["key"]["state"]) == (0, "ok")


def test_a_pipe_gets_a_plain_line_for_each_check(server: Emulator) -> None:
    done = command("doctor", server=server, **PROXIES)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * 10
    assert "Nothing is wrong." in done.stderr
    assert command("doctor", "--format", "quiet", server=server, **PROXIES).output == ""


def test_a_terminal_gets_the_mending_below_what_is_wrong() -> None:
    from rich.console import Console

    console = Console(width=60, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(rich_lines([Finding("key", "fails", "[b]not set", "set it")]))
    console.file.close()
    first, second = console.export_text().splitlines()
    assert first.split() == ["fails", "key", "[b]not", "set"]
    assert second.split() == ["set", "it"]


# --- the key -------------------------------------------------------------------------------------


def test_a_key_that_is_refused_has_an_exit_code_of_its_own() -> None:
    with (emulator := Emulator(api_keys=["sk-another"])).serve():
        code, found = findings(server=emulator)
    assert (code, found["key"]["state"], found["service"]["state"]) == (4, "fails", "ok")
    assert "refused" in found["key"]["found"]
    assert "LIANGXIN_API_KEY" in found["key"]["mend"]


@pytest.mark.parametrize("key", [None, "two words"])
def test_what_is_no_key_is_not_sent(server: Emulator, key: str | None) -> None:
    code, found = findings(server=server, LIANGXIN_API_KEY=key)
    assert (code, found["key"]["state"]) == (4, "fails")
    assert "service" not in found
    assert server.looks == 0


# --- the address ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said"),
    [(None, "not set"), ("http://market.example", "plain http"), ("market", "not an http")],
)
def test_an_address_that_is_none_fails_alone(url: str | None, said: str) -> None:
    code, found = findings(LIANGXIN_BASE_URL=url, LIANGXIN_API_KEY=KEY)
    assert (code, found["base URL"]["state"]) == (1, "fails")
    assert said in found["base URL"]["found"]
    assert "TLS" not in found


def test_a_host_that_nobody_knows_is_not_found() -> None:
    code, found = findings("--base-url", "https://market.invalid", LIANGXIN_API_KEY=KEY)
    assert (code, found["DNS"]["state"], found["TLS"]["state"]) == (1, "fails", "fails")
    assert found["key"]["state"] == "skipped"


def test_a_port_on_which_nobody_listens_is_refused() -> None:
    code, found = findings("--base-url", f"http://127.0.0.1:{free_port()}", LIANGXIN_API_KEY=KEY)
    assert (code, found["TCP"]["state"], found["service"]["state"]) == (1, "fails", "fails")
    assert "ConnectionRefusedError" in found["TCP"]["found"]


def test_another_site_is_not_taken_for_the_market() -> None:
    with answering(b"<html>Welcome</html>") as url:
        code, found = findings("--base-url", url, LIANGXIN_API_KEY=KEY)
    assert (code, found["service"]["state"], found["key"]["state"]) == (1, "fails", "skipped")
    assert "base URL" in found["service"]["mend"]


# --- certificates and clocks ---------------------------------------------------------------------


def test_a_certificate_that_nobody_vouches_for_is_refused_in_openssls_words() -> None:
    with answering(NOT_FOUND, certificate=trustme.CA().issue_cert("localhost")) as url:
        code, found = findings("--base-url", url, LIANGXIN_API_KEY=KEY)
    assert (code, found["TLS"]["state"]) == (1, "fails")
    assert "unable to get local issuer certificate" in found["TLS"]["found"]
    assert "SSL_CERT_FILE" in found["TLS"]["mend"]


def test_a_certificate_that_is_trusted_says_by_whom_and_how_long(tmp_path: Path) -> None:
    ca = trustme.CA(organization_name="The Fog Company")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    trusted: dict[str, Any] = {"SSL_CERT_FILE": str(tmp_path / "ca.pem"), "LIANGXIN_API_KEY": KEY}
    with answering(NOT_FOUND, certificate=ca.issue_cert("localhost")) as url:
        code, found = findings("--base-url", url, **trusted)
    assert (code, found["TLS"]["state"]) == (0, "ok")
    assert "certificate by The Fog Company, good for" in found["TLS"]["found"]
    with answering(NOT_FOUND, certificate=ca.issue_cert("elsewhere.example")) as url:
        code, found = findings("--base-url", url, **trusted)
    assert (code, found["TLS"]["state"]) == (1, "fails")
    assert "is not localhost" in found["TLS"]["mend"]


def test_a_certificate_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with answering(NOT_FOUND, certificate=trustme.CA().issue_cert("localhost")) as url:
        told: dict[str, Any] = {
            "SSL_CERT_FILE": str(tmp_path / "none.pem"),
            "LIANGXIN_API_KEY": KEY,
        }
        code, found = findings("--base-url", url, **told)
    assert (code, found["TLS"]["state"]) == (1, "fails")
    assert "none.pem" in found["TLS"]["found"]
    assert "SSL_CERT_FILE" in found["service"]["found"]


def test_a_clock_that_is_years_off_is_only_a_warning() -> None:
    with answering(NOT_FOUND, b"Date: Tue, 01 Jan 2019 00:00:00 GMT\r\n") as url:
        code, found = findings("--base-url", url, LIANGXIN_API_KEY=KEY)
    assert (code, found["clock"]["state"], found["key"]["state"]) == (0, "warning", "ok")
    assert "s ahead of the service's" in found["clock"]["found"]


# --- proxies -------------------------------------------------------------------------------------


def test_a_dead_proxy_fails_and_its_password_stays_unseen() -> None:
    proxy = f"http://me:hunter2@127.0.0.1:{free_port()}"
    told: dict[str, Any] = {"HTTPS_PROXY": proxy, "LIANGXIN_API_KEY": KEY}
    code, found = findings("--base-url", "https://market.invalid", **told)
    assert (code, found["proxy"]["state"], found["DNS"]["state"]) == (1, "fails", "warning")
    assert "NO_PROXY" in found["proxy"]["mend"]
    assert "hunter2" not in str(found)
    assert "(HTTPS_PROXY)" in found["proxy"]["found"]


def test_the_certificate_behind_a_proxy_is_looked_at_too(tmp_path: Path) -> None:
    ca = trustme.CA(organization_name="The Fog Company")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    inner = context_of(ca.issue_cert("market.invalid"))

    def proxy(connection: raw_server.Connection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 Connected\r\n\r\n")
        with inner.wrap_socket(connection.sock, server_side=True) as connection.sock:
            connection.read_request()
            connection.answer(404, NOT_FOUND)

    with raw_server.serving(proxy) as served:
        code, found = findings(
            *("--base-url", "https://market.invalid"),
            LIANGXIN_API_KEY=KEY,
            SSL_CERT_FILE=str(tmp_path / "ca.pem"),
            HTTPS_PROXY=f"http://me:hunter2@127.0.0.1:{served.port}",
        )
    assert (code, found["TLS"]["state"], found["key"]["state"]) == (0, "ok", "ok")
    tunnels = [each for each in served.requests if each.startswith(b"CONNECT market.invalid:443")]
    assert len(tunnels) == 2
    assert all(b"Proxy-Authorization: Basic bWU6aHVudGVyMg==" in each for each in tunnels)


def test_a_proxy_that_refuses_says_so_in_its_own_words() -> None:
    def proxy(connection: raw_server.Connection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 407 Who\x1b[2J are you\r\n\r\n")

    with raw_server.serving(proxy) as served:
        told: dict[str, Any] = {
            "HTTPS_PROXY": f"http://127.0.0.1:{served.port}",
            "LIANGXIN_API_KEY": KEY,
        }
        code, found = findings("--base-url", "https://market.invalid", **told)
    assert (code, found["proxy"]["state"], found["TLS"]["state"]) == (1, "ok", "fails")
    assert "407 Who\ufffd[2J are you" in found["TLS"]["found"]


# --- ledgers -------------------------------------------------------------------------------------


def test_a_locked_ledger_says_who_holds_it(server: Emulator, tmp_path: Path) -> None:
    with Ledger(tmp_path / "posters.db"):
        code, found = findings("--ledger", tmp_path / "posters.db", server=server)
    assert (code, found["ledger"]["state"]) == (1, "fails")
    assert "by this very process" in found["ledger"]["found"]


def test_doubts_in_the_ledger_of_this_folder_are_counted(
    server: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Ledger("ledger.db") as ledger:
        ledger.apply([plan("a"), *doubt("b")])
    code, found = findings(server=server)
    assert (code, found["ledger"]["state"]) == (0, "warning")
    assert "1 of them in doubt" in found["ledger"]["found"]


def test_a_ledger_that_is_not_there_is_not_made(server: Emulator, tmp_path: Path) -> None:
    code, found = findings("--ledger", tmp_path / "posters.db", server=server)
    assert (code, found["ledger"]["state"]) == (1, "fails")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_ledger_is_left_alone(server: Emulator, tmp_path: Path) -> None:
    (tmp_path / "posters.db").write_bytes(b"prompt\na fox\n" * 100)
    code, found = findings("--ledger", tmp_path / "posters.db", server=server)
    assert (code, found["ledger"]["state"]) == (1, "fails")
    assert (tmp_path / "posters.db").read_bytes() == b"prompt\na fox\n" * 100


# --- servers -------------------------------------------------------------------------------------


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextmanager
def answering(
    body: bytes, headers: bytes = b"", *, certificate: trustme.LeafCert | None = None
) -> Iterator[str]:
    """The address of a server that answers the same to everybody."""

    def script(connection: raw_server.Connection) -> None:
        connection.read_request()
        connection.answer(404, body, headers=headers)

    tls = None if certificate is None else context_of(certificate)
    with raw_server.serving(script, tls=tls) as served:
        yield served.base_url
