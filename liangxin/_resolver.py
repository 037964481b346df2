"""
From media on this machine to the texts that a request carries: data URIs and web addresses.

In two steps, because only the second may be slow or cost anything.  `identified` reads and judges:
what is wrong with a picture is an `InputError` before anything is on record.  `filled` uploads,
once it is known that the request is to be sent.

What several requests wait for is done once, in a task of the client's: who is cancelled takes
nothing from the others.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from copy import copy
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeGuard, TypeVar, cast

import anyio
import anyio.to_thread
from attrs import define, field, frozen

from liangxin._contents import Contents
from liangxin._errors import InputError, LiangxinError, NotSent
from liangxin._media import (
    USUAL,
    Content,
    LocalMedia,
    MediaKind,
    Place,
    Unfit,
    data_uri,
    local_in,
    replaced,
)
from liangxin._owned import OwnedTasks
from liangxin._tasks import ModelInput
from liangxin._text import in_words, quoted
from liangxin._wire import CreateRequest, Held, asked_for, in_body

if TYPE_CHECKING:
    from liangxin.models._rules import PictureReferences, Provenance
    from liangxin.uploads import Uploader

log = logging.getLogger("liangxin")

T = TypeVar("T")

ROOM = 64 * 1024 * 1024
"""How many bytes of data URIs are in memory at a time, unless one request needs more."""
READERS = 4
"""How many files are read, and images encoded, at a time."""
UPLOADS = 8
"""How many uploads run at a time."""


class Resolver:
    """All media of one client, each read, encoded and uploaded once while it stays as it is."""

    def __init__(self, owned: OwnedTasks, *, uploader: Uploader | None, max_data_uri: int) -> None:
        self._owned = owned
        self._uploader = uploader
        self._max_data_uri = max_data_uri
        self._contents = Contents()
        self._shared: dict[object, _Shared[object]] = {}
        self._addresses: dict[str, _Address] = {}

    # Made when first needed, inside the event loop: most clients send no picture.

    @cached_property
    def _readers(self) -> anyio.CapacityLimiter:
        return anyio.CapacityLimiter(READERS)

    @cached_property
    def _uploads(self) -> anyio.CapacityLimiter:
        return anyio.CapacityLimiter(UPLOADS)

    @cached_property
    def _data_uris(self) -> _DataUris:
        return _DataUris(self._encoded)

    async def asked_for(self, input: ModelInput) -> tuple[str, dict[str, object]]:
        """The slug and the fields of an input as a ledger has them; nothing is uploaded."""
        slug, fields = asked_for(input)
        found = local_in(fields)
        if not found:
            return slug, fields
        takers = [(_Taker.of(input, slug, place), media) for place, media in found]
        contents = [await self._look(taker, media) for taker, media in takers]
        names = iter(content.identity for content in contents)
        return slug, cast("dict[str, object]", replaced(fields, lambda _: next(names)))

    async def identified(self, input: ModelInput, request: CreateRequest) -> CreateRequest:
        """The request with what its media hold; `InputError` for one that cannot be sent so."""
        contents = []
        for held in request.media:
            taker = _Taker.of(input, request.model, held.place)
            content = await self._look(taker, held.media)
            taker.require_type(held.media, content)
            if not self._goes_inline(taker, content) and self._uploader is None:
                raise taker.needs_uploader(held.media, content, self._max_data_uri)
            contents.append(content)
        return request.identified(contents)

    @asynccontextmanager
    async def filled(
        self, input: ModelInput, request: CreateRequest
    ) -> AsyncIterator[CreateRequest]:
        """The request as it leaves; its data URIs are in memory while the block runs."""
        inline: list[tuple[_Taker, Held]] = []
        texts: list[bytes | None] = []
        for held in request.media:
            taker = _Taker.of(input, request.model, held.place)
            if self._goes_inline(taker, _content(held)):
                inline.append((taker, held))
                texts.append(None)
            else:
                texts.append(in_body(await self._address(taker, held)))
        async with self._data_uris.of(inline) as data_uris:
            pairs = zip(request.media, texts, strict=True)
            filled = request.carrying(
                [text or data_uris[_content(held).sha256] for held, text in pairs]
            )
            try:
                yield filled
            finally:  # or the frames of an error would hold the pictures, as long as it is kept
                filled.rest.clear()

    def _goes_inline(self, taker: _Taker, content: Content) -> bool:
        return taker.data_uri == "documented" and content.size <= self._max_data_uri

    # --- reading ---------------------------------------------------------------------------

    async def _look(self, taker: _Taker, media: LocalMedia) -> Content:
        known = self._contents.known(media)
        if known is not None:
            return known
        work = partial(self._in_thread, self._contents.look, media)
        with taker.blamed_for(media):
            return await self._once(("look", _name_of(media)), work)

    async def _encoded(self, taker: _Taker, held: Held) -> bytes:
        def encode() -> bytes:
            data = self._contents.read(held.media, _content(held))
            return data_uri(data, _content(held).media_type or "")

        with taker.blamed_for(held.media):
            return await self._in_thread(encode)

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await anyio.to_thread.run_sync(partial(work, *args), limiter=self._readers)

    # --- uploading -------------------------------------------------------------------------

    async def _address(self, taker: _Taker, held: Held) -> str:
        """Where the bytes of a medium are, after an upload if nobody has asked before."""
        content = _content(held)
        known = self._addresses.get(content.sha256)
        if known is None or anyio.current_time() >= known.renew_at:
            work = partial(self._upload, held.media, content)
            with taker.blamed_for(held.media):
                known = await self._once(("upload", content.sha256), work)
        taker.require_address(known.url)
        return known.url

    async def _upload(self, media: LocalMedia, content: Content) -> _Address:
        try:
            url = await self._uploaded(media, content)
            lifetime = _lifetime(self._uploader)
        except Unfit:
            raise
        except Exception as exc:  # whatever the user's uploader raises
            raise NotSent(
                f"nothing was created: {media!r} could not be uploaded ({in_words(exc)})"
            ) from exc
        if not _is_address(url):
            raise NotSent(
                f"nothing was created: the uploader returned {type(url).__name__} "
                f"{quoted(url, 60)} for {media!r}, where a web address belongs"
            )
        log.debug("uploaded %r as %s, %d bytes", media, content.name, content.size)
        address = _Address(url, anyio.current_time() + lifetime / 2)
        self._addresses[content.sha256] = address
        return address

    async def _uploaded(self, media: LocalMedia, content: Content) -> object:
        from liangxin.uploads import hand_over  # for those who upload

        uploader = self._uploader
        assert uploader is not None
        about = content.media_type or "application/octet-stream"
        async with self._opened(self._contents.opened(media, content)) as stream:
            return await hand_over(
                uploader, content.name, stream, about, content.size, limiter=self._uploads
            )

    @asynccontextmanager
    async def _opened(self, file: AbstractContextManager[T]) -> AsyncIterator[T]:
        """A blocking context manager, entered and left in worker threads."""
        entered = await self._in_thread(file.__enter__)
        try:
            yield entered
        except BaseException as exc:  # cancelled, or failed: closed in any case
            with anyio.CancelScope(shield=True):
                await self._in_thread(file.__exit__, type(exc), exc, exc.__traceback__)
            raise
        await self._in_thread(file.__exit__, None, None, None)

    # --- once for all ----------------------------------------------------------------------

    async def _once(self, key: object, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns or raises, done once for all who ask for `key` at the same time."""
        shared = cast("_Shared[T] | None", self._shared.get(key))
        if shared is None:
            shared = _Shared()
            self._owned.start(partial(self._do, key, shared, work))
            self._shared[key] = cast("_Shared[object]", shared)
        await shared.done.wait()
        if isinstance(shared.error, LiangxinError):
            raise copy(shared.error)  # one error of the work may be many waiters' own
        if shared.error is not None:
            raise shared.error.with_traceback(None)
        return cast("T", shared.result)

    async def _do(self, key: object, shared: _Shared[T], work: Callable[[], Awaitable[T]]) -> None:
        try:
            shared.result = await work()
        except Exception as exc:  # raised by all who wait for it
            shared.error = exc
        except BaseException:
            shared.error = NotSent("nothing was created: the client closed before it could be")
            raise
        finally:
            self._shared.pop(key, None)
            shared.done.set()


@define(eq=False)
class _Shared(Generic[T]):
    """Work that several may wait for."""

    done: anyio.Event = field(factory=lambda: anyio.Event())
    result: T | None = None
    error: Exception | None = None


@frozen
class _Address:
    """Where something was uploaded to, and when to ask for another address of it."""

    url: str
    renew_at: float


def _content(held: Held) -> Content:
    assert held.content is not None
    return held.content


def _name_of(media: LocalMedia) -> object:
    return media.source if isinstance(media.source, Path) else id(media.source)


def _is_address(url: object) -> TypeGuard[str]:
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        return False
    return url.lower().startswith(("https://", "http://"))


def _lifetime(uploader: object) -> float:
    expires = getattr(uploader, "expires", None)
    return float("inf") if expires is None else float(expires.total_seconds())


# --- what a field takes ------------------------------------------------------------------------


@frozen
class _Taker:
    """A field that holds a medium, and what is known about it."""

    place: Place
    subject: str
    kind: MediaKind | None = None
    """None where nobody here knows the field."""
    data_uri: Provenance | None = None
    rule: PictureReferences | None = None

    @classmethod
    def of(cls, input: ModelInput, slug: str, place: Place) -> _Taker:
        """The field of an input."""
        from liangxin.models._checks import CheckedInput  # for those who send pictures
        from liangxin.models._rules import PictureReferences, facts

        if not isinstance(input, CheckedInput):
            return cls(place, f"{place} of {quoted(slug, 60)}")
        subject = f"{type(input).__name__}.{place}"
        fact = facts(type(input)).get(place.field)
        if fact is None:
            return cls(place, subject)
        rules = (rule for rule in input.rules if isinstance(rule, PictureReferences))
        rule = next((rule for rule in rules if place.field in rule.fields), None)
        return cls(place, subject, fact.media, fact.data_uri, rule)

    @contextmanager
    def blamed_for(self, media: LocalMedia) -> Iterator[None]:
        """Say of which field it was that a medium is unfit."""
        try:
            yield
        except Unfit as exc:
            raise self.refusal(media, str(exc), "what can be read, and stays as it is") from exc

    def require_type(self, media: LocalMedia, content: Content) -> None:
        """Raise for what is not of the kind that the field holds."""
        if self.kind is None:
            return
        taken = USUAL[self.kind] if self.rule is None else self.rule.media_types
        if content.media_type not in taken:
            is_what = content.media_type or f"no {self.kind} that is known here, by its first bytes"
            raise self.refusal(media, f"is {is_what}", ", ".join(taken))

    def require_address(self, url: str) -> None:
        """Raise for the address of an upload that breaks a documented rule of the field."""
        if self.rule is not None and self.rule.judge(url) == "documented":
            raise InputError(
                f"{self.subject} was uploaded, and {quoted(url.partition('?')[0], 120)} is not "
                f"what it takes: {self.rule.allowed}",
                field=self.place.field,
                value=url,
                allowed=self.rule.allowed,
            )

    def needs_uploader(self, media: LocalMedia, content: Content, most: int) -> InputError:
        """The error where only an uploader could help, and there is none."""
        if self.data_uri == "documented":
            said = f"has {content.size:,} bytes, more than max_data_uri={most} lets into a request"
        elif self.data_uri == "inferred":
            said = "is no web address; that data URIs are taken here is inferred, not documented"
        else:
            said = "is no web address, and nothing else is known to be taken here"
        return self.refusal(
            media,
            said,
            "a web address: pass one, or, in Python, give the client an uploader=…",
        )

    def refusal(self, media: LocalMedia, said: str, allowed: str) -> InputError:
        """The error for a medium that the field does not take."""
        return InputError(
            f"{self.subject} is {media!r}, which {said}; it takes {allowed}",
            field=self.place.field,
            value=media,
            allowed=allowed,
        )


# --- what is in memory -------------------------------------------------------------------------


class _DataUris:
    """Data URIs by their hash: each made once, however many requests carry it."""

    def __init__(self, make: Callable[[_Taker, Held], Awaitable[bytes]]) -> None:
        self._make = make
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        """The least recently wanted first; what nobody carries goes when there is no room."""
        self._carriers: Counter[str] = Counter()
        self._queue = anyio.Lock()
        self._freed = anyio.Event()

    @asynccontextmanager
    async def of(self, wanted: Sequence[tuple[_Taker, Held]]) -> AsyncIterator[Mapping[str, bytes]]:
        """Those of the media, by the hash of what they hold, kept while the block runs."""
        names = {_content(held).sha256: (taker, held) for taker, held in wanted}
        if not names:
            yield {}
            return
        async with self._queue:  # fair, so that a large request is not overtaken for ever
            await self._take(names)
        try:
            yield {name: self._kept[name] for name in names}
        finally:
            self._carriers -= Counter(names.keys())
            self._freed.set()

    async def _take(self, names: Mapping[str, tuple[_Taker, Held]]) -> None:
        missing = [name for name in names if name not in self._kept]
        size = sum(_content(names[name][1]).size * 4 // 3 for name in missing)
        while not self._has_room(size, names):
            self._freed = anyio.Event()
            await self._freed.wait()
        for name in missing:
            self._kept[name] = await self._make(*names[name])
        for name in names:
            self._kept.move_to_end(name)
            self._carriers[name] += 1

    def _has_room(self, size: int, wanted: Collection[str]) -> bool:
        """Whether so many bytes fit, after whatever nobody carries has gone."""
        for name in [*self._kept]:
            if sum(map(len, self._kept.values())) + size <= ROOM:
                return True
            if not self._carriers[name] and name not in wanted:
                del self._kept[name]
        return not self._carriers or sum(map(len, self._kept.values())) + size <= ROOM
