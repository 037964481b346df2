"""
The work of `liangxin callbacks serve`: a line on standard error for whatever comes to its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import click
from attrs import define

from liangxin import AsyncClient, InputError, LiangxinError, Task
from liangxin._text import printable, quoted
from liangxin.callbacks import CallbackReceiver
from liangxin.cli._app import Interrupted
from liangxin.cli._exits import OK, SOME
from liangxin.cli._service import connection, say
from liangxin.cli._signals import interruptible
from liangxin.ledger import Ledger, LedgerRow, LedgerState


@contextmanager
def receiving(public_url: str, host: str, port: int) -> Iterator[CallbackReceiver]:
    """A receiver that is served while the block runs."""
    try:
        receiver = CallbackReceiver(public_url)
    except InputError as error:
        raise click.UsageError(str(error)) from error
    with ExitStack() as served:
        try:
            served.enter_context(receiver.serving(host, port))
        except OSError as error:
            reason = error.strerror or error
            raise click.ClickException(f"cannot listen on {host}:{port}: {reason}") from error
        except ImportError as error:  # which says what is missing
            raise click.ClickException(str(error)) from error
        yield receiver


def perform(
    public_url: str, path: Path | str, *, host: str, port: int, base_url: str | None
) -> int:
    """Serve until nothing is open any more; return the exit code."""
    vigil = _Vigil()
    with (
        receiving(public_url, host, port) as receiver,
        connection(base_url, emulator=False) as told,
    ):
        say(f"Callbacks for {receiver.public_url} are taken on {host}:{port}. Ctrl-C ends it.")
        try:
            anyio.run(vigil.main, path, told | {"callbacks": receiver})
        except InputError as error:
            raise click.UsageError(str(error)) from error
    if vigil.is_interrupted:
        raise Interrupted("what was found is in the ledger; the same command goes on.")
    say("Nothing is open any more.")
    return SOME if vigil.failures else OK


@define(eq=False)
class _Vigil:
    """Waits for the ends of all that is open in a ledger."""

    failures: int = 0
    is_interrupted: bool = False

    async def main(self, path: Path | str, told: dict[str, Any]) -> None:
        """Wait until nothing is open, or until Ctrl-C."""

        async def work() -> None:
            with Ledger(path) as ledger:
                async with AsyncClient(**told, ledger=ledger) as client:
                    await self._keep(client, ledger)

        await interruptible(work, self._interrupt)

    def _interrupt(self, scope: anyio.CancelScope) -> None:
        self.is_interrupted = True
        scope.cancel()

    async def _keep(self, client: AsyncClient, ledger: Ledger) -> None:
        accepted = list(ledger.rows(LedgerState.ACCEPTED))
        doubts = list(ledger.rows(LedgerState.AMBIGUOUS))
        hopeful = [row.key for row in doubts if row.token_sha256 is not None]
        say(f"Open: {len(accepted):,} accepted, {len(hopeful):,} in doubt.")
        if len(hopeful) < len(doubts):
            say(
                f"{len(doubts) - len(hopeful):,} more in doubt gave no address for a callback: "
                "settle them with `liangxin ledger attach`, `resend` or `abandon`."
            )
        try:
            async with anyio.create_task_group() as group:
                for row in accepted:
                    group.start_soon(self._follow, client, row)
                while hopeful:
                    await anyio.sleep(1)
                    for row in await _settled(ledger, hopeful):
                        hopeful.remove(row.key)
                        group.start_soon(self._follow, client, row)
        except ExceptionGroup as failed:  # the ledger cannot be read any more
            raise failed.exceptions[0] from None

    async def _follow(self, client: AsyncClient, row: LedgerRow) -> None:
        assert row.task_id is not None
        try:
            await client.wait(Task(id=row.task_id, model=row.model))
            say(f"{printable(row.task_id)} ({quoted(row.key)}): succeeded")
        except LiangxinError as error:
            self.failures += 1
            say(f"{printable(row.task_id)} ({quoted(row.key)}): {error}")


async def _settled(ledger: Ledger, keys: list[str]) -> list[LedgerRow]:
    """Those of the doubts that a callback has settled."""
    rows = await anyio.to_thread.run_sync(ledger.find, keys)
    return [row for row in rows.values() if row.state is not LedgerState.AMBIGUOUS]
