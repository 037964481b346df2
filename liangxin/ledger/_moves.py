"""
The rules: which row follows from a row and a change.  Pure; the store only looks up and writes.

Each returns the next row or raises the `LedgerError` of that change.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from liangxin._errors import RAW_LIMIT, LedgerConflict, LedgerError
from liangxin._text import quoted
from liangxin.ledger._rows import LedgerRow, LedgerState, Move, Plan, Renew

REASON_LIMIT = 4000
"""How many characters of a reason are kept; some of them are a service's."""

CRASHED = "the process that sent it ended before the answer was recorded"
"""Why a create is in doubt that somebody was sending who is gone."""

_RENEWABLE = (LedgerState.AMBIGUOUS, LedgerState.FAILED, LedgerState.ABANDONED)


def planned(plan: Plan, *, stores_input: bool) -> LedgerRow:
    """The first row of a key that nobody has asked for before."""
    return LedgerRow(
        key=plan.key,
        ref=plan.ref,
        model=plan.model,
        input=dict(plan.input) if stores_input else None,
        sha256=plan.sha256,
        planned_at=plan.at,
    )


def refuse_conflict(row: LedgerRow, plan: Plan) -> None:
    """One key, one request: the same key with another input is a mistake that could cost."""
    if plan.sha256 == row.sha256:
        return
    differs = (
        f"model {quoted(plan.model)} instead of {quoted(row.model)}"
        if plan.model != row.model
        else f"another input (SHA-256 {plan.sha256[:12]}… instead of {row.sha256[:12]}…)"
    )
    raise LedgerConflict(
        f"the key {quoted(row.key)} is in this ledger, {row.state.value}, with {differs}: "
        "give the new request a key of its own, or a ledger of its own",
        key=row.key,
    )


def moved(row: LedgerRow, move: Move) -> LedgerRow:
    """The row after a move."""
    if not row.state.may_become(move.to):
        raise LedgerError(
            f"{quoted(row.key)} is {row.state.value} and cannot become {move.to.value}; "
            "it was left as it is"
        )
    _refuse_other_task(row, move)
    after = evolve(row, state=move.to, **{**_times(move), **_news(move)})
    if move.to is LedgerState.ACCEPTED and not after.task_id:
        raise LedgerError(f"{quoted(row.key)} cannot be accepted without the id of its task")
    return after


def _refuse_other_task(row: LedgerRow, move: Move) -> None:
    """The id of a task that is paid for is never written over."""
    if row.state.money == "paid" and move.task_id not in (None, row.task_id):
        raise LedgerError(
            f"{quoted(row.key)} is the task {quoted(row.task_id)}, not {quoted(move.task_id)}; "
            "it was left as it is"
        )


def _times(move: Move) -> dict[str, Any]:
    match move.to:
        case LedgerState.PLANNED:
            return {"sent_at": None, "answered_at": None}
        case LedgerState.SENDING:
            cleared = dict.fromkeys(("answered_at", "http_status", "reason", "raw"))
            return {"sent_at": move.at, **cleared}
        case LedgerState.ACCEPTED | LedgerState.REFUSED | LedgerState.AMBIGUOUS:
            return {"answered_at": move.at}
        case LedgerState.SUCCEEDED | LedgerState.FAILED | LedgerState.ABANDONED:
            return {"ended_at": move.at}
        case _:
            return {}


def _news(move: Move) -> dict[str, Any]:
    told = {
        "task_id": move.task_id,
        "token_sha256": move.token_sha256,
        "http_status": move.http_status,
        "reason": _kept(move.reason),
        "raw": move.raw if move.raw is None else bytes(move.raw[:RAW_LIMIT]),
        "urls": move.urls,
        "files": move.files,
    }
    return {name: value for name, value in told.items() if value is not None}


def doubted(row: LedgerRow) -> LedgerRow:
    """A row that was being sent by somebody who is gone: nobody can know."""
    return evolve(row, state=LedgerState.AMBIGUOUS, reason=CRASHED)


def renewed(row: LedgerRow, renew: Renew) -> tuple[LedgerRow, LedgerRow]:
    """The row that becomes history, and the one that takes its place."""
    if renew.replaces not in (None, row.ref):
        raise LedgerError(f"{quoted(row.key)} was sent again meanwhile; it was left as it is")
    if row.state not in _RENEWABLE:
        raise LedgerError(
            f"{quoted(row.key)} is {row.state.value}; only a create that is ambiguous, failed or "
            "abandoned can be sent again"
        )
    reasons = [each for each in (row.reason, _kept(renew.reason)) if each]
    history = evolve(row, current=False, reason="; ".join(reasons) or None)
    if row.state is LedgerState.AMBIGUOUS:
        history = evolve(history, state=LedgerState.RESENT, ended_at=renew.at)
    successor = LedgerRow(
        key=row.key,
        ref=renew.ref,
        model=row.model,
        input=row.input,
        sha256=row.sha256,
        planned_at=renew.at,
    )
    return history, successor


def _kept(reason: str | None) -> str | None:
    """A reason that can be stored: a service may send megabytes, and lone surrogates."""
    if reason is None:
        return None
    return reason[:REASON_LIMIT].encode("utf-8", "replace").decode()
