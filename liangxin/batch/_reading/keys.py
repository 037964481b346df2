"""The key of each request: its id, or the hash of its model and its input."""

from __future__ import annotations

from hashlib import sha256
from typing import cast

from attrs import Factory, define

from liangxin._contents import Contents
from liangxin._errors import InputError
from liangxin._media import LocalMedia, Unfit, local_in, replaced
from liangxin._tasks import ModelInput
from liangxin._text import quoted
from liangxin.batch._reading.errors import refused
from liangxin.batch._reading.names import LONGEST_KEY, is_name
from liangxin.ledger import input_sha256


@define(eq=False)
class Keys:
    """
    Gives each request its key, and finds the id that stands for two inputs.

    Of a request with an id it keeps 16 bytes of the hash of the id, 16 of that of the input, and
    the line; of any other one 8 bytes of hash, and how often it came.
    """

    unit: str
    repeated: int = 0
    _contents: Contents = Factory(Contents)
    _seen: dict[bytes, bytes] = Factory(dict)
    _times: dict[bytes, int] = Factory(dict)

    def digest_of(self, input: ModelInput) -> bytes:
        """The hash of the model and its input: `ledger.input_sha256`, as bytes."""
        fields = input.payload()
        if local_in(fields):
            fields = cast("dict[str, object]", replaced(fields, self._identity))
        return bytes.fromhex(input_sha256(input.slug, fields))

    def _identity(self, media: LocalMedia) -> str:
        try:
            return self._contents.look(media).identity
        except Unfit as exc:
            raise InputError(f"{media!r} {exc}", value=media, allowed="a file with bytes") from exc

    def key(self, id: object, digest: bytes, line: int) -> str:
        """The key of a request, given the hash of its input."""
        if id is None:
            short = digest[:8]
            times = self._times[short] = self._times.get(short, 0) + 1
            key = f"sha256:{short.hex()}"
            return key if times == 1 else f"{key}-{times}"
        key = _key(id)
        own = digest[:16] + line.to_bytes(8, "big")
        first = self._seen.setdefault(sha256(key.encode()).digest()[:16], own)
        if first is not own:
            self._judge_repeated(key, first, own)
        return key

    def _judge_repeated(self, key: str, first: bytes, own: bytes) -> None:
        if first[:16] != own[:16]:
            where = f"{self.unit} {int.from_bytes(first[16:], 'big')}"
            raise InputError(
                f"the id {quoted(key)} stands for another input in {where}",
                field="id",
                value=key,
                allowed="an id of its own for each input",
            )
        self.repeated += 1


def _key(id: object) -> str:
    key = id
    if isinstance(id, (int, float)) and not isinstance(id, bool):
        # pandas makes floats of a column of integers that has gaps.
        key = str(int(id) if isinstance(id, float) and id.is_integer() else id)
    if not isinstance(key, str) or not is_name(key):
        raise refused(
            "id", id, f"a number, or text of 1 to {LONGEST_KEY} characters and no control character"
        )
    return key
