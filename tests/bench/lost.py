"""
One create whose answer is lost: how many the server saw.  `python -m tests.bench.lost`

Every package with its own defaults, on a server that takes the whole request, which is the moment
in which a service may begin to work and to charge, and then does not answer as it should.  Writes
docs/benchmarks/lost.json, and the table of docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import liangxin
from tests.bench.ours import POSTER, client
from tests.bench.page import splice
from tests.bench.peers import PEERS, Opener, Session, installed, luma
from tests.raw_server import Connection, serving

JSON = Path("docs/benchmarks/lost.json")
PAGE = Path("docs/reliability.md")
PATIENCE = 120
"""Seconds after which a package that still tries is left alone."""


def hangs_up(connection: Connection) -> None:
    """Take the request, and close the connection."""
    connection.read_request()


def gateway_error(connection: Connection) -> None:
    """Take the request, and answer as a proxy does whose service behind it was too slow."""
    while True:
        connection.read_request()
        connection.answer(504, b"<html>Gateway Time-out</html>", kind=b"text/html")


def junk(connection: Connection) -> None:
    """Take the request, and answer 200 with a page that is not an answer."""
    while True:
        connection.read_request()
        connection.answer(200, b"<html>Welcome</html>", kind=b"text/html")


WAYS: dict[str, Callable[[Connection], None]] = {
    "the server hangs up": hangs_up,
    "504 from a proxy": gateway_error,
    "200 with an HTML page": junk,
}


@asynccontextmanager
async def _ours(url: str) -> AsyncIterator[Session]:
    async with client(url) as ours:

        async def create() -> object:
            return await ours.create_task(POSTER)

        yield Session(create, ours.get_task, create)


CLIENTS: dict[str, tuple[str, Opener]] = {
    "liangxin": ("liangxin", _ours),
    **{name: each for name, each in PEERS.items() if name != "httpx loop"},
    "lumaai": ("lumaai", luma),
}


async def _creates(opener: Opener, way: Callable[[Connection], None]) -> dict[str, object]:
    """How many POSTs one call leads to, and what its caller is told."""
    with serving(way) as server:
        try:
            async with asyncio.timeout(PATIENCE), opener(server.base_url) as session:
                await session.create()
            told = "no error"
        except Exception as exc:  # any package's own: its name is what is asked for
            told = type(exc).__name__
        return {"creates": len(server.posts), "told": told}


async def _measure() -> dict[str, dict[str, dict[str, object]]]:
    found: dict[str, dict[str, dict[str, object]]] = {}
    for name, (package, opener) in CLIENTS.items():
        if installed(package) is None:
            print(f"{name} is left out: it is not installed")
            continue
        found[name] = {how: await _creates(opener, way) for how, way in WAYS.items()}
        print(name, found[name], flush=True)
    return found


def table(run: dict[str, dict[str, dict[str, dict[str, object]]]]) -> str:
    """The table of the page."""
    rows = [
        "| package | version | " + " | ".join(WAYS) + " |",
        "|---|---|" + "---|" * len(WAYS),
    ]
    for name, ways in run["clients"].items():
        cells = [f"{ways[how]['creates']} (`{ways[how]['told']}`)" for how in WAYS]
        rows.append(f"| {name} | {run['versions'][name]} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Measure, write the JSON and the page."""
    found = asyncio.run(_measure())
    versions = {name: installed(CLIENTS[name][0]) for name in found}
    run = {"versions": versions | {"liangxin": liangxin.__version__}, "clients": found}
    JSON.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    splice(PAGE, {"lost answers": table(run)})  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
