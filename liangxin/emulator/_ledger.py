"""The books as JSON, for any client."""

from __future__ import annotations

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
