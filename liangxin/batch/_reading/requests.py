"""What comes out of a batch file: requests, bad lines, and the warning of an unknown model."""

from __future__ import annotations

from attrs import field, frozen

from liangxin._errors import InputError
from liangxin._tasks import ModelInput


class UnknownModelWarning(UserWarning):
    """
    A line names a model that this version has no class for; its input is sent unchecked.

    Said once for each model, unless the line says `"raw": true`.
    """


@frozen(kw_only=True)
class Request:
    """
    One request of a batch.

    `key` names it in the ledger: the same key is paid once.  `line` is where its line begins in the
    file, counted from 1; of a Parquet file, the number of the row.
    """

    key: str
    input: ModelInput
    line: int | None = None
    sha256: str | None = field(default=None, repr=False, eq=False)
    """The hash of the input, where the reader has computed it: `ledger.input_sha256`."""


@frozen(kw_only=True)
class BadLine:
    """A line that is no request; the message of `error` begins with the file and the line."""

    line: int
    error: InputError
