"""The books as JSON for any client, and as a plain page for people."""

from __future__ import annotations

import html
from dataclasses import asdict

from liangxin.emulator._books import SeenRequest
from liangxin.emulator._market import Market
from liangxin.emulator._tasks import TaskRecord


def ledger(market: Market, now: float) -> dict[str, object]:
    """Return the books: totals first, then every charge, task, callback and request."""
    return {
        "totals": totals(market),
        "charges": [asdict(charge) for charge in market.books.charges],
        "tasks": [_task(market, task, now) for task in market.tasks.values()],
        "callbacks": [asdict(delivery) for delivery in market.books.callbacks],
        "requests": [_request(seen) for seen in market.books.requests],
    }


def totals(market: Market) -> dict[str, int]:
    """Return how many tasks were created, what they cost, how often was looked."""
    charges = market.books.charges
    return {
        "created": len(charges),
        "charged": sum(charge.amount for charge in charges),
        "looks": market.books.looks.total(),
    }


def page(market: Market, now: float) -> str:
    """Return a page with the totals and the latest tasks."""
    sums = totals(market)
    latest = list(market.tasks.values())[-200:]
    rows = "\n".join(_row(market, task, now) for task in reversed(latest))
    return _PAGE.format(**sums, rows=rows)


def _task(market: Market, task: TaskRecord, now: float) -> dict[str, object]:
    return {
        "task_id": task.id,
        "model": task.model.slug,
        "state": task.state_at(now),
        "prompt": task.prompt,
        "created_at": task.created_ms,
        "duration": task.duration,
        "looks": market.books.looks[task.id],
    }


def _request(seen: SeenRequest) -> dict[str, object]:
    return {
        "endpoint": seen.endpoint,
        "method": seen.method,
        "path": seen.path,
        "task_id": seen.task_id,
        "at": seen.at,
        "status": seen.status,
        "body_bytes": seen.body_bytes,
        "key_hash": seen.key_hash,
        "headers": seen.headers,
        "fault": seen.fault,
    }


def _row(market: Market, task: TaskRecord, now: float) -> str:
    state = task.state_at(now)
    cells = (task.model.title, task.prompt[:160], state, str(market.books.looks[task.id]), task.id)
    return f'<tr class="{state}">{"".join(f"<td>{html.escape(cell)}</td>" for cell in cells)}</tr>'


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>LiangXin emulator</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2">
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ margin: 2rem auto; max-width: 70rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem }}
td, th {{ text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #8884 }}
td:last-child {{ font-family: ui-monospace, monospace; font-size: .8rem; word-break: break-all }}
.success td:nth-child(3) {{ color: #18864b }} .fail td:nth-child(3) {{ color: #c8332b }}
</style></head><body>
<h1>LiangXin emulator</h1>
<p>{created} tasks created, {charged} credits charged, {looks} looks.
<a href="/_emulator/ledger">All books as JSON</a></p>
<table><tr><th>Model</th><th>Prompt</th><th>State</th><th>Looks</th><th>Task</th></tr>
{rows}
</table></body></html>
"""
