"""Downloads against hosts that cut, lie, drip, redirect and expire; nothing leaves loopback."""

from __future__ import annotations

import asyncio
import hashlib
import io
import ipaddress
import os
import random
import ssl
import threading
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from itertools import count, repeat
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import liangxin
from liangxin import DownloadPolicy, DownloadProgress
from liangxin._addresses import Guard, host_of, refusal, without_query
from liangxin._download import MAX_AT_ONCE, Downloader, Pace
from liangxin._errors import (
    Blocked,
    ClientStateError,
    Corrupt,
    DownloadError,
    InputError,
    ResultExpired,
    TaskNotFound,
    TooLarge,
    TransportError,
    Truncated,
)
from liangxin._files import MAX_STEM, Part, media_ending, remove_abandoned, safe_stem
from liangxin._origin import parse_base_url
from liangxin._tasks import Task, TaskState
from tests.hostile_origin import HANG, HostileOrigin, Script, chunked, reply, serving

PNG = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(256 * 1024) + b"\0\0\0\0IEND\xaeB`\x82"
OTHER = b"\x89PNG\r\n\x1a\n" + random.Random(2).randbytes(256 * 1024) + b"\0\0\0\0IEND\xaeB`\x82"
MP4 = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + random.Random(3).randbytes(64 * 1024)
SMALL = b"\x89PNG\r\n\x1a\n" + b"\0" * 100 + b"IEND\xaeB`\x82"
PUBLIC = "93.184.216.34"


@pytest.fixture
def stage() -> Iterator[ExitStack]:
    """Where hosts are put up, to be taken down when the test ends."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def host(stage: ExitStack) -> Callable[..., HostileOrigin]:
    """Put up a host that gives these answers."""

    def make(*answers: bytes | Script, tls: ssl.SSLContext | None = None) -> HostileOrigin:
        return stage.enter_context(HostileOrigin(*answers, tls=tls).serve())

    return make


async def no_look(task_id: str) -> Task:
    raise AssertionError(f"nobody was to look at {task_id}")


async def no_lookup(host: str, port: int) -> list[str]:
    raise AssertionError(f"nobody was to look up {host}")


async def here(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def downloader(
    api: str,
    look: Callable[[str], Awaitable[Task]] = no_look,
    *,
    tls: ssl.SSLContext | None = None,
    resolve: Callable[[str, int], Awaitable[list[str]]] = no_lookup,
    **policy: Any,
) -> Downloader:
    return Downloader(
        parse_base_url(api),
        look,
        DownloadPolicy(**policy),
        tls=tls,
        resolve=resolve,
        delays=lambda: repeat(0.0),
    )


def done(*urls: str, id: str = "task-1") -> Task:
    return Task(id=id, state=TaskState.SUCCESS, urls=urls)


async def fetch(origin: HostileOrigin, to: Path, **policy: Any) -> bytes:
    """Download the one result of an origin that is also the service's."""
    paths = await downloader(origin.url(), **policy).download(done(origin.url("/r?sig=s")), to)
    assert [path.parent for path in paths] == [to]
    return await anyio.to_thread.run_sync(paths[0].read_bytes)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "ending"),
    [(PNG, "png"), (MP4, "mp4"), (b"\xff\xd8\xff\xe0" + b"\0" * 99 + b"\xff\xd9", "jpg")],
    ids=["png", "mp4", "jpg"],
)
async def test_a_result_becomes_a_file_named_for_its_task_and_its_bytes(
    host: Callable[..., HostileOrigin], tmp_path: Path, body: bytes, ending: str
) -> None:
    origin = host(
        reply(body, Content_Type="text/html", Content_Disposition='attachment; filename="../x.sh"')
    )
    paths = await downloader(origin.url()).download(done(origin.url("/evil.exe")), tmp_path)
    assert paths == [tmp_path / f"task-1.{ending}"]
    assert listing(tmp_path) == [f"task-1.{ending}"]
    assert paths[0].read_bytes() == body


async def test_several_results_are_numbered_and_the_folder_is_made(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    origin = host(reply(PNG), reply(MP4))
    to = tmp_path / "a" / "b"
    urls = origin.url("/1"), origin.url("/2")
    paths = await downloader(origin.url()).download(done(*urls), to, name="poster")
    assert paths == [to / "poster-1.png", to / "poster-2.mp4"]
    assert [path.read_bytes() for path in paths] == [PNG, MP4]


async def test_a_file_of_many_writes_arrives_whole(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    body = PNG + random.Random(5).randbytes(3_300_000)
    assert await fetch(host(reply(body)), tmp_path) == body


async def test_what_was_saved_is_told_by_its_hash_its_size_its_kind_and_its_host(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    body = PNG + random.Random(6).randbytes(2_500_000)
    origin = host(serving(body, '"v1"', cuts=(1_200_000,)))
    url = origin.url("/r?sig=s")
    [file] = await downloader(origin.url()).save(done(url), tmp_path, name="poster")
    assert file.path == tmp_path / "poster.png"
    assert file.sha256 == hashlib.sha256(body).hexdigest()
    assert (file.size, file.media_type, file.host) == (len(body), "image/png", "127.0.0.1")


async def test_a_file_that_was_begun_anew_has_the_hash_of_what_it_holds(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    body = PNG + random.Random(7).randbytes(2_500_000)
    origin = host(serving(body, 'W/"weak"', cuts=(1_200_000,)))
    [file] = await downloader(origin.url()).save(done(origin.url("/r")), tmp_path)
    assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert file.path.read_bytes() == body


async def test_progress_grows_and_ends_with_each_file_in_its_place(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    body = PNG + bytes(600_000)
    origin = host(reply(body), chunked(MP4))
    told: list[DownloadProgress] = []
    urls = origin.url("/1"), origin.url("/2")
    await downloader(origin.url()).save(done(*urls), tmp_path, told=told.append)
    first, second = ([each for each in told if each.index == index] for index in (0, 1))
    assert [each.received for each in first] == sorted(each.received for each in first)
    assert {each.total for each in first} == {len(body)}
    assert [each.path for each in first if each.path] == [tmp_path / "task-1-1.png"]
    assert second[0].total is None
    assert (second[-1].path, second[-1].received) == (tmp_path / "task-1-2.mp4", len(MP4))
    assert {each.count for each in told} == {2}


@pytest.mark.parametrize(
    ("url", "whose"),
    [
        ("https://user:pw@cdn.example:8443/x?sig=1", "cdn.example"),
        ("https://[::1]/x", "::1"),
        ("not a url", ""),
        ("https://[::1", ""),
    ],
)
def test_a_host_is_named_without_anything_else(url: str, whose: str) -> None:
    assert host_of(url) == whose


@pytest.mark.skipif(os.name == "nt", reason="making symlinks takes a privilege there")
async def test_a_symlink_at_the_files_name_is_replaced_and_not_followed(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    to = tmp_path / "out"
    to.mkdir()
    (to / "task-1.png").symlink_to(victim)
    assert await fetch(host(reply(PNG)), to) == PNG
    assert victim.read_bytes() == b"precious"
    assert not (to / "task-1.png").is_symlink()


async def test_a_failed_download_leaves_an_older_file_as_it_was(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    (tmp_path / "task-1.png").write_bytes(b"older")
    with pytest.raises(Truncated):
        await fetch(host(reply(PNG[:1000], length=len(PNG))), tmp_path)
    assert listing(tmp_path) == ["task-1.png"]
    assert (tmp_path / "task-1.png").read_bytes() == b"older"


async def test_a_folder_that_cannot_be_made_is_a_download_error_before_anything_is_asked(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    origin = host(reply(PNG))
    with pytest.raises(DownloadError, match="cannot be written") as caught:
        await fetch(origin, tmp_path / "file")
    assert isinstance(caught.value.__cause__, OSError)
    assert origin.connections == 0


async def test_a_folder_in_the_files_place_is_a_download_error_and_nothing_is_left(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    (tmp_path / "task-1.png" / "kept").mkdir(parents=True)
    with pytest.raises(DownloadError, match="cannot be written"):
        await fetch(host(reply(PNG)), tmp_path)
    assert listing(tmp_path) == ["task-1.png"]


async def test_a_task_without_results_says_so(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"task-1 .* has no results"):
        await downloader("http://127.0.0.1:9").download(done(), tmp_path)


async def test_a_cancelled_download_leaves_nothing(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    origin = host(lambda head: [reply(PNG[:70_000], length=len(PNG)), HANG])
    async with anyio.create_task_group() as group:
        group.start_soon(fetch, origin, tmp_path)
        await anyio.to_thread.run_sync(origin.hangs.acquire)
        group.cancel_scope.cancel()
    assert listing(tmp_path) == []


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
@pytest.mark.parametrize("is_asked", [False, True], ids=["at once", "when asked"])
@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_a_download_that_asyncio_cancels_leaves_nothing_or_the_whole(
    host: Callable[..., HostileOrigin], tmp_path: Path, turns: int, is_asked: bool
) -> None:
    asked = threading.Semaphore(0)

    def script(head: str) -> list[bytes]:
        asked.release()
        return [reply(PNG)]

    origin = host(script)
    task = asyncio.create_task(fetch(origin, tmp_path))
    if is_asked:
        await anyio.to_thread.run_sync(asked.acquire)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert contents(tmp_path) in ({}, {"task-1.png": PNG})


def test_what_a_thread_does_after_the_end_of_a_download_leaves_nothing(tmp_path: Path) -> None:
    never_begun, given_up = Part(tmp_path, "a"), Part(tmp_path, "b")
    given_up._create()
    for part in (never_begun, given_up):
        part._discard()
        part._create()
        part._append(PNG)
        part._truncate()
        part._publish(tmp_path / "c.png")
    assert listing(tmp_path) == []


def test_a_part_is_abandoned_when_its_process_is_gone_and_not_before(tmp_path: Path) -> None:
    mine, killed = Part(tmp_path, "a"), tmp_path / f".b.{'0' * 16}.part"
    mine._create()
    mine._append(PNG)
    others = [tmp_path / name for name in (".b.part", "b.part", f"b.{'0' * 16}.part")]
    for path in (killed, *others):
        path.write_bytes(PNG[:1000])
    remove_abandoned(sorted(tmp_path.iterdir()))
    assert not killed.exists()
    assert all(path.exists() for path in others)
    mine._publish(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == PNG


async def test_closing_ends_the_downloads_under_way_and_leaves_nothing(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    origin = host(lambda head: [reply(PNG[:70_000], length=len(PNG)), HANG])
    downloads = downloader(origin.url())
    errors: list[Exception] = []

    async def download() -> None:
        try:
            await downloads.download(done(origin.url("/r")), tmp_path)
        except Exception as exc:  # to be looked at below
            errors.append(exc)

    async with anyio.create_task_group() as group:
        group.start_soon(download)
        await anyio.to_thread.run_sync(origin.hangs.acquire)
        await downloads.aclose()
        assert listing(tmp_path) == []
    assert [type(error) for error in errors] == [ClientStateError]


async def test_no_more_files_are_fetched_at_a_time_than_allowed(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    origin = host(lambda head: [HANG])
    downloads = downloader(origin.url())
    async with anyio.create_task_group() as group:
        for number in range(3 * MAX_AT_ONCE):
            group.start_soon(downloads.download, done(origin.url("/r"), id=f"{number}"), tmp_path)
        for _ in range(MAX_AT_ONCE):
            await anyio.to_thread.run_sync(origin.hangs.acquire)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert origin.connections == MAX_AT_ONCE


# --- transfers that break off ------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 7, 63, 64, 4096, 65_536, 200_000, len(PNG) - 1])
async def test_a_cut_file_with_a_strong_etag_goes_on_where_it_broke_off(
    host: Callable[..., HostileOrigin], tmp_path: Path, at: int
) -> None:
    origin = host(serving(PNG, '"v1"', cuts=(at,)))
    assert await fetch(origin, tmp_path) == PNG
    assert ("Range: " in origin.heads[1]) == (at > 0)
    assert at == 0 or f"Range: bytes={at}-\r\n" in origin.heads[1]
    assert len(origin.heads) == 2


async def test_a_file_that_is_cut_twice_is_still_whole(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    body = PNG + random.Random(6).randbytes(2_500_000)
    origin = host(serving(body, '"v1"', cuts=(1_500_000, 2_600_000)))
    assert await fetch(origin, tmp_path) == body
    assert [head.count("If-Range") for head in origin.heads] == [0, 1, 1]


@pytest.mark.parametrize("etag", [None, 'W/"v1"', "v1", '"v1" "v2"'])
async def test_a_cut_file_without_a_strong_etag_starts_again(
    host: Callable[..., HostileOrigin], tmp_path: Path, etag: str | None
) -> None:
    cut = reply(PNG[:100_000], length=len(PNG), ETag=etag)
    origin = host(cut, reply(OTHER, ETag=etag))
    assert await fetch(origin, tmp_path) == OTHER
    assert "Range: " not in "".join(origin.heads)


async def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    cut = reply(PNG[:100_000], length=len(PNG), ETag='"v1"')
    origin = host(cut, serving(OTHER, '"v2"'))
    assert await fetch(origin, tmp_path) == OTHER
    assert 'If-Range: "v1"' in origin.heads[1]


async def test_a_file_that_changed_and_became_shorter_has_nothing_of_the_longer_one(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    longer = PNG + random.Random(7).randbytes(2_000_000)
    origin = host(reply(longer[:-1], length=len(longer), ETag='"v1"'), reply(SMALL, ETag='"v2"'))
    assert await fetch(origin, tmp_path) == SMALL


def _rest(body: bytes, start: int, **changes: object) -> bytes:
    place = f"bytes {start}-{len(body) - 1}/{len(body)}"
    headers: dict[str, Any] = {"ETag": '"v1"', "Content_Range": place} | changes
    return reply(body[start:], status=206, length=len(body) - start, **headers)


@pytest.mark.parametrize(
    "wrong",
    [
        {"Content_Range": None},
        {"Content_Range": "bytes */262172"},
        {"Content_Range": f"bytes 0-{len(OTHER) - 1}/{len(OTHER)}"},
        {"Content_Range": f"bytes 99999-{len(OTHER) - 1}/{len(OTHER)}"},
        {"Content_Range": f"bytes 100000-{len(OTHER) - 1}/*"},
        {"Content_Range": f"bytes 100000-{len(OTHER) - 1}/{len(OTHER) + 1}"},
        {"Content_Range": f"bytes 100000-{len(OTHER)}/{len(OTHER)}"},
        {"Content_Range": "bytes 100000-99999/" + "9" * 5000},
        {"Content_Range": f"pages 100000-{len(OTHER) - 1}/{len(OTHER)}"},
        {"ETag": '"v2"'},
        {"ETag": 'W/"v1"'},
        {"ETag": None},
        {"Content_Type": "multipart/byteranges; boundary=x", "Content_Range": None},
    ],
    ids=str,
)
async def test_a_rest_that_is_not_provably_of_the_same_file_is_not_taken(
    host: Callable[..., HostileOrigin], tmp_path: Path, wrong: dict[str, object]
) -> None:
    cut = reply(PNG[:100_000], length=len(PNG), ETag='"v1"')
    origin = host(cut, _rest(OTHER, 100_000, **wrong), reply(OTHER))
    assert await fetch(origin, tmp_path) == OTHER
    assert ["Range: " in head for head in origin.heads] == [False, True, False]


async def test_a_host_that_cannot_serve_the_rest_is_asked_for_the_whole(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    cut = reply(PNG[:100_000], length=len(PNG), ETag='"v1"')
    origin = host(cut, reply(status=416, Content_Range="bytes */5"), reply(OTHER))
    assert await fetch(origin, tmp_path) == OTHER


async def test_a_rest_that_comes_in_pieces_is_put_together(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    cut = reply(PNG[:100_000], length=len(PNG), ETag='"v1"')
    place = f"bytes 100000-149999/{len(PNG)}"
    piece = reply(PNG[100_000:150_000], status=206, ETag='"v1"', Content_Range=place)
    origin = host(cut, piece, serving(PNG, '"v1"'))
    assert await fetch(origin, tmp_path) == PNG
    assert "Range: bytes=150000-\r\n" in origin.heads[2]


async def test_a_rest_that_is_longer_than_it_says_is_fetched_again_from_the_start(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    cut = reply(PNG[:100_000], length=len(PNG), ETag='"v1"')
    longer = _rest(PNG + b"more", 100_000, Content_Range=f"bytes 100000-{len(PNG) - 1}/{len(PNG)}")
    origin = host(cut, longer, serving(PNG, '"v1"'))
    assert await fetch(origin, tmp_path) == PNG
    assert "Range: " not in origin.heads[2]


async def test_a_part_that_nobody_asked_for_is_no_result(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match="answered 206"):
        await fetch(host(_rest(PNG, 100)), tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"\x16\x03\x01\x02\x00not http at all\r\n\r\n",
        reply(PNG, length=len(PNG) + 1),
        reply(PNG[:-1], length=len(PNG)),
        chunked(PNG, is_ended=False),
        reply(PNG[:-1], length=-1),
        reply(MP4, length=-1),
        b"HTTP/1.0 200 OK\r\n\r\n" + PNG[:-12],
    ],
    ids=[
        *("silence", "half a head", "no http", "one byte short of a lie", "one byte short"),
        *("no last chunk", "no length and no end", "no length and no way to tell", "http/1.0"),
    ],
)
async def test_a_transfer_that_does_not_end_properly_is_truncated_after_three_attempts(
    host: Callable[..., HostileOrigin], tmp_path: Path, answer: bytes
) -> None:
    origin = host(answer)
    with pytest.raises(Truncated) as caught:
        await fetch(origin, tmp_path)
    assert listing(tmp_path) == []
    assert len(origin.heads) == 3
    assert "sig=s" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [chunked(PNG), reply(PNG, length=-1), b"HTTP/1.0 200 OK\r\n\r\n" + PNG],
    ids=["chunked", "no length", "http/1.0"],
)
async def test_a_file_without_a_length_is_taken_if_its_end_can_be_told(
    host: Callable[..., HostileOrigin], tmp_path: Path, answer: bytes
) -> None:
    assert await fetch(host(answer), tmp_path) == PNG


CUTS = range(4096, 256 * 1024, 4096)


def noise(format: str) -> bytes:
    """A real picture of 256 KiB and more."""
    stream = io.BytesIO()
    Image.frombytes("RGB", (300, 300), random.Random(9).randbytes(270_000)).save(stream, format)
    return stream.getvalue()


@pytest.mark.parametrize("cut", CUTS)
def test_a_host_that_announces_too_little_is_not_believed(
    host: Callable[..., HostileOrigin], tmp_path: Path, cut: int
) -> None:
    body = noise("PNG")
    origin = host(reply(body[:cut] + b"and more" * 4, length=cut, ETag='"v1"'))

    async def main() -> None:
        with pytest.raises(Truncated, match=f"ended after {cut} bytes, and the png has more"):
            await fetch(origin, tmp_path)

    anyio.run(main)
    assert listing(tmp_path) == []
    assert len(origin.heads) == 3


@pytest.mark.parametrize("cut", CUTS)
def test_wherever_a_file_is_cut_it_arrives_whole(
    host: Callable[..., HostileOrigin], tmp_path: Path, cut: int
) -> None:
    body = noise("PNG")
    assert anyio.run(fetch, host(serving(body, '"v1"', cuts=(cut,))), tmp_path) == body


@pytest.mark.parametrize("sent", [b"", reply(PNG[:70_000], length=len(PNG))], ids=["head", "body"])
async def test_a_host_that_falls_silent_is_given_up(
    host: Callable[..., HostileOrigin], tmp_path: Path, sent: bytes
) -> None:
    origin = host(lambda head: [sent, HANG])
    with pytest.raises(Truncated, match=r"sent nothing for 0\.5 s") as caught:
        await fetch(origin, tmp_path, stall_timeout=0.5, attempts=2)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert len(origin.heads) == 2
    assert listing(tmp_path) == []


async def test_a_host_that_drips_is_given_up(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    def drip(head: str) -> Iterator[bytes]:
        yield reply(SMALL, length=10**9)
        for _ in count():
            yield b"x"

    with pytest.raises(Truncated, match="less than 1e\\+12 bytes a second"):
        await fetch(host(drip), tmp_path, min_rate=1e12, rate_window=0.05, attempts=1)
    assert listing(tmp_path) == []


def test_the_pace_is_judged_over_whole_windows() -> None:
    pace = Pace(100.0, 60.0, 1000.0)
    assert not pace.is_too_slow(1059.9, 1)
    assert not pace.is_too_slow(1060.0, 6000)
    assert not pace.is_too_slow(1119.0, 6001)
    assert pace.is_too_slow(1120.0, 11_999)
    assert not Pace(0.0, 60.0, 0.0).is_too_slow(1e9, 0)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 599])
async def test_an_answer_that_says_later_is_asked_again(
    host: Callable[..., HostileOrigin], tmp_path: Path, status: int
) -> None:
    origin = host(reply(b"<html>", status=status), reply(PNG))
    assert await fetch(origin, tmp_path) == PNG


async def test_a_host_that_keeps_saying_later_is_given_up(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    origin = host(reply(status=503))
    with pytest.raises(DownloadError, match="answered 503"):
        await fetch(origin, tmp_path)
    assert len(origin.heads) == 3


@pytest.mark.parametrize("status", [201, 204, 300, 304, 400, 401, 418])
async def test_any_other_answer_is_no_result_and_not_asked_again(
    host: Callable[..., HostileOrigin], tmp_path: Path, status: int
) -> None:
    origin = host(reply(status=status))
    with pytest.raises(DownloadError, match=f"answered {status}"):
        await fetch(origin, tmp_path)
    assert len(origin.heads) == 1


async def test_a_host_that_refuses_connections_is_a_download_error_with_its_cause(
    tmp_path: Path,
) -> None:
    origin = HostileOrigin(b"")
    origin._listener.close()
    with pytest.raises(DownloadError, match="cannot be reached") as caught:
        await fetch(origin, tmp_path)
    assert caught.value.__cause__ is not None


# --- bodies that are not what was asked for ----------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><title>Sign in</title>" + b" " * 500,
        b'{"code": 404, "msg": "gone"}',
        b"",
        b"\0" * 1000,
        b"MZ\x90\0" + b"\0" * 100,
        b"%PDF-1.7",
        b"\x89PN",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
async def test_what_does_not_begin_like_a_picture_or_a_clip_is_corrupt_whatever_it_claims(
    host: Callable[..., HostileOrigin], tmp_path: Path, body: bytes
) -> None:
    origin = host(reply(body, Content_Type="image/png"))
    with pytest.raises(Corrupt):
        await fetch(origin, tmp_path)
    assert listing(tmp_path) == []
    assert len(origin.heads) == 1


async def test_a_page_of_html_is_read_no_further_than_its_first_bytes(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    origin = host(lambda head: [reply(b"<!DOCTYPE html>" + b" " * 99, length=10**6), HANG])
    with pytest.raises(Corrupt, match="begins with '<!DOCTYPE html>'"):
        await fetch(origin, tmp_path, stall_timeout=1.0, attempts=1)


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip", "identity, deflate", "x"])
async def test_an_encoded_body_is_refused_unread(
    host: Callable[..., HostileOrigin], tmp_path: Path, encoding: str
) -> None:
    origin = host(lambda head: [reply(length=10**9, Content_Encoding=encoding), HANG])
    with pytest.raises(Corrupt, match="encoding"):
        await fetch(origin, tmp_path)


async def test_a_file_that_claims_to_be_too_large_is_not_read(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    origin = host(lambda head: [reply(length=200_001), HANG])
    with pytest.raises(TooLarge, match="limit of 200000 bytes"):
        await fetch(origin, tmp_path, max_bytes=200_000)
    assert listing(tmp_path) == []


async def test_an_endless_body_is_read_no_further_than_the_limit(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    def endless(head: str) -> Iterator[bytes]:
        yield reply(PNG, length=-1)
        for _ in count():
            yield bytes(65536)

    with pytest.raises(TooLarge):
        await fetch(host(endless), tmp_path, max_bytes=3_000_000)
    assert listing(tmp_path) == []


async def test_however_much_comes_little_of_it_is_in_memory(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    block = bytes(1024 * 1024)

    def endless(head: str) -> Iterator[bytes]:
        yield reply(SMALL[:-12], length=10**9)
        for _ in count():
            yield block

    origin = host(endless)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            await fetch(origin, tmp_path, max_bytes=10**9 - 1)
        with pytest.raises(TooLarge):
            await fetch(host(lambda head: endless_chunks(block)), tmp_path, max_bytes=64 * 1024**2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024**2
    assert listing(tmp_path) == []


def endless_chunks(block: bytes) -> Iterator[bytes]:
    yield reply(length=-1, Transfer_Encoding="chunked")
    yield b"%x\r\n%b\r\n" % (len(SMALL[:-12]), SMALL[:-12])
    for _ in count():
        yield b"%x\r\n%b\r\n" % (len(block), block)


async def test_a_file_of_exactly_the_limit_is_taken(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    assert await fetch(host(reply(PNG)), tmp_path, max_bytes=len(PNG)) == PNG


async def test_an_endless_head_is_given_up(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    def endless(head: str) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        for number in count():
            yield b"X-%d: %b\r\n" % (number, b"y" * 8000)

    with pytest.raises(Truncated):
        await fetch(host(endless), tmp_path, attempts=1)


@pytest.mark.parametrize(
    ("head", "ending"),
    [
        (b"GIF89a", "gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", "avif"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif", "avif"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1heic", "heic"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "mov"),
        (b"\0\0\0\x14ftypmp42\0\0\0\0", "mp4"),
        (b"\x1a\x45\xdf\xa3\x9fB\x82\x84webm", "webm"),
        (b"\x1a\x45\xdf\xa3\x9fB\x82\x88matroska", None),
        (b"\0\0\0\x14ftyp", None),
        (b"", None),
    ],
)
def test_the_ending_follows_from_the_first_bytes(head: bytes, ending: str | None) -> None:
    assert media_ending(head) == ending


@given(st.binary(max_size=80))
def test_any_bytes_have_an_ending_of_ours_or_none(head: bytes) -> None:
    endings = ("png", "jpg", "gif", "webp", "avif", "heic", "mov", "mp4", "webm", None)
    assert media_ending(head) in endings


# --- URLs that expire --------------------------------------------------------------------------


class _Looks:
    """The service, which gives these URLs the next time it is asked."""

    def __init__(self, *urls: str, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._urls = urls
        self._error = error

    async def __call__(self, task_id: str) -> Task:
        self.asked.append(task_id)
        if self._error is not None:
            raise self._error
        return done(*self._urls, id=task_id)


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_expired_url_is_asked_for_anew_and_the_fresh_one_is_fetched(
    host: Callable[..., HostileOrigin], tmp_path: Path, status: int
) -> None:
    origin = host(reply(SMALL), reply(b"<xml>", status=status), reply(PNG))
    look = _Looks(origin.url("/new/1"), origin.url("/new/2"))
    task = done(origin.url("/old/1"), origin.url("/old/2"))
    paths = await downloader(origin.url(), look).download(task, tmp_path)
    assert [path.read_bytes() for path in paths] == [SMALL, PNG]
    assert [head.split()[1] for head in origin.heads] == ["/old/1", "/old/2", "/new/2"]
    assert look.asked == ["task-1"]


async def test_a_url_that_expires_half_way_is_fetched_anew_from_its_start(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    cut = reply(PNG[:100_000], length=len(PNG), ETag='"v1"')
    origin = host(cut, reply(status=403), reply(OTHER, ETag='"v1"'))
    look = _Looks(origin.url("/new"))
    (path,) = await downloader(origin.url(), look).download(done(origin.url("/old")), tmp_path)
    assert path.read_bytes() == OTHER
    assert "Range: " not in origin.heads[2]


async def test_a_result_whose_fresh_url_has_expired_too_is_expired(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    origin = host(reply(status=410))
    look = _Looks(origin.url("/new?signature=secret"))
    with pytest.raises(ResultExpired, match="task-1 has expired") as caught:
        await downloader(origin.url(), look).download(done(origin.url("/old")), tmp_path)
    assert "secret" not in str(caught.value)
    assert len(look.asked) == 1
    assert len(origin.heads) == 2
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("look", "error"),
    [
        (_Looks(), ResultExpired),
        (_Looks(error=TaskNotFound("no such task", status=404)), ResultExpired),
        (_Looks(error=TransportError("no answer")), DownloadError),
    ],
    ids=["no urls any more", "no task any more", "no answer"],
)
async def test_an_expired_url_without_a_fresh_one_is_said_with_its_reason(
    host: Callable[..., HostileOrigin], tmp_path: Path, look: _Looks, error: type[Exception]
) -> None:
    origin = host(reply(status=404))
    with pytest.raises(DownloadError) as caught:
        await downloader(origin.url(), look).download(done(origin.url("/old")), tmp_path)
    assert type(caught.value) is error
    assert caught.value.__cause__ is not None


# --- who is asked, and with what ---------------------------------------------------------------

SENT = {"host", "user-agent", "accept", "accept-encoding"}


def names_of(head: str) -> set[str]:
    return {line.split(":")[0].lower() for line in head.split("\r\n")[1:] if line}


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """Whose certificates the downloads of this module trust."""
    return trustme.CA()


@pytest.fixture
def trusting(ca: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts the certificates of `ca`."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture
def tls_for(ca: trustme.CA) -> Callable[[str], ssl.SSLContext]:
    """Make the context of a server of this name."""

    def make(name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert(name).configure_cert(context)
        return context

    return make


async def test_the_api_key_and_all_other_credentials_stay_here(
    host: Callable[..., HostileOrigin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = host(reply(PNG))
    origin = host(
        reply(status=302, Location="/2", Set_Cookie="id=canary; Path=/"),
        reply(PNG[:100], length=len(PNG), ETag='"v1"', Set_Cookie="id=canary; Path=/"),
        serving(PNG, '"v1"'),
    )
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy.url())
        monkeypatch.setenv(name.upper(), proxy.url())
    async with liangxin.AsyncClient("sk-canary-0123456789", base_url=origin.url()) as client:
        (path,) = await client.download(done(origin.url("/1")), tmp_path / "out")
    assert path.read_bytes() == PNG
    assert "canary" not in "".join(origin.heads)
    assert proxy.connections == 0
    assert [names_of(head) - SENT for head in origin.heads] == [set(), set(), {"range", "if-range"}]
    assert all(names_of(head) >= SENT for head in origin.heads)
    assert "Accept-Encoding: identity\r\n" in origin.heads[0]


async def test_redirects_lead_from_host_to_host_with_nothing_taken_along(
    host: Callable[..., HostileOrigin],
    tmp_path: Path,
    trusting: ssl.SSLContext,
    tls_for: Callable[[str], ssl.SSLContext],
) -> None:
    cdn = host(reply(PNG), tls=tls_for("cdn.test"))
    away = cdn.url("/a%2Fb/c?x=%7E+y", host="cdn.test")
    api = host(reply(status=307, Location=away, Set_Cookie="a=b"), tls=tls_for("api.test"))
    downloads = downloader(
        "https://api.test", tls=trusting, resolve=here, allow_private=True, max_redirects=1
    )
    (path,) = await downloads.download(done(api.url("/1", host="api.test")), tmp_path)
    assert path.read_bytes() == PNG
    assert cdn.heads[0].startswith(
        f"GET /a%2Fb/c?x=%7E+y HTTP/1.1\r\nHost: cdn.test:{cdn.port}\r\n"
    )
    assert names_of(cdn.heads[0]) == SENT


async def test_the_certificate_must_be_for_the_name_and_not_for_the_address(
    host: Callable[..., HostileOrigin],
    tmp_path: Path,
    trusting: ssl.SSLContext,
    tls_for: Callable[[str], ssl.SSLContext],
) -> None:
    impostor = host(reply(PNG), tls=tls_for("127.0.0.1"))
    downloads = downloader("https://api.test", tls=trusting, resolve=here, allow_private=True)
    with pytest.raises(DownloadError, match="certificate"):
        await downloads.download(done(impostor.url("/1", host="cdn.test")), tmp_path)
    assert impostor.heads == []


async def test_the_next_address_is_tried_when_one_refuses(
    host: Callable[..., HostileOrigin],
    tmp_path: Path,
    trusting: ssl.SSLContext,
    tls_for: Callable[[str], ssl.SSLContext],
) -> None:
    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.99", "127.0.0.1"]

    cdn = host(reply(PNG), tls=tls_for("cdn.test"))
    downloads = downloader("https://api.test", tls=trusting, resolve=two, allow_private=True)
    (path,) = await downloads.download(done(cdn.url("/1", host="cdn.test")), tmp_path)
    assert path.read_bytes() == PNG
    assert len(cdn.heads) == 1


async def test_localhost_is_this_machine_without_asking_anyone(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    origin = host(reply(PNG))
    downloads = downloader(origin.url(host="localhost"), resolve=no_lookup)
    (path,) = await downloads.download(done(origin.url("/1", host="localhost")), tmp_path)
    assert path.read_bytes() == PNG


async def test_the_address_is_checked_again_at_every_attempt(
    host: Callable[..., HostileOrigin],
    tmp_path: Path,
    trusting: ssl.SSLContext,
    tls_for: Callable[[str], ssl.SSLContext],
) -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    cdn = host(reply(status=503), tls=tls_for("cdn.test"))
    downloads = downloader("https://api.test", tls=trusting, resolve=rebinding, allow_private=True)
    with pytest.raises(Blocked, match="metadata"):
        await downloads.download(done(cdn.url("/1", host="cdn.test")), tmp_path)


async def test_three_redirects_are_followed_and_four_are_not(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    hop = reply(status=302, Location="/next")
    assert await fetch(host(hop, hop, hop, reply(PNG)), tmp_path) == PNG
    endless = host(hop)
    with pytest.raises(DownloadError, match="more than 3 times"):
        await fetch(endless, tmp_path)
    assert len(endless.heads) == 4


async def test_a_redirect_to_nowhere_is_a_download_error(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match="to nowhere"):
        await fetch(host(reply(status=301)), tmp_path)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "//10.0.0.1/",
        "https://[::1]/",
        "https://localhost/",
        "http://example.com/",
        "file:///etc/passwd",
        "ftp://example.com/x.png",
        "data:image/png;base64,iVBORw0KGgo=",
        "https://user:pw@example.com/",
        "https://inner.test/",
        "http://[",
    ],
)
async def test_a_redirect_to_where_downloads_must_not_go_is_blocked(
    host: Callable[..., HostileOrigin], tmp_path: Path, location: str
) -> None:
    async def inside(host: str, port: int) -> list[str]:
        return ["192.168.1.1"]

    origin = host(reply(status=302, Location=location))
    downloads = downloader(origin.url(), resolve=inside)
    with pytest.raises(Blocked):
        await downloads.download(done(origin.url("/1")), tmp_path)
    assert len(origin.heads) == 1
    assert listing(tmp_path) == []


async def test_a_stranger_cannot_redirect_to_the_service_on_this_machine(
    host: Callable[..., HostileOrigin],
    tmp_path: Path,
    trusting: ssl.SSLContext,
    tls_for: Callable[[str], ssl.SSLContext],
) -> None:
    api = host(reply(PNG))
    stranger = host(reply(status=302, Location=api.url("/admin")), tls=tls_for("cdn.test"))
    downloads = downloader(api.url(), tls=trusting, resolve=here, allow_private=True)
    with pytest.raises(Blocked, match="not https"):
        await downloads.download(done(stranger.url("/1", host="cdn.test")), tmp_path)
    assert api.connections == 0


async def test_another_port_of_this_machine_gets_no_byte(
    host: Callable[..., HostileOrigin], tmp_path: Path
) -> None:
    api, bystander = host(reply(PNG)), host(reply(PNG))
    spellings = ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]
    for spelling in spellings:
        for scheme in ("http", "https"):
            task = done(f"{scheme}://{spelling}:{bystander.port}/1")
            with pytest.raises(Blocked):
                await downloader(api.url()).download(task, tmp_path)
    assert bystander.connections == 0


# --- the guard, on paper -----------------------------------------------------------------------


def words(text: str) -> list[str]:
    return text.split()


NEVER = words(r"""
0.0.0.0 0.1.2.3 169.254.169.254 169.254.0.1 100.100.100.200 168.63.129.16 192.0.0.192 192.0.2.1
192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1
255.255.255.255 :: fe80::1 fe80::1%eth0 febf::1 fec0::1 ff02::1 ff0e::1 100::1 2001:db8::1 2001::1
2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:10::1 2002:7f00:1:: 2002:a00:1::1 2002:808:808::1 3fff::1
64:ff9b:1::a00:1 64:ff9b::169.254.169.254 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 ::127.0.0.1
::10.0.0.1 ::8.8.8.8 fd00:ec2::254 fd20:ce::254 ::ffff:224.0.0.1 ::ffff:0.0.0.0 2606:4700::1%1
5f00::1 4000::1 localhost 1.2.3 1.2.3.4.5 127.1 0x7f000001 2130706433
""")
INTERNAL = words(r"""
10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 127.0.0.1 127.1.2.3
127.255.255.254 100.64.0.1 100.127.255.255 ::1 fc00::1 fd12:3456::1 fdff::1 ::ffff:127.0.0.1
::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:c0a8:101 ::ffff:100.64.0.1 64:ff9b::127.0.0.1
64:ff9b::10.0.0.1 64:ff9b::c0a8:101
""")
REACHABLE = words(r"""
1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.167.0.1 11.0.0.1
126.255.255.255 128.0.0.1 169.253.0.1 169.255.0.1 192.0.1.1 198.17.0.1 198.20.0.1 223.255.255.255
2606:4700:4700::1111 2a00:1450:4001::200e 2001:4860:4860::8888 2001:200::1 2400:cb00::1
::ffff:8.8.8.8 64:ff9b::8.8.8.8 3ffe::1
""")


@pytest.mark.parametrize("address", NEVER)
def test_an_address_that_is_never_right_is_refused_also_in_a_private_network(address: str) -> None:
    assert refusal(address)
    assert refusal(address, allow_private=True, allow_loopback=True)


@pytest.mark.parametrize("address", INTERNAL)
def test_an_internal_address_is_refused_unless_allowed(address: str) -> None:
    assert refusal(address)
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("address", REACHABLE)
def test_a_public_address_may_be_asked(address: str) -> None:
    assert refusal(address) is None


def test_to_allow_loopback_is_to_allow_nothing_else() -> None:
    allowed = {address for address in INTERNAL if not refusal(address, allow_loopback=True)}
    assert allowed == {
        *("127.0.0.1", "127.1.2.3", "127.255.255.254", "::1"),
        *("::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::127.0.0.1"),
    }


@given(st.ip_addresses())
def test_what_the_standard_library_calls_private_is_refused_too(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if not address.is_global or address.is_multicast:
        assert refusal(str(address)) or str(address).startswith(("64:ff9b::", "::ffff:"))


HOSTILE_URLS = words(r"""
http://results.example/a.png
HTTP://results.example/a.png
ftp://results.example/a.png
file:///etc/passwd
file://results.example/etc/passwd
gopher://127.0.0.1:6379/_FLUSHALL
data:image/png;base64,iVBORw0KGgo=
javascript:alert(1)
blob:https://results.example/1
//results.example/a.png
results.example/a.png
/etc/passwd
https:
https://
https:///a.png
https:/results.example/a.png
https:results.example
https://?a
https://#a
https://:443/
https://127.0.0.1/
https://127.0.0.1:8443/
https://127.0.0.1./
https://127.1/
https://127.0.1/
https://127.000.000.001/
https://0177.0.0.1/
https://0177.0x0.0.1/
https://0x7f.0.0.1/
https://0x7f.0x0.0x0.0x1/
https://0x7f000001/
https://0X7F000001/
https://2130706433/
https://017700000001/
https://0/
https://0.0.0.0/
https://1.1.1.1.1/
https://256.256.256.256/
https://4294967297/
https://a.b.c.1/
https://a.0x7f/
https://0x/
https://%31%32%37.0.0.1/
https://127%2e0%2e0%2e1/
https://127。0。0。1/
https://１２７.0.0.1/
https://①②⑦.0.0.1/
https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/
https://localhost/
https://LOCALHOST/
https://localhost./
https://a.localhost/
https://local%68ost/
https://[::1]/
https://[0:0:0:0:0:0:0:1]/
https://[::]/
https://[::ffff:127.0.0.1]/
https://[::ffff:7f00:1]/
https://[::127.0.0.1]/
https://[64:ff9b::127.0.0.1]/
https://[2002:7f00:1::]/
https://[fe80::1%25eth0]/
https://[fe80::1%eth0]/
https://[fe80::1]/
https://[fd00:ec2::254]/latest/meta-data/
https://[::1
https://[]/
https://[127.0.0.1]/
https://[v1.fe80::a]/
https://169.254.169.254/latest/meta-data/
https://[::ffff:169.254.169.254]/
https://2852039166/
https://0xa9fea9fe/
https://100.100.100.200/
https://168.63.129.16/
https://192.168.0.1/
https://10.0.0.1/
https://172.16.0.1/
https://100.64.0.1/
https://224.0.0.1/
https://255.255.255.255/
https://user@results.example/
https://user:pw@results.example/
https://results.example@127.0.0.1/
https://results.example:443@127.0.0.1/
https://127.0.0.1@results.example/
https://results.example\@127.0.0.1/
https://127.0.0.1\@results.example/
https://127.0.0.1\.results.example/
https://results.example:0/
https://results.example:65536/
https://results.example:-1/
https://results.example:http/
https://results.example:443:443/
https://results..example/
https://.results.example/
https://results.example../
https://results.example;127.0.0.1/
https://results.example,127.0.0.1/
https://results$example/
https://*/
https://inner.example/
https://inner.example./
https://INNER.example/
https://mixed.example/
https://mapped.example/
https://scoped.example/
https://meta.example/
""")
UNPRINTABLE_URLS = [
    "https://results.example/\r\nX: y",
    "https://results\t.example/",
    "https://results.example\0.test/",
    " https://results.example/",
    "https://results.example /",
    "https://\udcff.example/",
    "https://results.example/\udcff",
    "https://" + "a" * 64 + ".example/",
    "https://results.example/" + "a" * 70_000,
]
NAMES = {
    "results.example": [PUBLIC, "2606:4700::1"],
    "xn--bcher-kva.example": [PUBLIC],
    "under_score.example": [PUBLIC],
    "inner.example": ["192.168.1.1"],
    "mixed.example": [PUBLIC, "10.0.0.1"],
    "mapped.example": ["::ffff:10.0.0.1"],
    "scoped.example": ["fe80::1%2"],
    "meta.example": ["169.254.169.254"],
}


async def by_the_book(host: str, port: int) -> list[str]:
    return NAMES.get(host, [PUBLIC])


def guard(api: str = "https://api.example", **policy: Any) -> Guard:
    return Guard(parse_base_url(api), DownloadPolicy(**policy), by_the_book)


async def admitted(guard: Guard, urls: list[str]) -> list[str]:
    passed = []
    for url in urls:
        try:
            await guard.admit(url)
            passed.append(url)
        except Blocked:
            pass
    return passed


@pytest.mark.parametrize("api", ["https://api.example", "http://127.0.0.1:9", "http://localhost:9"])
async def test_no_hostile_url_is_admitted(api: str) -> None:
    urls = [*HOSTILE_URLS, *UNPRINTABLE_URLS]
    assert len(urls) > 110
    assert await admitted(guard(api), urls) == []


async def test_no_url_of_an_address_that_must_not_be_asked_is_admitted_nor_of_a_name_for_it() -> (
    None
):
    addresses = [*INTERNAL, *(address for address in NEVER if "%" not in address)]
    written = [f"https://{f'[{each}]' if ':' in each else each}/r.png" for each in addresses]
    names = {f"n{number}.example": [PUBLIC, each] for number, each in enumerate(addresses)}

    async def resolve(host: str, port: int) -> list[str]:
        return names[host]

    named = [f"https://{name}/r.png" for name in names]
    assert len({*written, *named, *HOSTILE_URLS}) > 200
    policy = Guard(parse_base_url("https://api.example"), DownloadPolicy(), resolve)
    assert await admitted(policy, [*written, *named]) == []


async def test_ordinary_urls_are_admitted_at_all_their_addresses() -> None:
    urls = [
        "https://results.example/a.png?X-Sig=%2Fa+b#frag",
        "HTTPS://RESULTS.EXAMPLE/a.png",
        "https://results.example./a.png",
        "https://results.example:8443/",
        "https://bücher.example/",
        "https://under_score.example/",
        "https://3m.example/",
        f"https://{PUBLIC}/a.png",
        "https://[2606:4700::1]:8443/a.png",
    ]
    assert await admitted(guard(), urls) == urls
    place = await guard().admit("https://RESULTS.example.:8443/")
    assert (place.host, place.port) == ("results.example", 8443)
    assert place.addresses == (PUBLIC, "2606:4700::1")


async def test_plain_http_is_for_the_services_own_origin_on_this_machine_only() -> None:
    own = guard("http://127.0.0.1:8787")
    urls = [
        "http://127.0.0.1:8787/a",
        "http://127.0.0.1/a",
        "http://127.0.0.1:8788/a",
        "http://127.0.0.2:8787/a",
        "http://localhost:8787/a",
        "https://127.0.0.1:8787/a",
    ]
    assert await admitted(own, urls) == urls[:1]
    assert await admitted(guard("http://[::1]:8787"), ["http://[::1]:8787/a"]) != []


async def test_a_service_elsewhere_gives_no_privilege_to_its_own_address() -> None:
    assert await admitted(guard("https://inner.example"), ["https://inner.example/a"]) == []


async def test_with_an_allow_list_only_its_hosts_are_admitted() -> None:
    listed = guard(allow_hosts=["Results.example", ".cdn.example"])
    urls = [
        "https://results.example/",
        "https://cdn.example/",
        "https://a.b.cdn.example/",
        "https://a.results.example/",
        "https://evilcdn.example/",
        "https://cdn.example.evil.test/",
        "https://other.example/",
    ]
    assert await admitted(listed, urls) == urls[:3]
    assert await admitted(guard(allow_hosts=[]), urls) == []


async def test_an_allow_list_does_not_lift_the_check_of_addresses() -> None:
    assert await admitted(guard(allow_hosts=["inner.example"]), ["https://inner.example/"]) == []


def test_a_policy_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="attempts"):
        DownloadPolicy(attempts=0)
    with pytest.raises(InputError, match="allow_hosts"):
        DownloadPolicy(allow_hosts="cdn.example")


async def test_a_name_that_nobody_knows_is_a_download_error_after_three_lookups(
    tmp_path: Path,
) -> None:
    lookups = []

    async def unknown(host: str, port: int) -> list[str]:
        lookups.append(host)
        raise OSError(-2, "Name or service not known")

    with pytest.raises(DownloadError, match="not found"):
        await downloader("https://api.example", resolve=unknown).download(
            done("https://results.example/1"), tmp_path
        )
    assert lookups == ["results.example"] * 3


# --- names and words ---------------------------------------------------------------------------

HOSTILE_NAMES = [
    *("..", ".", "", "...", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "C:\\x", "C:x"),
    *("\\\\server\\share", "~", "~root", "-rf", "--help", "$(id)", "`id`", "a;b", "a|b", "a*b"),
    *("a\0b", "a\nb", "a\x1b[31mb", "a b", " a ", "a.", "a ", ".hidden", "..a", "a?b", 'a"b'),
    *("con", "CON", "nul", "aux.png", "com1", "LPT9.txt", "prn.", "a:b", "a::$DATA", "<a>"),
    *("海报", "poster–1", "ｎｕｌ", "\u202egnp.exe", "e\u0301", "\udcff", "😀", "%2e%2e%2f"),
    *("x" * 101, "x" * 5000, "x" * 5001, "." * 300, "/" * 300),
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_no_name_leads_out_of_the_folder(
    host: Callable[..., HostileOrigin], tmp_path: Path, name: str
) -> None:
    origin = host(reply(SMALL))
    to = tmp_path / "deep" / "out"
    (path,) = await downloader(origin.url()).download(done(origin.url("/1")), to, name=name)
    assert path.parent == to
    assert path.name == path.name.lstrip(".-")
    assert listing(to) == [path.name]
    assert listing(tmp_path) == ["deep"]
    assert listing(tmp_path / "deep") == ["out"]


def test_hostile_names_become_safe_and_different_ones() -> None:
    stems = [safe_stem(name) for name in HOSTILE_NAMES]
    assert len(set(stems)) == len(HOSTILE_NAMES)
    assert all(stem.split(".")[0].lower() not in ("con", "nul", "aux", "com1") for stem in stems)


@pytest.mark.parametrize("name", ["task-1", "a.b_c-D", "0197f3c2", "x" * MAX_STEM, "console"])
def test_a_name_that_is_safe_stays_as_it_is(name: str) -> None:
    assert safe_stem(name) == name


@given(st.text(st.characters(), max_size=150))
def test_any_name_becomes_a_safe_one_that_stays_as_it_is(name: str) -> None:
    stem = safe_stem(name)
    assert 0 < len(stem) <= MAX_STEM
    assert stem.isascii()
    assert not set(stem) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert stem[0] not in ".-"
    assert stem[-1] != "."
    assert safe_stem(stem) == stem


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/b.png?X-Amz-Signature=s#f", "https://a.example/b.png"),
        ("https://u:p@a.example/b", "https://a.example/b"),
        ("https://a.example/b\r\n\x1b[31m", "https://a.example/b �[31m"),
        ("#?", ""),
    ],
)
def test_a_url_is_shown_without_what_it_is_signed_with(url: str, shown: str) -> None:
    assert without_query(url) == shown
