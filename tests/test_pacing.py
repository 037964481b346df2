"""How long tasks take, when to look and when to try again, as floats: nothing here waits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from copy import deepcopy
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liangxin._pacing import (
    MAX_RETRY_AFTER,
    CallbackShare,
    DurationModel,
    Durations,
    FixedSchedule,
    PollBudget,
    Schedule,
    _bin,
    retry_delays,
)

examples = settings(derandomize=True, deadline=None, max_examples=100)

KINDS = st.sampled_from([None, "image", "video", "audio"])
AGES = st.floats(0, 300) | st.floats(0, 1e9) | st.sampled_from([0.0, 0.25, 0.5, 32768.0, 1e-300])
OBSERVATIONS = st.lists(st.tuples(st.booleans(), AGES, AGES), max_size=60)


def learned(kind: str | None, observations: list[tuple[bool, float, float]]) -> DurationModel:
    model = DurationModel(kind)
    for has_ended, start, end in observations:
        (model.ended if has_ended else model.survived)(start, end)
    return model


MODELS = st.builds(learned, KINDS, OBSERVATIONS)


def after(count: int, median: float, *, seed: int = 1, model: DurationModel) -> DurationModel:
    """The model after so many more tasks, lognormal around a median."""
    rng = Random(seed)
    for _ in range(count):
        model.ended(0.0, rng.lognormvariate(math.log(median), 0.5))
    return model


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def lowest(low: float, high: float) -> float:
    return low


def highest(low: float, high: float) -> float:
    return high


# --- how long tasks take -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "median", "spread"),
    [("image", 12.0, 0.8), ("video", 90.0, 0.9), (None, 20.0, 1.4), ("sculpture", 20.0, 1.4)],
)
def test_before_anything_is_known_the_prior_of_the_kind_stands_in(
    kind: str | None, median: float, spread: float
) -> None:
    model = DurationModel(kind)
    assert model.quantile(0.5) == pytest.approx(median, rel=0.1)
    assert model.quantile(0.84) == pytest.approx(median * math.exp(spread), rel=0.2)
    assert model.finished == 0


def test_what_tasks_took_is_learned() -> None:
    model = after(300, 45.0, model=DurationModel("image"))
    assert model.quantile(0.5) == pytest.approx(45, rel=0.1)
    assert model.quantile(0.84) == pytest.approx(45 * math.exp(0.5), rel=0.15)
    assert model.finished == 300


def test_a_few_tasks_outweigh_the_prior() -> None:
    model = after(10, 120.0, model=DurationModel("image"))
    assert model.quantile(0.5) > 60


def test_a_task_that_still_runs_speaks_against_ends_at_that_age() -> None:
    ended = after(20, 10.0, model=DurationModel("image"))
    both = deepcopy(ended)
    for _ in range(60):
        both.survived(0.0, 40.0)
    assert both.quantile(0.5) > 2 * ended.quantile(0.5)


def test_time_at_risk_may_come_in_pieces() -> None:
    whole, pieces = DurationModel("image"), DurationModel("image")
    whole.ended(0.0, 20.0)
    for start, end in pairwise([0.0, 0.1, 3.0, 3.0, 11.5, 19.0]):
        pieces.survived(start, end)
    pieces.ended(19.0, 20.0)
    assert pieces.density() == pytest.approx(whole.density())


@given(MODELS, AGES, AGES)
@examples
def test_an_end_between_two_looks_is_one_end_and_time_at_risk_until_then(
    model: DurationModel, one: float, other: float
) -> None:
    start, found = sorted([one, other])
    weight, ended, at_risk = model._weight, sum(model._ended), sum(model._at_risk)
    finished = model.finished
    model.ended_between(start, found)
    assert model.finished == finished + 1
    assert sum(model._ended) - ended == pytest.approx(weight)
    slack = 1e-9 * (1 + at_risk)
    assert -slack <= sum(model._at_risk) - at_risk <= (found - start) * weight + slack


def test_an_end_between_two_looks_is_taken_to_be_where_others_ended() -> None:
    model = after(100, 10.0, model=DurationModel("image"))
    knew = [model.quantile(share) for share in (0.2, 0.5, 0.8)]
    for _ in range(100):
        model.ended_between(0.0, 60.0)
    assert [model.quantile(share) for share in (0.2, 0.5, 0.8)] == pytest.approx(knew, rel=0.15)


def test_an_end_between_two_looks_in_quick_succession_is_as_good_as_known() -> None:
    between, known = DurationModel("image"), DurationModel("image")
    between.ended_between(19.99, 20.0)
    known.ended(19.99, 20.0)
    assert between.density() == pytest.approx(known.density(), rel=0.01)


def test_ends_between_two_looks_are_not_missing_just_before_the_second() -> None:
    # Tasks of a steady hazard, one look at 4 s and one at 10 s: a burst knows no more than that.
    rng, model = Random(1), DurationModel("image")
    for _ in range(400):
        duration = rng.expovariate(0.1)
        for start, end in pairwise([0.0, 4.0, 10.0]):
            if start <= duration < end:
                model.ended_between(start, end)
            elif duration >= end:
                model.survived(start, end)
    just_before, halfway = model.density()[_bin(9.0)] ** 2, model.density()[_bin(7.0)] ** 2
    assert just_before == pytest.approx(0.1, rel=0.25)
    assert halfway == pytest.approx(0.1, rel=0.25)


def test_after_a_hundred_tasks_what_was_learned_before_counts_half() -> None:
    def weight_of_the_first(later: int) -> float:
        model = DurationModel("image")
        model.ended(0.0, 1000.0)
        for _ in range(later):
            model.ended(0.0, 5.0)
        saved = json.loads(json.dumps(model.to_json()))
        return float(min(saved["ended"].values()))

    # the weight is relative to the task to come, one step after the last
    assert weight_of_the_first(0) == pytest.approx(2 ** (-1 / 100))
    assert weight_of_the_first(100) == pytest.approx(weight_of_the_first(0) / 2)
    assert weight_of_the_first(300) == pytest.approx(weight_of_the_first(0) / 8)


def test_the_prior_is_worth_three_tasks_however_many_have_been_seen() -> None:
    model = after(20_000, 120.0, model=DurationModel("image"))
    fresh = after(2_000, 120.0, model=DurationModel("image"), seed=1)
    assert model.quantile(0.01) == pytest.approx(fresh.quantile(0.01), rel=0.3)
    assert model.quantile(0.01) < 20  # three tasks of about 12 s among some 145


def test_weights_that_have_grown_large_are_scaled_back_without_a_trace() -> None:
    model = after(2_989, 30.0, model=DurationModel("image"))
    before = list(fresh_density(model))
    scaled = deepcopy(model)
    scaled._rescale()
    assert fresh_density(scaled) == pytest.approx(before, rel=1e-9)
    after(5_000, 30.0, model=model)
    assert 0 < model._weight <= 1e9 * 1.01
    assert model.quantile(0.5) == pytest.approx(30, rel=0.15)


def fresh_density(model: DurationModel) -> list[float]:
    model._density = None
    return model.density()


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 60)), min_size=1, max_size=80))
@examples
def test_with_few_tasks_seen_each_observation_is_heeded_at_once(
    observations: list[tuple[bool, float]],
) -> None:
    model = DurationModel("image")
    for has_ended, age in observations[:10]:
        (model.ended if has_ended else model.survived)(0.0, age)
        if has_ended:
            assert model.density() == fresh_density(deepcopy(model))


@pytest.mark.parametrize("seen", [0, 10, 1_000, 50_000])
def test_however_many_tasks_were_seen_the_next_few_dozen_are_heeded(seen: int) -> None:
    model = after(seen, 12.0, model=DurationModel("image"))
    before = model.quantile(0.5)
    for number in range(20):
        model.ended(0.0, 200.0)
        model.quantile(0.5)  # as a look in between would
        model.survived(0.0, 10.0 + number)
    assert model.quantile(0.5) > 1.05 * before
    early = model.quantile(0.2)
    for _ in range(120):
        model.survived(0.0, 200.0)
        model.quantile(0.2)
    assert model.quantile(0.2) > 1.2 * early


@given(MODELS, AGES)
@examples
def test_a_density_is_finite_and_never_negative(model: DurationModel, age: float) -> None:
    assert all(0 <= root < math.inf for root in model.density())
    model.survived(age, age)
    model.survived(age, age / 2)
    model.ended(age, age)
    model.ended(age, age / 2)
    model.ended_between(age, age)
    model.ended_between(age, age / 2)
    model.ended_between(age / 2, age)
    model.ended_between(0.0, age)
    assert all(0 <= root < math.inf for root in model.density())


@given(MODELS, st.lists(st.floats(0, 0.9999), min_size=2, max_size=10))
@examples
def test_quantiles_rise_with_the_share(model: DurationModel, shares: list[float]) -> None:
    ages = [model.quantile(share) for share in sorted(shares)]
    assert all(0 <= age < math.inf for age in ages)
    assert all(early <= late for early, late in pairwise(ages))


def test_every_model_learns_for_itself_and_keeps_its_first_kind() -> None:
    durations = Durations()
    first = durations.of("seedream", "video")
    assert durations.of("seedream", "image") is first
    assert durations.of("seedream") is first
    assert first.kind == "video"
    assert durations.of("other") is not first
    assert durations.of(None).kind is None


def test_only_models_of_which_a_task_has_ended_count_as_learned() -> None:
    durations = Durations()
    durations.of("still running", "image").survived(0, 5)
    durations.of(None).ended(0, 5)
    durations.of("ended", "image").ended(0, 5)
    assert list(durations.learned()) == ["ended"]


# --- kept between runs -------------------------------------------------------------------------


@given(MODELS, OBSERVATIONS)
@examples
def test_what_was_saved_and_loaded_behaves_the_same_and_goes_on_learning_the_same(
    model: DurationModel, later: list[tuple[bool, float, float]]
) -> None:
    loaded = DurationModel.from_json(json.loads(json.dumps(model.to_json())))
    assert (loaded.kind, loaded.finished) == (model.kind, model.finished)
    assert fresh_density(loaded) == pytest.approx(fresh_density(model), rel=1e-9)
    for has_ended, start, end in later:
        for each in (model, loaded):
            (each.ended if has_ended else each.survived)(start, end)
    assert fresh_density(loaded) == pytest.approx(fresh_density(model), rel=1e-9)


def test_all_models_are_saved_and_loaded() -> None:
    durations = Durations()
    after(200, 30.0, model=durations.of("seedream", "image"))
    after(5, 200.0, model=durations.of("kling", "video"))
    loaded = Durations.from_json(json.loads(json.dumps(durations.to_json())))
    assert list(loaded.learned()) == ["seedream", "kling"]
    for name, model in durations.learned().items():
        assert loaded.of(name).quantile(0.5) == pytest.approx(model.quantile(0.5))
    assert loaded.to_json()["version"] == 1


SAVED: dict[str, object] = {"kind": "image", "finished": 1, "ended": {"3": 1.0}, "at_risk": {}}
PLACES = st.sampled_from(["0", "1", "68", "69", "-1"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | PLACES, inner)
    ),
    max_leaves=8,
)


@given(
    JSON
    | st.fixed_dictionaries({"version": st.just(1) | JSON, "models": JSON})
    | st.fixed_dictionaries(
        {
            "version": st.just(1),
            "models": st.fixed_dictionaries(
                {"a": st.fixed_dictionaries({name: st.just(SAVED[name]) | JSON for name in SAVED})}
            ),
        }
    )
)
@settings(derandomize=True, deadline=None, max_examples=400)
def test_of_anything_else_loading_makes_a_value_error_or_something_that_works(junk: object) -> None:
    try:
        loaded = Durations.from_json(junk)
    except ValueError:
        return
    for model in loaded.learned().values():
        assert model.finished > 0
        assert all(0 <= root < math.inf for root in model.density())
        assert 0.4 < Schedule().next_delay(3.0, model) < 70
        assert json.dumps(loaded.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    "change",
    [
        {"finished": math.inf},
        {"finished": None},
        {"finished": "many"},
        {"ended": {"3": -1.0}},
        {"ended": {"3": math.nan}},
        {"ended": {"3": 1e300}},
        {"ended": {"3": 10**400}},
        {"ended": {"3": "1"}},
        {"ended": {"-1": 1.0}},
        {"ended": {"69": 1.0}},
        {"ended": {"first": 1.0}},
        {"ended": [1.0]},
        {"at_risk": {"3": math.inf}},
        {"at_risk": 7},
    ],
    ids=repr,
)
def test_a_file_with_one_thing_wrong_is_refused(change: dict[str, object]) -> None:
    assert Durations.from_json({"version": 1, "models": {"a": SAVED}}).learned()
    with pytest.raises(ValueError, match=r".+"):
        Durations.from_json({"version": 1, "models": {"a": {**SAVED, **change}}})


@pytest.mark.parametrize("junk", [{}, [], None, "x", 3, {"version": 2, "models": {}}], ids=repr)
def test_a_file_of_another_sort_or_version_is_refused(junk: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Durations.from_json(junk)


@pytest.mark.parametrize("missing", SAVED)
def test_a_file_that_lacks_something_is_refused(missing: str) -> None:
    model = {name: value for name, value in SAVED.items() if name != missing}
    with pytest.raises(ValueError, match=missing):
        Durations.from_json({"version": 1, "models": {"a": model}})


# --- the share of callbacks --------------------------------------------------------------------


def shares(*told: bool, share: CallbackShare | None = None) -> CallbackShare:
    share = share or CallbackShare()
    for each in told:
        share.ended(each)
    return share


def test_before_anything_is_known_half_of_the_ends_are_taken_to_be_told() -> None:
    assert CallbackShare().value == 0.5


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.95, 1.0])
def test_the_share_is_learned_within_forty_ends(rate: float) -> None:
    share = shares(*(math.floor((n + 1) * rate) > math.floor(n * rate) for n in range(40)))
    assert share.value == pytest.approx(rate, abs=0.06)


def test_twenty_ends_halve_what_was_learned() -> None:
    share = shares(*[True] * 200)
    assert shares(*[False] * 20, share=share).value == pytest.approx(0.5, abs=0.02)


@given(st.lists(st.booleans(), max_size=200), st.floats(min_value=0, max_value=10))
def test_a_share_is_never_nothing_and_never_all(told: list[bool], late: float) -> None:
    share = shares(*told)
    share.told_late(late)
    assert 0 < share.value < 1


def test_only_a_callback_that_was_on_its_way_counts_after_the_end_was_found() -> None:
    share = shares(*[True] * 10, False)
    before = share.value
    share.told_late(CallbackShare.PROMPT + 0.1)
    assert share.value == before
    share.told_late(CallbackShare.PROMPT)
    assert share.value == pytest.approx(shares(*[True] * 11).value)


# --- the schedule of one task ------------------------------------------------------------------


@given(
    MODELS,
    AGES,
    st.floats(1e-3, 100),
    st.floats(0.01, 10),
    st.floats(1, 100),
    st.floats(1, 1e4),
    st.floats(0, 1),
    st.integers(0, 1000),
)
@examples
def test_a_pause_stays_within_its_bounds(
    model: DurationModel,
    age: float,
    lag_weight: float,
    shortest: float,
    ratio: float,
    price: float,
    share: float,
    trouble: int,
) -> None:
    longest = shortest * ratio
    schedule = Schedule(lag_weight=lag_weight, min_interval=shortest, max_interval=longest)
    pause = schedule.next_delay(age, model, price=price, callback_share=share, trouble=trouble)
    assert shortest * 0.899 <= pause <= longest * price * 1.101


@given(MODELS, AGES, st.floats(1, 1e4), st.floats(1, 100), st.floats(0, 1), st.floats(0, 1))
@examples
def test_a_pause_grows_with_the_price_the_worth_of_a_look_and_the_share_of_callbacks(
    model: DurationModel, age: float, price: float, more: float, share: float, other: float
) -> None:
    def pause(lag_weight: float = 0.2, price: float = price, callback_share: float = 0.0) -> float:
        schedule = Schedule(lag_weight=lag_weight, uniform=middle)
        return schedule.next_delay(age, model, price=price, callback_share=callback_share)

    below = 1 - 1e-6  # ages of many years leave few digits for the pause
    assert pause(price=price * more) >= pause() * below
    assert pause(lag_weight=0.2 * more) >= pause() * below
    assert pause(callback_share=max(share, other)) >= pause(callback_share=share) * below


def test_under_a_steady_hazard_the_pause_is_the_square_root_of_twice_the_worth_over_it() -> None:
    model = DurationModel()
    model._density = [math.sqrt(1 / 50)] * len(model._ended)
    for lag_weight, price, share in [(0.2, 1, 0), (0.2, 3, 0), (0.01, 1, 0), (0.2, 1, 0.75)]:
        schedule = Schedule(lag_weight=lag_weight, min_interval=0.001, uniform=middle)
        for age in (0.0, 0.26, 3.0, 77.0, 40_000.0):
            pause = schedule.next_delay(age, model, price=price, callback_share=share)
            assert pause == pytest.approx(
                price * math.sqrt(2 * lag_weight * 50 / (1 - share)), rel=1e-6
            )


def test_after_an_age_at_which_nearly_all_tasks_end_the_next_look_does_not_tarry() -> None:
    model = DurationModel("video")
    for _ in range(100):
        model.ended(0.0, 1.0)
    schedule = Schedule(lag_weight=2.0, min_interval=0.1, uniform=middle)
    assert schedule.next_delay(0.99, model) < 2 * 2.0


def test_without_a_hazard_the_pause_is_the_longest() -> None:
    model = DurationModel()
    model._density = [0.0] * len(model._ended)
    for age in (0.0, 5.0, 1e9, 1e300):
        assert Schedule(uniform=middle).next_delay(age, model) == pytest.approx(60)


def test_a_price_stretches_the_longest_pause_too_and_not_the_shortest() -> None:
    model = DurationModel()
    model._density = [0.0] * len(model._ended)
    assert Schedule(uniform=middle).next_delay(5.0, model, price=3.0) == pytest.approx(180)
    model._density = [1e6] * len(model._ended)
    assert Schedule(uniform=middle).next_delay(5.0, model, price=3.0) == pytest.approx(0.5)


@pytest.mark.parametrize(("edge", "factor"), [(lowest, 0.9), (middle, 1.0), (highest, 1.1)])
def test_the_jitter_is_a_tenth_either_way(
    edge: Callable[[float, float], float], factor: float
) -> None:
    model = DurationModel("image")
    for age in (0, 20, 1000):
        expected = Schedule(uniform=middle).next_delay(age, model) * factor
        assert Schedule(uniform=edge).next_delay(age, model) == pytest.approx(expected)


def test_tasks_that_were_created_together_do_not_stay_together() -> None:
    schedule, model = Schedule(), DurationModel("image")
    assert len({schedule.next_delay(30, model) for _ in range(100)}) > 90


def test_each_unusable_answer_doubles_the_pause_up_to_the_longest() -> None:
    schedule, model = Schedule(max_interval=1e6, uniform=middle), DurationModel("image")
    pauses = [schedule.next_delay(12, model, trouble=trouble) for trouble in range(8)]
    expected = [pauses[0] * factor for factor in (1, 2, 4, 8, 16, 32, 32, 32)]
    assert pauses == pytest.approx(expected)
    assert Schedule(uniform=middle).next_delay(12, model, trouble=10**9) == 60


def test_a_fixed_interval_heeds_only_price_and_trouble() -> None:
    schedule = FixedSchedule(3.0, uniform=middle)
    for model in (DurationModel("image"), DurationModel("video")):
        for age in (0.0, 12.0, 1e9):
            assert schedule.next_delay(age, model) == 3.0
            assert schedule.next_delay(age, model, callback_share=0.95) == 3.0
    assert schedule.next_delay(5, model, price=2.5) == 7.5
    troubled = [schedule.next_delay(5, model, trouble=trouble) for trouble in (1, 2, 5, 6, 1000)]
    assert troubled == [6, 12, 96, 96, 96]
    assert FixedSchedule(3.0, uniform=highest).next_delay(5, model) == pytest.approx(3.3)
    assert len({FixedSchedule(3.0).next_delay(5, model) for _ in range(100)}) > 90


# --- the budget of all tasks -------------------------------------------------------------------


def leave_as_soon_as_allowed(budget: PollBudget, now: float) -> float:
    """Let one look leave; return when it left."""
    now += budget.delay(now)
    assert budget.delay(now) == pytest.approx(0, abs=1e-6)
    budget.spend(now)
    return now


def test_a_seconds_worth_may_leave_at_once_and_the_rest_evenly() -> None:
    budget = PollBudget(10)
    departures = []
    now = 100.0
    for _ in range(31):
        now = leave_as_soon_as_allowed(budget, now)
        departures.append(now - 100)
    assert departures[:11] == pytest.approx([0.0] * 11)
    assert [b - a for a, b in pairwise(departures[10:])] == pytest.approx([0.1] * 20)


def test_a_budget_below_one_a_second_has_no_burst() -> None:
    budget = PollBudget(0.5)
    now = 0.0
    departures = [now := leave_as_soon_as_allowed(budget, now) for _ in range(4)]
    assert departures == pytest.approx([0, 1, 3, 5])


def test_idleness_earns_no_more_than_one_burst() -> None:
    budget = PollBudget(10)
    budget.spend(0)
    at_once = 0
    while budget.delay(1e6) == 0:
        budget.spend(1e6)
        at_once += 1
    assert at_once == 11


@st.composite
def histories(draw: st.DrawFn) -> tuple[float, list[tuple[str, float]]]:
    rate = draw(st.floats(0.1, 500))
    events = st.tuples(
        st.sampled_from(["want"] * 8 + ["answered", "throttled"]),
        st.floats(0, 2) | st.just(0.0) | st.floats(0, 400),
    )
    return rate, draw(st.lists(events, max_size=120))


@given(histories())
@examples
def test_no_window_sees_more_looks_than_rate_times_its_length_and_a_burst(
    history: tuple[float, list[tuple[str, float]]],
) -> None:
    rate, events = history
    budget = PollBudget(rate)
    now = 50.0
    departures: list[float] = []
    for what, wait in events:
        if what == "answered":
            budget.answered()
        elif what == "throttled":
            budget.throttled(now, wait)
        else:
            now = leave_as_soon_as_allowed(budget, now + min(wait, 2 / rate))
            departures.append(now)
        assert 0 < budget.rate <= rate
    for first, start in enumerate(departures):
        for last, end in enumerate(departures[first:], first):
            assert last - first + 1 <= rate * (end - start) + rate + 1 + 1e-3


def test_the_price_is_what_is_wanted_over_what_may_be_had() -> None:
    budget = PollBudget(10)
    assert budget.price == 1
    budget.want(8)
    assert budget.price == 1
    budget.want(12)
    assert budget.price == pytest.approx(2)
    budget.throttled(0, 1)
    assert budget.price == pytest.approx(4)
    budget.want(-15)
    assert budget.price == 1


@given(st.lists(st.floats(-1e6, 1e6), max_size=50), st.floats(0.1, 500))
@examples
def test_no_less_than_nothing_can_be_wanted(changes: list[float], rate: float) -> None:
    budget, wanted = PollBudget(rate), 0.0
    for change in changes:
        budget.want(change)
        wanted = max(0.0, wanted + change)
        assert budget.price == pytest.approx(max(1.0, wanted / rate))


def test_a_429_halves_the_rate_and_holds_every_look() -> None:
    budget = PollBudget(8)
    budget.throttled(100, 5)
    assert budget.rate == 4
    assert budget.delay(100) == 5
    assert budget.delay(103.5) == 1.5
    assert budget.delay(105) == 0


def test_a_429_without_retry_after_holds_for_a_second() -> None:
    for asked in (None, 0.0):
        budget = PollBudget(8)
        budget.throttled(100, asked)
        assert budget.delay(100) == 1


def test_looks_that_were_on_their_way_halve_the_rate_only_once() -> None:
    budget = PollBudget(8)
    for now in (100, 100, 101, 104.9):
        budget.throttled(now, 5)
    assert budget.rate == 4
    budget.throttled(109.9, 5)  # the last of them held until then
    assert budget.rate == 2


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    budget = PollBudget(8)
    budget.throttled(100, 60)
    budget.throttled(101, 1)
    assert budget.delay(101) == 59


def test_a_hold_is_never_longer_than_five_minutes() -> None:
    budget = PollBudget(8)
    budget.throttled(100, 1e8)
    assert budget.delay(100) == MAX_RETRY_AFTER == 300


def test_the_rate_never_falls_below_a_sixty_fourth() -> None:
    budget = PollBudget(64)
    for number in range(20):
        budget.throttled(number * 10, 1)
    assert budget.rate == 1


def test_the_rate_recovers_by_a_hundredth_with_each_good_answer_and_no_further() -> None:
    budget = PollBudget(8)
    budget.throttled(100, 1)
    budget.answered()
    assert budget.rate == pytest.approx(4.08)
    for _ in range(200):
        budget.answered()
    assert budget.rate == 8


def test_after_a_hold_looks_leave_at_half_the_rate() -> None:
    budget = PollBudget(10)
    budget.throttled(100, 5)
    now = 100.0
    departures = [now := leave_as_soon_as_allowed(budget, now) for _ in range(16)]
    assert departures[0] == 105
    assert [b - a for a, b in pairwise(departures[6:])] == pytest.approx([0.2] * 9)


# --- retries -----------------------------------------------------------------------------------


def test_retry_delays_have_no_end_and_stay_below_ceilings_that_double() -> None:
    for _ in range(50):
        delays = list(islice(retry_delays(), 200))
        assert all(isinstance(delay, float) for delay in delays)
        ceilings = [min(0.5 * 2**attempt, 30) for attempt in range(200)]
        assert all(0 <= delay <= top for delay, top in zip(delays, ceilings, strict=True))


def test_retry_delays_are_jittered_over_the_whole_of_their_range() -> None:
    late = [list(islice(retry_delays(1, 10), 10))[-1] for _ in range(400)]
    assert min(late) < 1
    assert max(late) > 9
    assert 4 < sum(late) / len(late) < 6
    assert len(set(late)) > 390
