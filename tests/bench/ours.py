"""
Our own client as the benchmarks use it, whichever of its options this version has.
"""

from __future__ import annotations

import inspect
from typing import Any

import liangxin
from liangxin import RawInput

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
UNBOUNDED = 1e6
"""A budget of looks a second that binds nobody."""


class Absent(Exception):
    """This version of the package, or this environment, has not what a measure needs."""


def options() -> set[str]:
    """The keywords that the client takes."""
    return set(inspect.signature(liangxin.AsyncClient.__init__).parameters)


def client(url: str, **asked: Any) -> liangxin.AsyncClient:
    """A client of the benchmark's server; raises `Absent` for an option it does not have."""
    missing = set(asked) - options()
    if missing:
        raise Absent(f"AsyncClient takes no {', '.join(sorted(missing))}")
    return liangxin.AsyncClient("sk-bench", base_url=url, **asked)


def restless(url: str, **asked: Any) -> liangxin.AsyncClient:
    """A client that looks at whatever waits as fast as it can."""
    pause = 0.001
    intervals = (
        {"poll_interval": pause}
        if "poll_interval" in options()
        else {"min_interval": pause, "max_interval": pause}
    )
    return client(url, poll_budget=UNBOUNDED, **intervals, **asked)
