"""Who may ask: keys, what they may spend, how often they may ask; each refusal costs nothing."""

from __future__ import annotations

import pytest

from liangxin.emulator import Emulator
from liangxin.emulator._books import key_hash
from liangxin.emulator._keys import Limit
from tests.emulator.service import KEY, HandClock, client_of, create, order, post

pytestmark = pytest.mark.anyio
PRICE = 1  # of the Z-Image that `order` asks for
OTHER = "sk-other"


async def test_a_key_spends_its_quota_and_not_a_credit_more() -> None:
    emulator = Emulator(quota=2 * PRICE)
    for _ in range(2):
        await create(emulator, order())
    refused = await post(emulator, order())
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "insufficient_user_quota"
    assert len(emulator.charges) == 2
    assert emulator.spent == {key_hash(KEY): 2 * PRICE}


async def test_a_key_may_have_a_quota_of_its_own() -> None:
    emulator = Emulator(api_keys={KEY: 0, OTHER: None}, quota=PRICE)
    assert (await post(emulator, order())).status_code == 403
    assert [(await post(emulator, order(), OTHER)).status_code for _ in range(3)] == [200] * 3


async def test_what_a_refused_input_would_have_cost_is_not_spent() -> None:
    emulator = Emulator(quota=PRICE)
    assert (await post(emulator, order(prompt=" "))).status_code == 400
    await create(emulator, order())


async def test_creates_above_the_rate_are_refused_until_the_window_has_room() -> None:
    clock = HandClock()
    emulator = Emulator(clock=clock, rate_limit="2/10s")
    await create(emulator, order())
    clock.now = 4.5
    await create(emulator, order())
    refused = await post(emulator, order())
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "6")
    clock.now = 10.0
    await create(emulator, order())
    assert (await post(emulator, order())).headers["retry-after"] == "5"
    assert len(emulator.charges) == 3


async def test_each_key_has_a_window_of_its_own() -> None:
    emulator = Emulator(rate_limit="1/h")
    await create(emulator, order())
    assert (await post(emulator, order(), OTHER)).status_code == 200
    assert (await post(emulator, order(), OTHER)).status_code == 429


async def test_looks_have_a_rate_apart_from_creates() -> None:
    emulator = Emulator(look_limit="1/m", retry_after=False)
    task_id = await create(emulator, order())
    async with client_of(emulator) as client:
        path = f"/api/v1/jobs/recordInfo?taskId={task_id}"
        answers = [await client.get(path) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert "retry-after" not in answers[1].headers
    await create(emulator, order())


async def test_the_wait_that_is_told_is_the_client_s_and_not_the_service_s() -> None:
    emulator = Emulator(clock=HandClock(), speed=60, rate_limit="1/600s")
    await create(emulator, order())
    assert (await post(emulator, order())).headers["retry-after"] == "10"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("20/10s", Limit(20, 10)),
        ("100/m", Limit(100, 60)),
        ("1/h", Limit(1, 3600)),
        ("3 / 0.5s", Limit(3, 0.5)),
    ],
)
def test_a_rate_is_read(text: str, limit: Limit) -> None:
    assert Limit.parse(text) == limit


@pytest.mark.parametrize("text", ["", "20", "20/10", "0/s", "1/0s", "-1/s", "1/s/s", "a/s", "1/d"])
def test_what_is_no_rate_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="a rate is written"):
        Emulator(rate_limit=text or "x")
