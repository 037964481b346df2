"""What a download may take, and from whom, and how far it is: values, without a hand on them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from attrs import frozen

from liangxin._errors import InputError


@frozen(kw_only=True)
class DownloadPolicy:
    """
    What a download may take, and from whom.

    `max_bytes` bounds one file.  `stall_timeout` is how many seconds may pass without a byte, and
    `min_rate` (bytes a second, 0 for none) what must come on average over each `rate_window`
    seconds.  `attempts` counts the requests for one URL that may break off or be answered with
    "later"; each may be redirected `max_redirects` times.

    `allow_hosts`, if given, are the only hosts that results may come from: exact names, or
    `.example.com` for that name and all below it.  `allow_private` lifts the refusal of private
    and loopback addresses (still by https only), for results that are kept in one's own network.
    The service's own address is always allowed if the service is on this machine.
    """

    max_bytes: int = 2 * 1024**3
    stall_timeout: float = 30.0
    min_rate: float = 1024.0
    rate_window: float = 60.0
    max_redirects: int = 3
    attempts: int = 3
    allow_hosts: Collection[str] | None = None
    allow_private: bool = False

    def __attrs_post_init__(self) -> None:
        for name in ("max_bytes", "stall_timeout", "rate_window", "attempts"):
            if getattr(self, name) <= 0:
                raise InputError(
                    f"{name} must be above 0", field=name, value=getattr(self, name), allowed="> 0"
                )
        if isinstance(self.allow_hosts, str):  # a string is a collection of letters, too
            raise InputError(
                "allow_hosts must be a collection of host names, not one string",
                field="allow_hosts",
                value=self.allow_hosts,
                allowed="a collection of host names, or None",
            )


@frozen(kw_only=True)
class DownloadProgress:
    """
    How far the results of a task are downloaded.

    Of `count` files the one with this `index` (from 0) has `received` bytes of `total`, which is
    None as long as its host has not said how many there will be.  `path` is where it is once it is
    whole.
    """

    index: int
    count: int
    received: int
    total: int | None = None
    path: Path | None = None
