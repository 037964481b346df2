"""The addresses of the emulator's own: clock, faults and memory over HTTP, for any client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from liangxin.emulator import Emulator
from tests.emulator.service import KEY, create, look, order, post

pytestmark = pytest.mark.anyio
OWN = "/_emulator"


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(seed=1, speed=0, wall=lambda: 1_000.0, durations=100.0)


@pytest.fixture
async def admin(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    base = f"{emulator.base_url}{OWN}"
    async with httpx.AsyncClient(transport=emulator.transport(), base_url=base) as client:
        yield client


# --- the clock ---------------------------------------------------------------------------------


async def test_the_clock_is_told_moved_and_set_going(admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/clock")).json() == {"now": 0, "unix_ms": 1_000_000, "speed": 0}
    moved = await admin.post("/clock", json={"advance": 30})
    assert moved.json() == {"now": 30, "unix_ms": 1_030_000, "speed": 0}
    assert (await admin.post("/clock", json={"speed": 60})).json()["speed"] == 60


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "send"),
        ({"advance": -1}, "time moves on"),
        ({"advance": "1"}, "advance must be a number"),
        ({"advance": True}, "advance must be a number"),
        ({"advance": 10**400}, "time moves on"),
        ({"speed": -1}, "speed must be"),
        ({"sped": 1}, "sped is not known here"),
        ([], "a JSON object"),
    ],
)
async def test_a_clock_that_cannot_be_moved_so_says_why(
    admin: httpx.AsyncClient, body: object, words: str
) -> None:
    refused = await admin.post("/clock", json=body)
    assert refused.status_code == 400
    assert words in refused.json()["error"]
    assert (await admin.get("/clock")).json()["now"] == 0


# --- faults ------------------------------------------------------------------------------------


async def test_a_fault_that_is_sent_hits_and_counts(
    emulator: Emulator, admin: httpx.AsyncClient
) -> None:
    rule = {"endpoint": "create", "status": 503, "count": "all"}
    added = await admin.post("/faults", json=rule)
    assert added.status_code == 201
    (entry,) = added.json()["faults"]
    assert entry == {
        "id": 1,
        "is_on": True,
        "hits": 0,
        "rule": rule,
    }
    assert (await post(emulator, order())).status_code == 503
    assert (await admin.get("/faults")).json()["faults"][0]["hits"] == 1


async def test_a_fault_is_switched_off_and_on_and_dropped(
    emulator: Emulator, admin: httpx.AsyncClient
) -> None:
    await admin.post("/faults", json={"endpoint": "create", "status": 503, "count": None})
    assert (await admin.patch("/faults/1", json={"is_on": False})).json()["is_on"] is False
    assert (await post(emulator, order())).status_code == 200
    await admin.patch("/faults/1", json={"is_on": True})
    assert (await post(emulator, order())).status_code == 503
    assert (await admin.delete("/faults/1")).status_code == 204
    assert (await post(emulator, order())).status_code == 200
    assert (await admin.delete("/faults/1")).status_code == 404


async def test_all_faults_go_at_once(emulator: Emulator, admin: httpx.AsyncClient) -> None:
    await admin.post("/faults", json=[{"endpoint": "create"}, {"endpoint": "look"}])
    assert (await admin.delete("/faults")).status_code == 204
    assert (await admin.get("/faults")).json() == {"faults": []}
    assert (await post(emulator, order())).status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "the body must be JSON"),
        (b"[" * 100_000, "the body must be JSON"),
        (b'"create"', "a rule is a table"),
        (b"{}", "endpoint is required"),
        (b'[{"endpoint": "look"}, {"endpoint": "lok"}]', "fault 2: endpoint must be one of create"),
    ],
)
async def test_a_rule_that_cannot_be_is_refused_whole(
    admin: httpx.AsyncClient, body: bytes, words: str
) -> None:
    refused = await admin.post("/faults", content=body)
    assert refused.status_code == 400
    assert words in refused.json()["error"]
    assert (await admin.get("/faults")).json() == {"faults": []}


async def test_a_key_in_a_rule_is_shown_by_its_hash_alone(
    emulator: Emulator, admin: httpx.AsyncClient
) -> None:
    added = await admin.post("/faults", json={"endpoint": "create", "key": KEY})
    assert KEY not in added.text
    assert (await post(emulator, order(), "sk-somebody-else")).status_code == 200
    assert (await post(emulator, order())).status_code == 500
    again = added.json()["faults"][0]["rule"]
    await admin.post("/faults", json=again)
    assert (await post(emulator, order())).status_code == 500


async def test_what_is_no_text_can_be_shown_all_the_same(
    emulator: Emulator, admin: httpx.AsyncClient
) -> None:
    rule = {"endpoint": "create", "body": "\udcff", "message": "\ud800"}
    added = await admin.post("/faults", content=json.dumps(rule))
    assert added.json()["faults"][0]["rule"] == rule
    assert (await post(emulator, order())).content == b"\xff"


# --- memory ------------------------------------------------------------------------------------


async def test_a_reset_forgets_and_may_begin_with_another_seed(
    emulator: Emulator, admin: httpx.AsyncClient
) -> None:
    await create(emulator, order())
    assert (await admin.post("/reset")).json() == {"reset": True}
    assert not emulator.charges
    await admin.post("/reset", json={"seed": 7})
    assert emulator.snapshot().seed == 7
    assert (await admin.post("/reset", json={"seed": "7"})).status_code == 400


async def test_a_snapshot_goes_to_another_emulator_and_goes_on_there(
    emulator: Emulator, admin: httpx.AsyncClient
) -> None:
    task_id = await create(emulator, order())
    emulator.advance(50)
    kept = (await admin.get("/snapshot")).content
    other = Emulator(speed=0)
    async with httpx.AsyncClient(transport=other.transport(), base_url=other.base_url) as client:
        put = await client.post(f"{OWN}/restore", content=kept)
    assert put.json() == {"restored": True}
    assert (await look(other, task_id))["state"] == "generating"
    other.advance(50)
    assert (await look(other, task_id))["state"] == "success"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"version": 99}', b"[" * 100_000])
async def test_what_is_no_snapshot_changes_nothing(
    emulator: Emulator, admin: httpx.AsyncClient, body: bytes
) -> None:
    await create(emulator, order())
    refused = await admin.post("/restore", content=body)
    assert refused.status_code == 400
    assert "snapshot" in refused.json()["error"]
    assert len(emulator.charges) == 1
