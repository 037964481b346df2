"""
Result URLs to files: without credentials, from checked addresses, whole or not at all.

A result's host is a stranger.  It gets no key, cookie or proxy login; it is asked at an address
that was checked and is then the one connected to, at every redirect anew; and what it sends
becomes a file only when it is complete and begins like a picture or a clip.  Names and endings
are ours, never the host's.

Connections are direct: the environment's proxies are not used, because a proxy resolves names by
itself, and an address that somebody else chooses cannot be checked here.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import anyio
import anyio.to_thread
import httpx
from attrs import define, field, frozen

from liangxin._errors import (
    Blocked,
    ClientStateError,
    Corrupt,
    DownloadError,
    InputError,
    LiangxinError,
    ResultExpired,
    TaskNotFound,
    TooLarge,
    Truncated,
)
from liangxin._pacing import retry_delays
from liangxin._tasks import Task
from liangxin._text import printable
from liangxin._transport import CONNECT_TIMEOUT, Origin, is_loopback
from liangxin._version import __version__

MAX_AT_ONCE: Final = 8
"""How many files one client fetches at a time."""
WRITE_SIZE: Final = 1024 * 1024
"""Bytes gathered before a worker thread writes them."""
HEAD_SIZE: Final = 64
"""Bytes of a file by which its kind is known."""
TAIL_SIZE: Final = 16
MAX_ADDRESSES: Final = 4
"""How many addresses of one host are tried."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_EXPIRED = frozenset({403, 404, 410})
_PASSING = frozenset({408, 425, 429})
_TIMEOUTS = {"connect": CONNECT_TIMEOUT, "read": None, "write": None, "pool": None}

Resolver: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host name and port."""


@frozen(kw_only=True)
class DownloadPolicy:
    """
    What a download may take, and from whom.

    `max_bytes` bounds one file.  `stall_timeout` is how many seconds may pass without a byte, and
    `min_rate` (bytes a second, 0 for none) what must come on average over each `rate_window`
    seconds.  `attempts` counts the requests for one URL that may break off or be answered with
    "later"; each may be redirected `max_redirects` times.

    `allow_hosts`, if given, are the only hosts that results may come from: exact names, or
    `.example.com` for that name and all below it.  `allow_private` lifts the refusal of private
    and loopback addresses (still by https only), for results that are kept in one's own network.
    The service's own address is always allowed if the service is on this machine.
    """

    max_bytes: int = 2 * 1024**3
    stall_timeout: float = 30.0
    min_rate: float = 1024.0
    rate_window: float = 60.0
    max_redirects: int = 3
    attempts: int = 3
    allow_hosts: Collection[str] | None = None
    allow_private: bool = False

    def __attrs_post_init__(self) -> None:
        for name in ("max_bytes", "stall_timeout", "rate_window", "attempts"):
            if getattr(self, name) <= 0:
                raise InputError(
                    f"{name} must be above 0", field=name, value=getattr(self, name), allowed="> 0"
                )
        if isinstance(self.allow_hosts, str):  # a string is a collection of letters, too
            raise InputError(
                "allow_hosts must be a collection of host names, not one string",
                field="allow_hosts",
                value=self.allow_hosts,
                allowed="a collection of host names, or None",
            )


# --- what may end an attempt without ending the download ---------------------------------------


class _MayPass(Exception):
    """An attempt failed in a way that the next may not; `error` is for when there is no next."""

    def __init__(self, error: DownloadError) -> None:
        super().__init__(error)
        self.error = error


class _Gone(Exception):
    """The URL does not serve the result any more."""


class Downloader:
    """Fetches the results of tasks; never creates a task."""

    def __init__(
        self,
        api: Origin,
        look: Callable[[str], Awaitable[Task]],
        policy: DownloadPolicy | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver | None = None,
        delays: Callable[[], Iterator[float]] = retry_delays,
    ) -> None:
        self._policy = policy or DownloadPolicy()
        self._look = look
        self._host = _Host(Guard(api, self._policy, resolve or addresses_of), self._policy, tls)
        self._delays = delays
        self._slots: anyio.Semaphore | None = None
        self._running: dict[anyio.CancelScope, anyio.Event] = {}

    async def download(self, task: Task, to: Path, *, name: str | None = None) -> list[Path]:
        """
        Save all results of a task to the folder `to`, which is made if it is missing.

        A single result is called `<name>.<ending>`, several `<name>-1.<ending>` and so on; `name`
        is the task's id unless given, made safe for a file's name.  A file of that name is
        replaced.  Each file appears whole or not at all; those already there when a later one
        fails stay.  Raises `DownloadError` or a leaf of it.
        """
        ended = anyio.Event()
        with anyio.CancelScope() as scope:
            self._running[scope] = ended
            try:
                return await self._save_all(_Results(task, self._look), to, name)
            finally:
                del self._running[scope]
                ended.set()
        raise ClientStateError(f"the client was closed while results of {task.id} were fetched")

    async def aclose(self) -> None:
        """End the downloads under way, and return when they have left nothing half done."""
        running = dict(self._running)
        for scope in running:
            scope.cancel()
        for ended in running.values():
            await ended.wait()

    async def _save_all(self, results: _Results, to: Path, name: str | None) -> list[Path]:
        task = results.task
        if not task.urls:
            raise DownloadError(f"{task.id} ({task.state.value}) has no results to download")
        stem = safe_stem(task.id if name is None else name)
        if self._slots is None:
            self._slots = anyio.Semaphore(MAX_AT_ONCE)
        paths = []
        for index in range(len(task.urls)):
            label = stem if len(task.urls) == 1 else f"{stem}-{index + 1}"
            async with self._slots, _part_file(to, label) as part:
                ending = await self._fetch_or_refresh(results, index, part)
                paths.append(await part.publish(ending))
        return paths

    async def _fetch_or_refresh(self, results: _Results, index: int, part: _Part) -> str:
        try:
            return await self._fetch(results.urls[index], part)
        except _Gone as gone:
            await results.refresh(index, gone)
        part.forget()
        try:
            return await self._fetch(results.urls[index], part)
        except _Gone as gone:
            raise ResultExpired(
                f"result {index + 1} of {results.task.id} has expired, and so has the fresh URL "
                f"that the service gave for it: {gone}"
            ) from gone

    async def _fetch(self, url: str, part: _Part) -> str:
        """Fetch one URL in as many attempts as it takes; return the ending for its file."""
        delays = self._delays()
        for attempt in range(1, self._policy.attempts + 1):
            try:
                return await self._attempt(url, part)
            except _MayPass as failure:
                if attempt == self._policy.attempts:
                    raise failure.error from failure.__cause__
            await anyio.sleep(next(delays))
        raise AssertionError("there is always a last attempt")

    async def _attempt(self, url: str, part: _Part) -> str:
        shown = without_query(url)
        try:
            async with self._host.ask(url, part.range_headers()) as answer:
                await self._begin(answer, part, shown)
                return await self._receive(answer, part, shown)
        except TimeoutError as exc:
            wait = self._policy.stall_timeout
            raise _MayPass(Truncated(f"{shown} sent nothing for {wait:g} s")) from exc
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise _MayPass(DownloadError(f"{shown} cannot be reached: {_words(exc)}")) from exc
        except httpx.TransportError as exc:
            raise _MayPass(
                Truncated(f"{shown} broke off after {part.size} bytes: {_words(exc)}")
            ) from exc

    async def _begin(self, answer: _Answer, part: _Part, shown: str) -> None:
        """Decide by its head what an answer is: the whole file, its rest, or neither."""
        status = answer.response.status_code
        if status in _EXPIRED:
            raise _Gone(f"{shown} answered {status}")
        if status in _PASSING or status >= 500:
            raise _MayPass(DownloadError(f"{shown} answered {status}"))
        headers = answer.response.headers
        is_rest = status == 206 and part.continues_with(headers)
        if status in (206, 416) and part.size and not is_rest:
            part.forget()
            raise _MayPass(Truncated(f"{shown} did not go on where it had broken off"))
        if status != 200 and not is_rest:
            raise DownloadError(f"{shown} answered {status}, which is no result")
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding != "identity":
            raise Corrupt(
                f"{shown} sent {printable(encoding, 40)!r} encoding, where the bytes as they are "
                "were asked for"
            )
        if not is_rest:
            await part.restart(headers)

    async def _receive(self, answer: _Answer, part: _Part, shown: str) -> str:
        policy = self._policy
        pace = Pace(policy.min_rate, policy.rate_window, anyio.current_time(), part.size)
        expected = part.total or 0
        while max(part.size, expected) <= policy.max_bytes:
            chunk = await answer.next_chunk(policy.stall_timeout)
            if chunk is None:
                return _ending(part, shown)
            await part.write(chunk)
            if part.size >= HEAD_SIZE:
                _ending_of_head(part, shown)
            if pace.is_too_slow(anyio.current_time(), part.size):
                raise _MayPass(
                    Truncated(
                        f"{shown} sent less than {policy.min_rate:g} bytes a second over "
                        f"{policy.rate_window:g} s"
                    )
                )
        raise TooLarge(f"{shown} is larger than the limit of {policy.max_bytes} bytes")


def _words(exc: Exception) -> str:
    """What an exception says, or the one that caused it: trio's broken streams say nothing."""
    reason: BaseException | None = exc
    while reason is not None:
        if said := printable(reason, 200):
            return said
        reason = reason.__cause__ or reason.__context__
    return type(exc).__name__


@define(eq=False)
class _Results:
    """A task's result URLs, which expire and can be asked for anew."""

    task: Task
    _look: Callable[[str], Awaitable[Task]]
    urls: tuple[str, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.urls = self.task.urls

    async def refresh(self, index: int, gone: _Gone) -> None:
        """Look at the task for fresh URLs, of which there must be one for this result."""
        said = f"result {index + 1} of {self.task.id} has expired ({gone})"
        try:
            fresh = await self._look(self.task.id)
        except TaskNotFound as exc:
            raise ResultExpired(f"{said}, and the service no longer knows the task") from exc
        except LiangxinError as exc:
            raise DownloadError(
                f"{said}, and the service gave no fresh URL: {exc}; try again later"
            ) from exc
        if len(fresh.urls) != len(self.task.urls):
            raise ResultExpired(f"{said}, and the service has no fresh URL for it") from gone
        self.urls = fresh.urls


@define
class Pace:
    """Whether bytes keep coming fast enough, on average over windows of time; told the time."""

    _min_rate: float
    _window: float
    _since: float
    _counted: int = 0

    def is_too_slow(self, now: float, received: int) -> bool:
        """Whether the window that ends now, if one does, brought less than it must."""
        elapsed = now - self._since
        if elapsed < self._window:
            return False
        is_slow = received - self._counted < self._min_rate * elapsed
        self._since, self._counted = now, received
        return is_slow


# --- addresses ---------------------------------------------------------------------------------


_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(reason: str, *blocks: str) -> list[tuple[_Network, str]]:
    return [(ipaddress.ip_network(block), reason) for block in blocks]


# Written out rather than asked of `ipaddress`, whose `is_global` and `is_private` differ between
# patch releases of Python.  Source: IANA's special-purpose address registries (RFC 6890).
_INTERNAL = (
    *_networks("a loopback address", "127.0.0.0/8", "::1/128"),
    *_networks("a private address", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    *_networks("a carrier's shared address", "100.64.0.0/10"),
)
_NEVER = (
    # Metadata services, by address: the common one, Amazon's, Google's, Alibaba's, Azure's.
    *_networks(
        "a cloud's metadata service",
        *("169.254.169.254/32", "fd00:ec2::254/128", "fd20:ce::254/128"),
        *("100.100.100.200/32", "168.63.129.16/32"),
    ),
    *_networks("a link-local address", "169.254.0.0/16", "fe80::/10"),
    *_networks("no address of a host", "0.0.0.0/8", "::/128"),
    *_networks("a multicast address", "224.0.0.0/4", "ff00::/8"),
    *_networks(
        "a reserved address",
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20"),
    ),
    # A way to write any IPv4 address, and little else since RFC 7526.  Teredo is in 2001::/23.
    *_networks("a 6to4 address", "2002::/16"),
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def refusal(
    address: str, *, allow_private: bool = False, allow_loopback: bool = False
) -> str | None:
    """
    Why a download must not connect to this address, in words; None if it may.

    Public unicast addresses pass.  An IPv4 address inside an IPv6 one (v4-mapped, or behind the
    NAT64 by which IPv6-only networks reach public IPv4 hosts) is judged as itself.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "no IP address"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.scope_id is not None:
            return "an address of one network interface"
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        elif parsed in _NAT64:
            parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    for network, reason in _NEVER:
        if parsed in network:
            return reason
    for network, reason in _INTERNAL:
        if parsed in network:
            is_allowed = allow_private or (allow_loopback and parsed.is_loopback)
            return None if is_allowed else reason
    if parsed.version == 6 and parsed not in _GLOBAL_V6:
        return "no public address"
    return None


async def addresses_of(host: str, port: int) -> list[str]:
    """Ask the system's resolver."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@frozen
class Place:
    """A URL that may be asked, and the addresses, all checked, at which to ask it."""

    url: httpx.URL
    host: str
    port: int
    addresses: tuple[str, ...]
    is_own: bool
    """Whether it is the service's own origin, on this machine."""


_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@frozen
class Guard:
    """Decides which URLs may be asked, and at which addresses."""

    api: Origin
    policy: DownloadPolicy
    resolve: Resolver

    async def admit(self, url: str, *, redirected_by: Place | None = None) -> Place:
        """
        Check a URL and every address of its host; raise `Blocked` if any must not be touched.

        The service's own origin may be plain http, and on this machine, if that is where the
        service is; no other host may redirect there.
        """
        parsed, host, port = _taken_apart(url, redirected_by)
        shown = without_query(str(parsed))
        is_own = (
            self.api.is_loopback
            and (parsed.scheme, host, port) == (self.api.scheme, self.api.host, self.api.port)
            and (redirected_by is None or redirected_by.is_own)
        )
        if parsed.scheme != "https" and not is_own:
            raise Blocked(f"{shown} is not https; nothing was asked of it")
        if not is_own and not self._is_listed(host):
            raise Blocked(f"{shown} is on a host that is not among the allowed ones")
        addresses = await self._addresses(host, port, shown)
        for address in addresses:
            reason = refusal(
                address, allow_private=self.policy.allow_private, allow_loopback=is_own
            )
            if reason is not None:
                raise Blocked(f"{shown} leads to {printable(address, 60)}, {reason}")
        return Place(parsed, host, port, addresses, is_own)

    def _is_listed(self, host: str) -> bool:
        if self.policy.allow_hosts is None:
            return True
        listed = {entry.lower() for entry in self.policy.allow_hosts}
        above = host.split(".")
        return host in listed or any(
            "." + ".".join(above[start:]) in listed for start in range(len(above))
        )

    async def _addresses(self, host: str, port: int, shown: str) -> tuple[str, ...]:
        if _is_address(host):
            return (host,)
        if is_loopback(host):  # RFC 6761: these names are not for a resolver to decide
            return ("127.0.0.1", "::1")
        try:
            found = await self.resolve(host, port)
        except (OSError, UnicodeError) as exc:
            raise _MayPass(DownloadError(f"{shown}: the host is not found: {_words(exc)}")) from exc
        if not found:
            raise _MayPass(DownloadError(f"{shown}: the host has no address"))
        return tuple(found)


def _taken_apart(url: str, base: Place | None) -> tuple[httpx.URL, str, int]:
    """One reading of a URL, by the parser whose result is also what is asked."""
    shown = without_query(url)
    try:
        parsed = httpx.URL(url) if base is None else base.url.join(url)
        host = parsed.raw_host.decode("ascii").removesuffix(".")
        default = 443 if parsed.scheme == "https" else 80
        port = default if parsed.port is None else parsed.port
    except (httpx.InvalidURL, ValueError, TypeError) as exc:
        raise Blocked(f"{shown} cannot be read as a URL: {_words(exc)}") from exc
    if parsed.userinfo:
        raise Blocked(f"{shown} contains a user name or password")
    if not _is_address(host) and (
        not _HOST_NAME.fullmatch(host) or _NUMBER.fullmatch(host.rpartition(".")[2])
    ):
        # A name whose last label is a number would be read as an address in one of its many
        # spellings (decimal, octal, hexadecimal, short): https://url.spec.whatwg.org/#host-parsing
        raise Blocked(f"{shown} has no proper host name")
    if not 0 < port < 65536:
        raise Blocked(f"{shown} has no proper port")
    return parsed, host, port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def without_query(url: str) -> str:
    """A URL fit for a message: it may be signed, so without its query, and without a login."""
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    return printable(re.sub(r"//[^/]*@", "//", bare), 120)


# --- the exchange with a host ------------------------------------------------------------------


@define(eq=False)
class _Answer:
    """The head of an answer, and its body to come."""

    response: httpx.Response
    _transport: httpx.AsyncHTTPTransport
    _chunks: AsyncIterator[bytes] | None = None

    async def next_chunk(self, patience: float) -> bytes | None:
        """The next bytes of the body, as they were sent; None at its end."""
        if self._chunks is None:
            assert isinstance(self.response.stream, httpx.AsyncByteStream)
            self._chunks = aiter(self.response.stream)
        with anyio.fail_after(patience):
            try:
                return await anext(self._chunks)
            except StopAsyncIteration:
                return None

    async def aclose(self) -> None:
        """Hang up, also under cancellation."""
        with anyio.CancelScope(shield=True):
            # A shield does not hold off asyncio's own `Task.cancel`: one step may be cut short,
            # so the transport, which closes whatever is left, is closed whatever happened.
            try:
                await self.response.aclose()
                await self._exhaust()
            finally:
                await self._transport.aclose()

    async def _exhaust(self) -> None:
        # httpcore's generators nest four deep, and closing the outermost leaves the others to the
        # garbage collector, about which trio complains.  The closed socket ends them all; at the
        # most what had already arrived comes out first.
        with suppress(httpx.TransportError, StopAsyncIteration):
            while self._chunks is not None:
                await anext(self._chunks)


@define(eq=False)
class _Host:
    """Asks hosts of results: nothing but a GET, at an admitted address, with no credentials."""

    _guard: Guard
    _policy: DownloadPolicy
    _tls: ssl.SSLContext | None

    @asynccontextmanager
    async def ask(self, url: str, headers: dict[str, str]) -> AsyncIterator[_Answer]:
        """GET a URL, and what it redirects to, each after the guard has admitted it."""
        place: Place | None = None
        location = url
        for _ in range(self._policy.max_redirects + 1):
            place = await self._guard.admit(location, redirected_by=place)
            answer = await self._send(place, headers)
            try:
                if answer.response.status_code not in _REDIRECTS:
                    yield answer
                    return
                location = answer.response.headers.get("location", "")
            finally:
                await answer.aclose()
            if not location:
                raise DownloadError(f"{without_query(str(place.url))} redirects to nowhere")
        limit = self._policy.max_redirects
        raise DownloadError(f"{without_query(url)} redirects more than {limit} times")

    async def _send(self, place: Place, headers: dict[str, str]) -> _Answer:
        failure: Exception | None = None
        for address in place.addresses[:MAX_ADDRESSES]:
            transport = self._transport(place.url.scheme)
            try:
                with anyio.fail_after(self._policy.stall_timeout):
                    response = await transport.handle_async_request(
                        _request(place, address, headers)
                    )
                return _Answer(response, transport)
            except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
                await transport.aclose()
                failure = exc
            except BaseException:  # cancelled, for one: no socket stays behind
                with anyio.CancelScope(shield=True):
                    await transport.aclose()
                raise
        assert failure is not None
        raise failure

    def _transport(self, scheme: str) -> httpx.AsyncHTTPTransport:
        if scheme == "https" and self._tls is None:
            self._tls = httpx.create_ssl_context()  # 10 ms and more, so once
        return httpx.AsyncHTTPTransport(
            verify=self._tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
        )


def _request(place: Place, address: str, headers: dict[str, str]) -> httpx.Request:
    """Ask the checked address itself; the name goes into `Host`, and TLS verifies it."""
    return httpx.Request(
        "GET",
        place.url.copy_with(host=address, fragment=None),
        headers={
            "Host": _authority(place),
            "User-Agent": f"liangxin-python/{__version__}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            **headers,
        },
        stream=httpx.ByteStream(b""),
        extensions={"timeout": _TIMEOUTS, "sni_hostname": place.host},
    )


def _authority(place: Place) -> str:
    name = f"[{place.host}]" if ":" in place.host else place.host
    return name if place.url.port is None else f"{name}:{place.port}"


# --- files -------------------------------------------------------------------------------------

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


class _Part:
    """
    A file that is not whole yet: hidden, in the folder where it will be, under a name of its own.

    Bytes are gathered and written in worker threads.  A caller that asyncio cancels does not wait
    for its thread, so a lock puts what the threads do in order, and after `discard` none of them
    does anything.
    """

    def __init__(self, folder: Path, label: str) -> None:
        self._folder = folder
        self._label = label
        self._path = folder / f".{label}.{secrets.token_hex(8)}.part"
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._is_over = False
        self._buffer = bytearray()
        self._start_over()

    def _start_over(self) -> None:
        self._buffer.clear()
        self.size = 0
        self.head = self.tail = b""
        self.total: int | None = None
        self.has_marked_end = False
        self._etag: str | None = None

    # What the answers say about it.

    def range_headers(self) -> dict[str, str]:
        """The headers that ask for the rest, if it can be told to be of the same file."""
        if not self.size or self._etag is None:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._etag}

    def forget(self) -> None:
        """Ask for the whole next time, not for the rest."""
        self._etag = None

    def continues_with(self, headers: httpx.Headers) -> bool:
        """Whether a 206 with these headers is the rest of the very file that was begun."""
        said = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        if said is None or self._etag is None or headers.get("etag") != self._etag:
            return False
        start, end, total = map(int, said.groups())
        if start != self.size or not start <= end < total or self.total not in (None, total):
            return False
        self.total = total
        self.has_marked_end = True
        return True

    async def restart(self, headers: httpx.Headers) -> None:
        """Begin with the first byte, as a 200 with these headers announces."""
        if self.size:
            await self._in_thread(self._truncate)
        self._start_over()
        etag = headers.get("etag", "")
        self._etag = etag if _STRONG_ETAG.fullmatch(etag) else None
        length = headers.get("content-length", "")
        is_chunked = "transfer-encoding" in headers
        if length.isdecimal() and not is_chunked:
            self.total = int(length)
        self.has_marked_end = is_chunked or self.total is not None

    # What is done to it.

    async def open(self) -> None:
        """Create the file, and its folder if that is missing."""
        await self._in_thread(self._create)

    async def write(self, chunk: bytes) -> None:
        """Add bytes."""
        self.size += len(chunk)
        if len(self.head) < HEAD_SIZE:
            self.head = (self.head + chunk)[:HEAD_SIZE]
        self.tail = (self.tail + chunk[-TAIL_SIZE:])[-TAIL_SIZE:]
        self._buffer += chunk
        if len(self._buffer) >= WRITE_SIZE:
            gathered, self._buffer = self._buffer, bytearray()
            await self._in_thread(self._append, gathered)

    async def publish(self, ending: str) -> Path:
        """Make it the file that it was to become, durably, and return that file's path."""
        path = self._folder / f"{self._label}.{ending}"
        await self._in_thread(self._publish, path)
        return path

    async def discard(self) -> None:
        """Remove what is there, unless it was published."""
        if self._is_over:
            return
        try:
            await anyio.to_thread.run_sync(self._discard)
        except BaseException:  # asyncio's own `Task.cancel`, which no shield holds off
            self._discard()
            raise

    async def _in_thread(self, step: Callable[..., None], *args: object) -> None:
        try:
            await anyio.to_thread.run_sync(step, *args)
        except OSError as exc:
            raise DownloadError(
                f"{self._label} cannot be written to {self._folder}: {exc.strerror or exc}"
            ) from exc

    def _create(self) -> None:
        with self._lock:
            if self._is_over:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._file = os.fdopen(os.open(self._path, flags, 0o600), "w+b")

    def _append(self, gathered: bytes) -> None:
        with self._lock:
            if self._file is not None:
                self._file.write(gathered)

    def _truncate(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.seek(0)
                self._file.truncate()

    def _publish(self, path: Path) -> None:
        with self._lock:
            if self._file is None:
                return
            self._file.write(self._buffer)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._path, path)  # a symlink of that name is replaced, not followed
            self._is_over = True
            self._file = None
            _sync_folder(self._folder)

    def _discard(self) -> None:
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            if self._file is not None:
                # What brought us here matters more than a full disk that says so once more.
                with suppress(OSError):
                    self._file.close()
                with suppress(OSError):
                    self._path.unlink()
            self._file = None


@asynccontextmanager
async def _part_file(folder: Path, label: str) -> AsyncIterator[_Part]:
    part = _Part(folder, label)
    try:
        await part.open()
        yield part
    finally:
        with anyio.CancelScope(shield=True):
            await part.discard()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # where a folder cannot be opened
        return
    # The file is whole and in place; some network file systems cannot sync a folder.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- kinds -------------------------------------------------------------------------------------

_BRANDS = {b"avif": "avif", b"avis": "avif", b"heic": "heic", b"heix": "heic", b"qt  ": "mov"}


def media_ending(head: bytes) -> str | None:
    """The file name ending for bytes that begin like this; None if no picture or clip does."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp" and len(head) >= 12:
        return _brand_ending(head)
    if head.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in head:
        return "webm"
    return None


def _brand_ending(head: bytes) -> str:
    brand = head[8:12]
    if brand in (b"mif1", b"msf1"):  # any still or sequence: the compatible brands say which
        return "avif" if b"avif" in head[16:] or b"avis" in head[16:] else "heic"
    return _BRANDS.get(brand, "mp4")


def ends_like(ending: str, head: bytes, tail: bytes, size: int) -> bool:
    """Whether a file of this kind ends as a whole one does; False also where none can tell."""
    if ending == "png":
        return tail.endswith(b"IEND\xaeB`\x82")
    if ending == "jpg":
        return tail.endswith(b"\xff\xd9")
    if ending == "gif":
        return tail.endswith(b"\x00;")
    return ending == "webp" and int.from_bytes(head[4:8], "little") + 8 == size


def _ending_of_head(part: _Part, shown: str) -> str:
    ending = media_ending(part.head)
    if ending is None:
        begins = printable(part.head.decode("ascii", "replace"), 40)
        what = f"begins with {begins!r}" if part.head else "is empty"
        raise Corrupt(f"{shown} is no picture or clip: it {what}")
    return ending


def _ending(part: _Part, shown: str) -> str:
    """The ending for a file whose last byte has come, if it was the last."""
    if part.total is not None and part.size != part.total:
        if part.size > part.total:
            part.forget()
        raise _MayPass(Truncated(f"{shown} sent {part.size} of {part.total} bytes"))
    ending = _ending_of_head(part, shown)
    if not part.has_marked_end and not ends_like(ending, part.head, part.tail, part.size):
        part.forget()
        raise _MayPass(
            Truncated(
                f"{shown} hung up after {part.size} bytes without having said how many there are, "
                f"and the {ending} does not tell whether it is whole"
            )
        )
    return ending


# --- names -------------------------------------------------------------------------------------

MAX_STEM: Final = 100
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.I)


def safe_stem(name: str) -> str:
    """
    A file name without ending that is safe in any folder: ASCII letters, digits, `.`, `_`, `-`.

    A name that has to be changed or clipped gets a few letters of its hash, so that two names
    never become one.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-").rstrip(".")
    if _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    if stem == name and 0 < len(stem) <= MAX_STEM:
        return stem
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{stem[: MAX_STEM - len(digest) - 1] or 'result'}-{digest}"
