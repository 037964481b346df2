"""
Everything an emulator remembers, as one value and as JSON: to go back to, or to go on from.

What it was started with is not in it: keys, quotas, rates, speed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liangxin.emulator._books import Charge, Delivery, SeenRequest
from liangxin.emulator._callbacks import Parcel
from liangxin.emulator._catalogue import CATALOGUE, MarketModel
from liangxin.emulator._faultbook import Rule, document_of, read_rules
from liangxin.emulator._faults import Fault
from liangxin.emulator._tasks import TaskRecord

if TYPE_CHECKING:
    from cattrs.preconf.json import JsonConverter

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """
    The state of one emulator.

    `now` is in the service's seconds, counted from the Unix time `epoch`; `parcels` are the
    callbacks to come, with the times at which they are due; `drawn` how many draws the faults made.
    """

    version: int = VERSION
    seed: int
    now: float
    epoch: float
    last_ms: int
    tasks: list[TaskRecord]
    charges: list[Charge]
    requests: list[SeenRequest]
    callbacks: list[Delivery]
    looks: dict[str, int]
    spent: dict[str, int]
    rules: list[Rule]
    drawn: int
    parcels: list[tuple[float, Parcel]]


def write_snapshot(snapshot: Snapshot) -> str:
    """Return the snapshot as JSON."""
    return _converter().dumps(snapshot)


def read_snapshot(text: str | bytes) -> Snapshot:
    """Return the snapshot in `text`, or raise ValueError."""
    from cattrs import BaseValidationError

    try:
        document = json.loads(text)
        version = document.get("version") if isinstance(document, dict) else None
        if version == VERSION:
            return _converter().structure(document, Snapshot)
    except (BaseValidationError, ValueError, RecursionError) as error:
        raise ValueError(f"this is no snapshot of an emulator: {error}") from error
    raise ValueError(f"a snapshot of an emulator has version {VERSION}, not {version!r:.60}")


@functools.cache
def _converter() -> JsonConverter:
    from cattrs.preconf.json import make_converter  # late, since it is slow and seldom needed

    converter = make_converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(MarketModel, lambda model: model.slug)
    converter.register_structure_hook(MarketModel, lambda slug, _: CATALOGUE[slug])
    converter.register_unstructure_hook(Fault, document_of)
    converter.register_structure_hook(Fault, lambda document, _: read_rules(document)[0])
    converter.register_structure_hook_func(
        lambda kind: kind == Mapping[str, object], lambda members, _: dict(members)
    )
    return converter
