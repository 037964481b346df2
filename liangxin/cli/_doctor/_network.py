"""
The checks of the way to the service: its name, the proxy, TCP and TLS.  Nothing is asked there.

They go the way by hand, because each of them is to say where it ends.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from base64 import b64encode
from urllib.parse import unquote, urlsplit

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream

from liangxin import InputError
from liangxin._connection import first_cause
from liangxin._origin import Origin, default_tls
from liangxin._text import printable
from liangxin.cli._doctor._findings import NO_WAY, PATIENCE, Finding, since, why

_SOON_DAYS = 14
"""A certificate that ends earlier is worth a warning."""

# OpenSSL's X509_V_ERR_… numbers: https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_NOT_NOW = {9, 10}
_NOT_TRUSTED = {18, 19, 20, 21}
_OTHER_HOST = {62, 64}


async def name(origin: Origin, proxy: str | None) -> Finding:
    """What the host's name stands for."""
    host = printable(origin.host)
    try:
        with anyio.fail_after(PATIENCE):
            found = await anyio.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except NO_WAY as error:
        said = f"{host} is not found: {why(error)}"
        if proxy is not None:
            return Finding("DNS", "warning", said, "none is needed if the proxy finds it")
        return Finding("DNS", "fails", said, "check the spelling of the base URL, and the network")
    addresses = dict.fromkeys(str(place[0]) for *_, place in found)
    return Finding("DNS", "ok", f"{host} is {', '.join(addresses)}")


async def way(origin: Origin, proxy: str | None) -> Finding:
    """The proxy that the environment names for this service, and whether somebody is there."""
    if proxy is None:
        return Finding("proxy", "ok", "none for this address")
    parts = urlsplit(proxy)
    said = f"{parts.scheme}://{printable(parts.netloc.rpartition('@')[2])} ({_who_says(origin)})"
    if parts.scheme != "http":
        return Finding("proxy", "skipped", f"{said}; only http:// is looked into")
    try:
        with anyio.fail_after(PATIENCE):
            await (await _reached(proxy)).aclose()
    except NO_WAY as error:
        mend = f"start it, name another, or add {printable(origin.host)} to NO_PROXY"
        return Finding("proxy", "fails", f"{said}: {why(error)}", mend)
    return Finding("proxy", "ok", f"{said} answers")


async def connection(origin: Origin, proxy: str | None) -> Finding:
    """TCP and TLS to the service, and how long its certificate is good for."""
    check = "TLS" if origin.scheme == "https" else "TCP"
    if proxy is not None and urlsplit(proxy).scheme != "http":
        return Finding(check, "skipped", "by a proxy that is not looked into")
    began = time.monotonic()
    try:
        with anyio.fail_after(PATIENCE):
            async with await _opened(origin, proxy) as stream:
                if check == "TLS":
                    return await _secured(origin, stream, began)
    except InputError as error:  # of the environment's certificates
        return Finding(check, "fails", str(error), f"it takes {error.allowed}")
    except NO_WAY as error:
        cause = first_cause(error)
        if isinstance(cause, ssl.SSLError):
            return Finding(check, "fails", _said(cause), _mend(origin, cause))
        mend = "mend the proxy" if proxy is not None else "check the address, the port, a firewall"
        return Finding(check, "fails", why(error), mend)
    return Finding(check, "ok", f"connected in {since(began)}, on this machine")


CHECKS = (name, way, connection)


# --- how the way is gone -------------------------------------------------------------------------


async def _opened(origin: Origin, proxy: str | None) -> ByteStream:
    if proxy is None:
        return await anyio.connect_tcp(origin.host, origin.port)
    stream = await _reached(proxy)
    try:
        await _tunnel(stream, origin, proxy)
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return stream


async def _reached(proxy: str) -> ByteStream:
    parts = urlsplit(proxy)
    return await anyio.connect_tcp(parts.hostname or "", parts.port or 80)


async def _tunnel(stream: ByteStream, origin: Origin, proxy: str) -> None:
    """Ask the proxy for the way to the service."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    place = f"{host}:{origin.port}"
    head = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{_pass(proxy)}\r\n"
    await stream.send(head.encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < 65536:
        answer += await stream.receive()
    line = answer.partition(b"\r\n")[0].decode("latin-1")
    if line.split(" ")[1:2] != ["200"]:
        raise ConnectionError(f"the proxy said {printable(line, 80)}")


def _pass(proxy: str) -> str:
    """The header for a proxy whose address has a name and a password."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}\r\n"


def _who_says(origin: Origin) -> str:
    """The variables that name a proxy for this scheme."""
    names = (f"{origin.scheme}_proxy", "all_proxy")
    return ", ".join(each for each in os.environ if each.lower() in names) or "the system"


# --- certificates --------------------------------------------------------------------------------


async def _secured(origin: Origin, stream: ByteStream, began: float) -> Finding:
    tls = await TLSStream.wrap(
        stream,
        hostname=origin.host,
        ssl_context=default_tls(needed=True),
        standard_compatible=False,
    )
    certificate = tls.extra(TLSAttribute.peer_certificate)
    assert certificate is not None
    issuer = _issuer(certificate["issuer"])
    days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / 86400
    found = f"{tls.extra(TLSAttribute.tls_version)} in {since(began)}; certificate by {issuer}"
    if days < _SOON_DAYS:
        mend = "whoever runs the service, or the proxy before it, has to renew it"
        return Finding("TLS", "warning", f"{found} ends in {days:.0f} days", mend)
    return Finding("TLS", "ok", f"{found}, good for {days:.0f} days")


def _issuer(names: object) -> str:
    """Who signed a certificate, out of the nested pairs in which `ssl` has it."""
    assert isinstance(names, tuple)
    pairs = dict(pair for group in names for pair in group)
    return printable(pairs.get("organizationName") or pairs.get("commonName") or "nobody", 80)


def _said(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return printable(f"the certificate is refused: {error.verify_message}")
    return printable(f"no TLS: {error.reason or error}")


def _mend(origin: Origin, error: ssl.SSLError) -> str:
    code = getattr(error, "verify_code", None)
    if code in _NOT_NOW:
        return "look at this machine's date; if it is right, the service has to renew it"
    if code in _OTHER_HOST:
        return f"look at the base URL: what answers there is not {printable(origin.host)}"
    if code not in _NOT_TRUSTED:
        return "check the port, and whether a firewall or a proxy answers in place of the service"
    named = [each for each in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(each)]
    now = f"{' and '.join(named)} says whom to trust" if named else "certifi's list is trusted"
    return f"now {now}; set SSL_CERT_FILE to a PEM file with your proxy's or company's root"
