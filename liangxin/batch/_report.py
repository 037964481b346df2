"""How a batch stands: counts that anyone may read at any time, from any thread."""

from __future__ import annotations

from attrs import define

from liangxin._errors import (
    AmbiguousCreate,
    APIError,
    DownloadError,
    InputError,
    LedgerConflict,
    TaskFailed,
)
from liangxin._recording import NOT_ABOUT_THIS_REQUEST
from liangxin._tasks import Outcome


@define(eq=False)
class BatchReport:
    """
    What has become of a batch so far; a request is in one of the counts at a time.

    `succeeded` and `failed` tasks were created and paid; `waiting` ones too: what became of them
    is not known yet, and the next run goes on waiting.  `refused` requests cost nothing.
    `ambiguous` ones were sent, and nobody knows whether they were accepted and charged.
    `not_created` ones have cost nothing and are left for the next run.  Of the succeeded,
    `downloaded` have their files on disk, and `download_failed` have not: the next run fetches
    them.  `conflicts` are keys that stand for another input in the ledger.

    `created` counts what this run has paid for, `resumed` what an earlier one had finished, and
    `repeated` the requests whose key had been there before.  `in_flight` are under way now.
    `elsewhere` counts what other processes over a shared ledger are at work on: it is waited for,
    and then counted as what it became.
    `bad_lines` were skipped.  `stopped` says why no more is created, None while all goes well.
    """

    created: int = 0
    in_flight: int = 0
    resumed: int = 0
    repeated: int = 0
    bad_lines: int = 0
    elsewhere: int = 0
    succeeded: int = 0
    failed: int = 0
    waiting: int = 0
    refused: int = 0
    ambiguous: int = 0
    not_created: int = 0
    conflicts: int = 0
    downloaded: int = 0
    download_failed: int = 0
    total: int | None = None
    """How many requests there are, as soon as that is known."""
    stopped: str | None = None

    @property
    def done(self) -> int:
        """Requests of which this run has said what became of them."""
        ended = self.succeeded + self.failed + self.waiting
        return ended + self.refused + self.ambiguous + self.not_created + self.conflicts

    @property
    def ok(self) -> bool:
        """Whether every request has succeeded, and its files are where they should be."""
        return self.stopped is None and self.succeeded == self.done and not self.download_failed

    def count(self, outcome: Outcome) -> None:
        """Take in what became of one request."""
        error = outcome.error
        self.resumed += outcome.resumed
        self.downloaded += bool(outcome.files)
        if error is None or isinstance(error, DownloadError):
            self.succeeded += 1
            self.download_failed += error is not None
        elif isinstance(error, TaskFailed):
            self.failed += 1
        elif isinstance(error, AmbiguousCreate):
            self.ambiguous += 1
        elif outcome.task is not None:
            self.waiting += 1
        elif _is_refusal(error):
            self.refused += 1
        elif isinstance(error, LedgerConflict):
            self.conflicts += 1
        else:
            self.not_created += 1


def _is_refusal(error: object) -> bool:
    """Whether this very request was refused for good, here or by the service."""
    refused = isinstance(error, (APIError, InputError))
    return refused and not isinstance(error, NOT_ABOUT_THIS_REQUEST)
