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

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import anyio.to_thread
import httpx
from attrs import define, evolve, field

from liangxin._addresses import (
    Guard,
    MayPass,
    Place,
    Resolver,
    addresses_of,
    host_of,
    without_query,
)
from liangxin._connection import CONNECT_TIMEOUT
from liangxin._errors import (
    ClientStateError,
    Corrupt,
    DownloadError,
    LiangxinError,
    ResultExpired,
    TaskNotFound,
    TooLarge,
    Truncated,
)
from liangxin._files import (
    HEAD_SIZE,
    Part,
    SavedFile,
    ending_of,
    ending_of_head,
    part_file,
    safe_stem,
)
from liangxin._origin import Origin
from liangxin._pacing import retry_delays
from liangxin._policy import DownloadPolicy, DownloadProgress
from liangxin._tasks import Task
from liangxin._text import in_words, printable
from liangxin._version import __version__

if TYPE_CHECKING:
    from liangxin.uploads import Uploader

Told: TypeAlias = Callable[[DownloadProgress], None]
Then: TypeAlias = Callable[[SavedFile], Awaitable[None]]

MAX_AT_ONCE: Final = 8
"""How many files one client fetches at a time."""
MAX_ADDRESSES: Final = 4
"""How many addresses of one host are tried."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_EXPIRED = frozenset({403, 404, 410})
_PASSING = frozenset({408, 425, 429})
_TIMEOUTS = {"connect": CONNECT_TIMEOUT, "read": None, "write": None, "pool": None}


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
        own: httpx.AsyncBaseTransport | None = None,
        resolve: Resolver | None = None,
        delays: Callable[[], Iterator[float]] = retry_delays,
    ) -> None:
        self._policy = policy or DownloadPolicy()
        self._look = look
        guard = Guard(api, self._policy, resolve or addresses_of)
        self._host = _Host(guard, self._policy, tls, own)
        self._delays = delays
        self._slots: anyio.Semaphore | None = None
        self._running: dict[anyio.CancelScope, anyio.Event] = {}

    async def download(self, task: Task, to: Path, *, name: str | None = None) -> list[Path]:
        """Save all results of a task, and return their paths; see `save`."""
        return [file.path for file in await self.save(task, to, name=name)]

    async def deliver(self, task: Task, to: Uploader, *, name: str | None = None) -> list[str]:
        """Hand each result of a task, when it is whole, to `to`; return what that returned."""
        from liangxin.uploads import hand_over  # for those who deliver

        returned: list[str] = []
        limiter = anyio.CapacityLimiter(1)

        async def hand(file: SavedFile) -> None:
            label, kind = file.path.name, file.media_type
            try:
                with file.path.open("rb") as stream:
                    returned.append(
                        await hand_over(to, label, stream, kind, file.size, limiter=limiter)
                    )
            except Exception as exc:  # whatever the user's own callable raises
                raise DownloadError(
                    f"{label} of {task.id} was fetched, and cannot be delivered: {in_words(exc)}"
                ) from exc
            file.path.unlink()

        with TemporaryDirectory(prefix="liangxin-") as folder:
            await self.save(task, Path(folder), name=name, then=hand)
        return returned

    async def save(
        self,
        task: Task,
        to: Path,
        *,
        name: str | None = None,
        told: Told = lambda progress: None,
        then: Then | None = None,
    ) -> list[SavedFile]:
        """
        Save all results of a task to the folder `to`, which is made if it is missing.

        A single result is called `<name>.<ending>`, several `<name>-1.<ending>` and so on; `name`
        is the task's id unless given, made safe for a file's name.  A file of that name is
        replaced.  Each file appears whole or not at all; those already there when a later one
        fails stay.  `told` hears of every few bytes, and of each file that is whole; `then` is done
        with each before the next is fetched.  Raises `DownloadError` or a leaf of it.
        """
        ended = anyio.Event()
        with anyio.CancelScope() as scope:
            self._running[scope] = ended
            try:
                return await self._save_all(_Results(task, self._look), to, name, told, then)
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

    async def _save_all(
        self, results: _Results, to: Path, name: str | None, told: Told, then: Then | None
    ) -> list[SavedFile]:
        task = results.task
        if not task.urls:
            raise DownloadError(f"{task.id} ({task.state.value}) has no results to download")
        stem = safe_stem(task.id if name is None else name)
        saved = []
        for index in range(len(task.urls)):
            label = stem if len(task.urls) == 1 else f"{stem}-{index + 1}"
            saved.append(await self._save(results, index, to, label, told))
            if then is not None:
                await then(saved[-1])
        return saved

    async def _save(
        self, results: _Results, index: int, to: Path, label: str, told: Told
    ) -> SavedFile:
        if self._slots is None:
            self._slots = anyio.Semaphore(MAX_AT_ONCE)
        count = len(results.urls)

        def received(size: int, total: int | None) -> None:
            told(DownloadProgress(index=index, count=count, received=size, total=total))

        async with self._slots, part_file(to, label, received) as part:
            ending = await self._fetch_or_refresh(results, index, part)
            file = evolve(await part.publish(ending), host=host_of(results.urls[index]))
        size = file.size
        told(DownloadProgress(index=index, count=count, received=size, total=size, path=file.path))
        return file

    async def _fetch_or_refresh(self, results: _Results, index: int, part: Part) -> str:
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

    async def _fetch(self, url: str, part: Part) -> str:
        """Fetch one URL in as many attempts as it takes; return the ending for its file."""
        delays = self._delays()
        for attempt in range(1, self._policy.attempts + 1):
            try:
                return await self._attempt(url, part)
            except MayPass as failure:
                if attempt == self._policy.attempts:
                    raise failure.error from failure.__cause__
            await anyio.sleep(next(delays))
        raise AssertionError("there is always a last attempt")

    async def _attempt(self, url: str, part: Part) -> str:
        shown = without_query(url)
        try:
            async with self._host.ask(url, part.range_headers()) as answer:
                await self._begin(answer, part, shown)
                return await self._receive(answer, part, shown)
        except TimeoutError as exc:
            wait = self._policy.stall_timeout
            raise MayPass(Truncated(f"{shown} sent nothing for {wait:g} s")) from exc
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise MayPass(DownloadError(f"{shown} cannot be reached: {in_words(exc)}")) from exc
        except httpx.TransportError as exc:
            raise MayPass(
                Truncated(f"{shown} broke off after {part.size} bytes: {in_words(exc)}")
            ) from exc

    async def _begin(self, answer: _Answer, part: Part, shown: str) -> None:
        """Decide by its head what an answer is: the whole file, its rest, or neither."""
        status = answer.response.status_code
        if status in _EXPIRED:
            raise _Gone(f"{shown} answered {status}")
        if status in _PASSING or status >= 500:
            raise MayPass(DownloadError(f"{shown} answered {status}"))
        headers = answer.response.headers
        is_rest = status == 206 and part.continues_with(headers)
        if status in (206, 416) and part.size and not is_rest:
            part.forget()
            raise MayPass(Truncated(f"{shown} did not go on where it had broken off"))
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

    async def _receive(self, answer: _Answer, part: Part, shown: str) -> str:
        policy = self._policy
        pace = Pace(policy.min_rate, policy.rate_window, anyio.current_time(), part.size)
        expected = part.total or 0
        while max(part.size, expected) <= policy.max_bytes:
            chunk = await answer.next_chunk(policy.stall_timeout)
            if chunk is None:
                return await ending_of(part, shown)
            await part.write(chunk)
            if part.size >= HEAD_SIZE:
                ending_of_head(part, shown)
            if pace.is_too_slow(anyio.current_time(), part.size):
                raise MayPass(
                    Truncated(
                        f"{shown} sent less than {policy.min_rate:g} bytes a second over "
                        f"{policy.rate_window:g} s"
                    )
                )
        raise TooLarge(f"{shown} is larger than the limit of {policy.max_bytes} bytes")


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


# --- the exchange with a host ------------------------------------------------------------------


@define(eq=False)
class _Answer:
    """The head of an answer, and its body to come."""

    response: httpx.Response
    _transport: httpx.AsyncBaseTransport
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
    _own: httpx.AsyncBaseTransport | None
    """The way to the service itself, where that is not a socket: an emulator in process."""

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
            transport = self._transport(place)
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

    def _transport(self, place: Place) -> httpx.AsyncBaseTransport:
        if place.is_own and self._own is not None:
            return _Lent(self._own)
        if place.url.scheme == "https" and self._tls is None:
            self._tls = httpx.create_ssl_context()  # 10 ms and more, so once
        return httpx.AsyncHTTPTransport(
            verify=self._tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
        )


class _Lent(httpx.AsyncBaseTransport):
    """A transport that is not ours to close."""

    def __init__(self, owner: httpx.AsyncBaseTransport) -> None:
        self._owner = owner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._owner.handle_async_request(request)


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
