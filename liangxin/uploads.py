"""
Where pictures, clips and sounds of the user's go when a model takes web addresses only::

    from obstore.store import S3Store

    bucket = ObstoreUploader(S3Store("pictures", region="eu-central-1"))
    async with AsyncClient(uploader=bucket) as client:
        await client.run(models.Flux2Pro(prompt="the same in fog", input_image=Path("cat.png")))

An uploader is anything that can be called with a name, a stream, a media type and a size, and that
returns a web address.  The service documents no upload of its own.

Results go the same way: `client.deliver(task, bucket)` hands each to an uploader.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

import anyio
import anyio.to_thread

from liangxin._errors import InputError
from liangxin._text import quoted

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["Memory", "ObstoreUploader", "Uploader"]


class Uploader(Protocol):
    """
    What puts a file where the service can fetch it, and says where that is.

    Called with a name made of the SHA-256 of the bytes and an ending (`3f….png`), a stream that is
    valid during the call, the media type and the size in bytes.  A plain function is called in a
    worker thread, a coroutine function in the event loop.  The same bytes are asked for once for
    each client; whatever it raises is raised as `NotSent`, and the next request asks again.

    An uploader with an attribute `expires`, a `timedelta`, is asked again when half of that time
    has passed, since the service may fetch a picture long after its request.
    """

    def __call__(
        self, name: str, stream: BinaryIO, media_type: str, size: int, /
    ) -> str | Awaitable[str]: ...


class ObstoreUploader:
    """
    Puts files into S3, Google Cloud Storage or Azure through obstore, and signs addresses of them.

    `store` is a store of `obstore.store`; names begin with `prefix`.  A file that is there already
    is not sent again.  The address is a signed one that works for `expires`, or what `url_for`
    makes of the name: for a bucket that is public, or served by another host.  Stores in memory or
    in a folder sign nothing, and need `url_for`.

    Needs `pip install "liangxin[objects]"`.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        prefix: str = "liangxin/",
        expires: timedelta = timedelta(days=1),
        url_for: Callable[[str], str] | None = None,
    ) -> None:
        try:
            import obstore
        except ImportError as error:
            raise ImportError(
                'Uploads to a bucket need an extra: pip install "liangxin[objects]"'
            ) from error
        stores = obstore.store
        signing = (stores.S3Store, stores.GCSStore, stores.AzureStore)
        if url_for is None and not isinstance(store, signing):
            allowed = "an S3Store, GCSStore or AzureStore, or any store with url_for="
            raise InputError(
                f"{type(store).__name__} signs no addresses: store must be {allowed}",
                field="store",
                value=store,
                allowed=allowed,
            )
        if expires <= timedelta(0):
            raise InputError(
                f"expires must be longer than nothing, not {quoted(expires)}",
                field="expires",
                value=expires,
                allowed="a timedelta above 0",
            )
        self.store = store
        self.prefix = prefix
        self.expires = None if url_for is not None else expires
        self._obstore = obstore
        # A folder keeps no media types, and obstore refuses them there.
        self._keeps_types = not isinstance(store, stores.LocalStore)
        self._url_for = url_for
        self._lifetime = expires

    # Not a coroutine: those of obstore need an asyncio loop, and the loop may be trio's.
    def __call__(self, name: str, stream: BinaryIO, media_type: str, size: int) -> str:
        path = self.prefix + name
        if not self._has(path, size):
            about = {"Content-Type": media_type} if self._keeps_types else None
            self._obstore.put(self.store, path, stream, attributes=about)
        if self._url_for is not None:
            return self._url_for(path)
        url: str = self._obstore.sign(  # type: ignore[call-overload]  # one of those that sign
            self.store, "GET", path, self._lifetime
        )
        return url

    def _has(self, path: str, size: int) -> bool:
        try:
            return self._obstore.head(self.store, path)["size"] == size
        except FileNotFoundError:
            return False


class Memory:
    """Keeps what it is handed in `files`, by name: for `client.deliver`, and for tests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def __call__(self, name: str, stream: BinaryIO, media_type: str, size: int) -> str:
        self.files[name] = stream.read()
        return name


async def hand_over(
    uploader: Uploader,
    name: str,
    stream: BinaryIO,
    media_type: str,
    size: int,
    *,
    limiter: anyio.CapacityLimiter,
) -> str:
    """Call an uploader where it belongs: a function in a worker thread, a coroutine here."""
    call = partial(uploader, name, stream, media_type, size)
    if _is_coroutine_function(uploader):
        async with limiter:
            return await cast("Awaitable[str]", call())
    # In a list, because trio takes a coroutine for a mistake.
    [url] = await anyio.to_thread.run_sync(lambda: [call()], limiter=limiter)
    return await url if inspect.isawaitable(url) else url


def _is_coroutine_function(uploader: object) -> bool:
    call = getattr(uploader, "__call__", None)  # noqa: B004  # an object with an async __call__
    return inspect.iscoroutinefunction(uploader) or inspect.iscoroutinefunction(call)
