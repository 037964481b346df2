"""
The statements by which processes share a quota; each is one round trip, by the database's clock.

A quota is one line in time, on which every create takes the next place.  The line of the table is
locked while it is asked, so whoever asks next stands behind.
"""

from __future__ import annotations

from attrs import frozen

from liangxin.ledger._postgres_table import Connection

SLOWER = 0.9
"""What a refusal leaves of the share of the rate that is used."""
LEAST = 1 / 64
"""The share of the rate that refusals leave at the least."""

# As `CreatePace` has it: the more was accepted since the last refusal, the faster it grows.
_GROWN = (
    "least(1.0, q.share * exp(least(1.0, "
    "0.002 * %(accepted)s::float8 * (1 + (q.accepted + %(accepted)s::float8 / 2) / 20))))"
)
_SECONDS = "interval '1 s'"
_NOW = "extract(epoch FROM clock_timestamp())::float8"
_RESERVE = f"""
    INSERT INTO liangxin_quotas AS q (name, next) VALUES (
        %(name)s,
        clock_timestamp() + (%(ahead)s::float8 + %(count)s::int * %(gap)s::float8) * {_SECONDS}
    )
    ON CONFLICT (name) DO UPDATE SET
        share = {_GROWN},
        accepted = q.accepted + %(accepted)s::int,
        refusals = CASE WHEN %(accepted)s::int > 0 THEN 0 ELSE q.refusals END,
        next = greatest(
            q.next, q.held_until, clock_timestamp() + %(ahead)s::float8 * {_SECONDS}
        ) + %(count)s::int * %(gap)s::float8 / {_GROWN} * {_SECONDS}
    RETURNING
        {_NOW},
        extract(epoch FROM next)::float8 - %(count)s::int * %(gap)s::float8 / share,
        %(gap)s::float8 / share
"""
_SLOW_DOWN = f"""
    UPDATE liangxin_quotas q SET
        share = CASE WHEN q.refusals = 0 THEN greatest(q.share * {SLOWER}, {LEAST}) ELSE share END,
        accepted = 0,
        refusals = q.refusals + 1,
        held_until = clock_timestamp() + {_SECONDS} * least(
            30.0, 0.4 * %(gap)s::float8 / q.share * 1.5 ^ least(q.refusals, 10)
        )
    WHERE name = %(name)s AND clock_timestamp() >= q.held_until
"""
_HOLD = f"""
    UPDATE liangxin_quotas q SET held_until =
        greatest(q.held_until, clock_timestamp() + %(pause)s::float8 * {_SECONDS})
    WHERE name = %(name)s
    RETURNING extract(epoch FROM held_until - clock_timestamp())::float8
"""


@frozen
class Reserved:
    """Moments in which creates may leave, in seconds of the database's clock."""

    now: float
    """When it was answered."""
    first: float
    gap: float
    """Seconds from each to the next."""


def reserve(
    db: Connection, name: str, count: int, *, gap: float, ahead: float, accepted: int
) -> Reserved:
    """Take the next places, of which the first comes in `ahead` seconds at the soonest."""
    told = {"name": name, "count": count, "gap": gap, "ahead": ahead, "accepted": accepted}
    found = db.execute(_RESERVE.encode(), told).fetchone()
    assert found is not None
    return Reserved(*found)


def hold(db: Connection, name: str, *, gap: float, pause: float) -> float:
    """
    Slow down, once for refusals that belong together, and give no place before the pause.

    Returns the seconds for which no place is given.
    """
    with db.pipeline(), db.transaction():
        db.execute(_SLOW_DOWN.encode(), {"name": name, "gap": gap})
        held = db.execute(_HOLD.encode(), {"name": name, "pause": pause})
    found = held.fetchone()
    return pause if found is None else float(found[0])
