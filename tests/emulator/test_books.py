"""The books: complete, countable, and without a key in them."""

from __future__ import annotations

import hashlib
import json

import pytest

from liangxin.emulator import Emulator
from tests.emulator.service import EPOCH, KEY, client_of, create, look, order, post

pytestmark = pytest.mark.anyio


async def test_a_charge_says_what_was_bought_and_by_which_request(emulator: Emulator) -> None:
    body = json.dumps(order("nano-banana-pro")).encode()
    async with client_of(emulator) as client:
        headers = {"Idempotency-Key": "ref-1"}
        await client.post("/api/v1/jobs/createTask", content=body, headers=headers)
    (charge,) = emulator.charges
    assert charge.model == "nano-banana-pro"
    assert charge.amount > 0
    assert charge.idempotency_key == "ref-1"
    assert charge.body_sha256 == hashlib.sha256(body).hexdigest()
    assert charge.created_at == EPOCH * 1000


async def test_a_model_always_costs_the_same(emulator: Emulator) -> None:
    for _ in range(3):
        await create(emulator, order())
    assert len({charge.amount for charge in emulator.charges}) == 1


async def test_looks_are_counted_per_task_and_in_all(emulator: Emulator) -> None:
    one, other = await create(emulator, order()), await create(emulator, order())
    for task_id in (one, one, other):
        await look(emulator, task_id)
    assert (emulator.looks_of(one), emulator.looks_of(other), emulator.looks) == (2, 1, 3)


async def test_every_request_is_noted_with_its_answer(emulator: Emulator) -> None:
    task_id = await create(emulator, order())
    await post(emulator, b"{")
    seen, refused = emulator.requests
    assert (seen.endpoint, seen.status, seen.task_id) == ("create", 200, task_id)
    assert seen.body_bytes == len(json.dumps(order()))
    assert (refused.endpoint, refused.status, refused.task_id) == ("create", 400, None)


async def test_the_key_is_nowhere_in_the_books(emulator: Emulator) -> None:
    task_id = await create(emulator, order())
    await look(emulator, task_id)
    async with client_of(emulator) as client:
        ledger = (await client.get("/_emulator/ledger")).text
        page = (await client.get("/")).text
    known = f"{ledger}{page}{emulator.requests}{emulator.charges}{dict(emulator.tasks)}"
    assert KEY not in known
    assert KEY.removeprefix("sk-") not in known
    assert emulator.requests[0].key_hash == hashlib.sha256(KEY.encode()).hexdigest()[:12]
    assert "authorization" not in emulator.requests[0].headers


async def test_the_ledger_starts_with_the_totals(emulator: Emulator) -> None:
    task_id = await create(emulator, order())
    await look(emulator, task_id)
    async with client_of(emulator) as client:
        ledger = (await client.get("/_emulator/ledger")).json()
    assert next(iter(ledger)) == "totals"
    assert ledger["totals"] == {"created": 1, "charged": emulator.charges[0].amount, "looks": 1}
    assert ledger["charges"][0]["task_id"] == ledger["tasks"][0]["task_id"] == task_id
    assert [seen["endpoint"] for seen in ledger["requests"]] == ["create", "look"]


async def test_the_books_can_be_reset_over_http(emulator: Emulator) -> None:
    await create(emulator, order())
    async with client_of(emulator) as client:
        assert (await client.post("/_emulator/reset")).status_code == 200
    assert not emulator.charges
