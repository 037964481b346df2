"""
What looking costs, against the least it can cost.

The cost of a schedule is looks × k + lag: what one look is worth, in seconds between the end of a
task and its discovery.  The optimum for a known distribution of durations is computed here by
dynamic programming; the cost of a schedule by integration, so that no draws of durations blur it.
Nothing sleeps: tasks and looks are simulated with floats, from fixed seeds.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from random import Random
from statistics import NormalDist, fmean

import pytest
from attrs import frozen

from liangxin._pacing import _EDGES, DurationModel, FixedSchedule, PollBudget, Schedule

pytestmark = pytest.mark.campaign  # arithmetic, the same on every interpreter

KS = (0.1, 0.5, 2.0)


@frozen
class Lognormal:
    """How long tasks take."""

    median: float
    spread: float = 0.5

    def draw(self, rng: Random) -> float:
        return rng.lognormvariate(math.log(self.median), self.spread)

    def surviving(self, age: float) -> float:
        """The share of the tasks that runs longer."""
        return 1.0 - NormalDist().cdf(self._deviation(age)) if age > 0 else 1.0

    def running(self, age: float) -> float:
        """Seconds that a task runs before this age, on average."""
        if age <= 0:
            return 0.0
        mean = self.median * math.exp(self.spread**2 / 2)
        early = NormalDist().cdf(self._deviation(age) - self.spread)
        return age * self.surviving(age) + mean * early

    def _deviation(self, age: float) -> float:
        return math.log(age / self.median) / self.spread


IMAGE, VIDEO = Lognormal(12), Lognormal(90)
KINDS = [("image", IMAGE), ("video", VIDEO)]
every_kind = pytest.mark.parametrize(("kind", "law"), KINDS, ids=["image", "video"])
every_k = pytest.mark.parametrize("k", KS)


@cache
def optimum(law: Lognormal, k: float) -> float:
    """The least that looking can cost, when looks are confined to a fine grid of ages."""
    step = math.sqrt(k * law.median) / 12
    places = int(law.median * math.exp(4.5 * law.spread) / step) + 1
    surviving = [law.surviving(place * step) for place in range(places + 1)]
    running = [law.running(place * step) for place in range(places + 1)]
    costs = [0.0] * (places + 1)
    for here in reversed(range(places)):
        least = math.inf
        for there in range(here + 1, places + 1):
            lag = surviving[here] * (there - here) * step - (running[there] - running[here])
            if k * surviving[here] + lag >= least:
                break  # lag only grows, and what follows costs nothing or more
            least = min(least, k * surviving[here] + lag + costs[there])
        costs[here] = least
    return costs[0]


def expected_cost(schedule: Schedule, model: DurationModel, law: Lognormal, k: float) -> float:
    """What a task costs on average over all durations, for one course of the jitter."""
    cost = age = 0.0
    while (surviving := law.surviving(age)) > 1e-6:
        pause = schedule.next_delay(age, model)
        cost += k * surviving
        cost += surviving * pause - (law.running(age + pause) - law.running(age))
        age += pause
    return cost


def excess(schedule: Schedule, model: DurationModel, law: Lognormal, k: float) -> float:
    """What a task costs, over the optimum; averaged over courses of the jitter."""
    return fmean(expected_cost(schedule, model, law, k) for _ in range(3)) / optimum(law, k)


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def unbounded(k: float, uniform: Callable[[float, float], float] = middle) -> Schedule:
    return Schedule(lag_weight=k, min_interval=0.001, max_interval=1e9, uniform=uniform)


Teach = Callable[[DurationModel, float, float, float], None]
"""Tells the model of an end: when the task still ran, when it ended, when that was found."""


def named(model: DurationModel, running_at: float, end: float, found: float) -> None:
    """The service says when."""
    model.ended(running_at, end)


def not_named(model: DurationModel, running_at: float, end: float, found: float) -> None:
    """All that is known is between which looks it was."""
    model.ended_between(running_at, found)


whether_ends_are_named_or_not = pytest.mark.parametrize("teach", [named, not_named])


def follow(
    schedule: Schedule, model: DurationModel, duration: float, teach: Teach = named
) -> tuple[int, float]:
    """Look at one task until it has ended, learning; return the looks taken and the lag."""
    age, looks = 0.0, 0
    while True:
        pause = schedule.next_delay(age, model)
        looks += 1
        if age + pause >= duration:
            teach(model, age, duration, age + pause)
            return looks, age + pause - duration
        model.survived(age, age + pause)
        age += pause


def taught(
    kind: str, law: Lognormal, finished: int, k: float, rng: Random, teach: Teach = named
) -> DurationModel:
    """What is known after so many tasks, one after the other."""
    model = DurationModel(kind)
    for _ in range(finished):
        follow(unbounded(k, rng.uniform), model, law.draw(rng), teach)
    return model


class Known(DurationModel):
    """The truth, in the bins of the real one."""

    def __init__(self, law: Lognormal) -> None:
        super().__init__()
        self._roots = [0.0]
        for start, end in pairwise([*_EDGES, 2 * _EDGES[-1]]):
            at_risk = law.running(end) - law.running(start)
            ended = law.surviving(start) - law.surviving(end)
            root = math.sqrt(ended / at_risk) if at_risk > 1e-12 else self._roots[-1]
            self._roots.append(root)
        del self._roots[0]

    def density(self) -> list[float]:
        return self._roots


# --- one task of a known kind ------------------------------------------------------------------


def test_the_optimum_hardly_changes_with_the_grid_and_the_known_case_is_met() -> None:
    assert optimum(IMAGE, 0.1) == pytest.approx(1.42, abs=0.005)  # 7.3 looks and 0.69 s of lag
    assert optimum(IMAGE, 0.5) == pytest.approx(3.28, abs=0.005)  # 3.5 looks and 1.53 s of lag
    assert optimum(VIDEO, 0.5) / optimum(IMAGE, 0.5 / 7.5) == pytest.approx(7.5, rel=1e-3)


@every_kind
@every_k
def test_the_square_root_of_the_true_hazard_costs_at_most_three_hundredths_more(
    kind: str, law: Lognormal, k: float
) -> None:
    assert 0.999 < excess(unbounded(k), Known(law), law, k) <= 1.03


@every_kind
def test_the_optimum_for_cheap_looks_is_what_the_theory_says(kind: str, law: Lognormal) -> None:
    # sqrt(2k) ∫ sqrt(f S), the limit for many looks
    step, places = law.median / 200, range(2400)
    survivors = [law.surviving(place * step) for place in range(2401)]
    integral = sum(
        math.sqrt(max(survivors[at] - survivors[at + 1], 0.0) * survivors[at] * step)
        for at in places
    )
    assert optimum(law, 0.1) == pytest.approx(math.sqrt(2 * 0.1) * integral, rel=0.01)


@every_k
def test_a_jitter_of_a_tenth_costs_at_most_three_hundredths(k: float) -> None:
    rng = Random(1)
    jittered = fmean(
        expected_cost(unbounded(k, rng.uniform), Known(IMAGE), IMAGE, k) for _ in range(40)
    )
    assert jittered <= 1.03 * expected_cost(unbounded(k), Known(IMAGE), IMAGE, k)


def test_looks_gather_where_tasks_end() -> None:
    model, schedule = Known(IMAGE), unbounded(0.1)
    assert schedule.next_delay(0.0, model) > 3.5
    assert schedule.next_delay(12.0, model) < 1.6


# --- learning ----------------------------------------------------------------------------------


@every_kind
@every_k
@pytest.mark.parametrize(
    ("finished", "seeds", "at_most"), [(0, 1, 1.25), (10, 12, 1.15), (50, 12, 1.05), (200, 6, 1.04)]
)
def test_the_more_tasks_have_ended_the_closer_to_the_optimum(
    kind: str, law: Lognormal, k: float, finished: int, seeds: int, at_most: float
) -> None:
    # Averages over seeds; one seed after 50 tasks is within 0.03 of them, after 10 within 0.12.
    costs = []
    for seed in range(seeds):
        rng = Random(seed)
        model = taught(kind, law, finished, k, rng)
        costs.append(excess(unbounded(k, rng.uniform), model, law, k))
    assert fmean(costs) <= at_most
    assert max(costs) <= at_most + (0.12 if finished == 10 else 0.03)


@every_kind
@every_k
@pytest.mark.parametrize("finished", [50, 200])
def test_of_ends_between_two_looks_as_much_is_learned_but_for_a_hundredth(
    kind: str, law: Lognormal, k: float, finished: int
) -> None:
    costs = []
    for seed in range(12):
        rng = Random(seed)
        model = taught(kind, law, finished, k, rng, not_named)
        costs.append(excess(unbounded(k, rng.uniform), model, law, k))
    assert fmean(costs) <= 1.05


def cost_of_a_burst(
    kind: str, law: Lognormal, k: float, seed: int, teach: Teach = named, *, at_risk: bool = True
) -> float:
    """What a task costs of 200 that start at once, with nothing known, over the optimum."""
    rng = Random(seed)
    schedule, model = unbounded(k, rng.uniform), DurationModel(kind)
    durations = [law.draw(rng) for _ in range(200)]
    due = [(schedule.next_delay(0.0, model), number, 0.0) for number in range(200)]
    heapq.heapify(due)
    cost = 0.0
    while due:
        now, number, running_at = heapq.heappop(due)
        cost += k
        if now >= durations[number]:
            cost += now - durations[number]
            teach(model, running_at if at_risk else 0.0, durations[number], now)
        else:
            if at_risk:
                model.survived(running_at, now)
            heapq.heappush(due, (now + schedule.next_delay(now, model), number, now))
    return cost / 200 / optimum(law, k)


@every_kind
@every_k
@pytest.mark.parametrize(("teach", "one_burst"), [(named, 1.20), (not_named, 1.25)])
def test_a_burst_learns_from_its_own_first_tasks(
    kind: str, law: Lognormal, k: float, teach: Teach, one_burst: float
) -> None:
    # Averages over twelve bursts, known to about 0.01.
    costs = [cost_of_a_burst(kind, law, k, seed, teach) for seed in range(12)]
    assert fmean(costs) <= 1.12
    assert max(costs) <= one_burst


@every_kind
@pytest.mark.parametrize("k", [0.1, 0.5])
def test_learning_from_ended_tasks_alone_would_mistake_the_quick_ones_of_a_burst_for_all(
    kind: str, law: Lognormal, k: float
) -> None:
    for seed in range(3):
        fair = cost_of_a_burst(kind, law, k, seed)
        assert cost_of_a_burst(kind, law, k, seed, at_risk=False) > fair + 0.1


# k = 2 is left out where one look is worth more than the whole task: little can be learned there.
@pytest.mark.parametrize(
    ("kind", "median", "k"),
    [
        (kind, median, k)
        for kind, median in [("image", 1.2), ("image", 120), ("video", 9), ("video", 900)]
        for k in KS
        if k < median
    ],
)
@pytest.mark.parametrize(("teach", "at_most"), [(named, 1.10), (not_named, 1.12)])
def test_a_prior_that_is_wrong_by_a_factor_of_ten_is_overcome_by_fifty_tasks(
    kind: str, median: float, k: float, teach: Teach, at_most: float
) -> None:
    law = Lognormal(median)
    costs = []
    for seed in range(6):
        rng = Random(seed)
        model = taught(kind, law, 50, k, rng, teach)
        costs.append(excess(unbounded(k, rng.uniform), model, law, k))
    assert fmean(costs) <= at_most


@pytest.mark.parametrize("factor", [2.0, 0.5])
@pytest.mark.parametrize("seen", [300, 30_000])
@every_k
@whether_ends_are_named_or_not
def test_durations_that_double_or_halve_are_noticed_within_three_hundred_tasks(
    k: float, seen: int, factor: float, teach: Teach
) -> None:
    law, rng, model = Lognormal(12 * factor), Random(2), DurationModel("image")
    for _ in range(seen):
        model.ended(0.0, IMAGE.draw(rng))
    schedule = unbounded(k, rng.uniform)
    model.density()
    assert excess(schedule, model, law, k) > 1.15
    for _ in range(300):
        follow(schedule, model, law.draw(rng), teach)
    assert excess(schedule, model, law, k) <= 1.10


# --- durations of every sort -------------------------------------------------------------------

INTERVALS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Fixed intervals that somebody might choose; we are held against the best with hindsight."""


def lognormal(rng: Random) -> Iterator[float]:
    while True:
        yield IMAGE.draw(rng)


def bimodal(rng: Random) -> Iterator[float]:
    while True:
        yield Lognormal(4, 0.3).draw(rng) if rng.random() < 0.6 else Lognormal(60, 0.3).draw(rng)


def drifting(rng: Random) -> Iterator[float]:
    for number in range(300):
        yield Lognormal(5 * 8 ** (number / 300), 0.4).draw(rng)


def heavy_tailed(rng: Random) -> Iterator[float]:
    while True:
        yield 3 * rng.paretovariate(1.2)


def constant(duration: float) -> Callable[[Random], Iterator[float]]:
    def durations(rng: Random) -> Iterator[float]:
        while True:
            yield duration

    return durations


SORTS = {
    "lognormal": lognormal,
    "bimodal": bimodal,
    "drifting": drifting,
    "heavy-tailed": heavy_tailed,
    **{f"constant {duration:g} s": constant(duration) for duration in (1, 3, 7, 11, 33)},
}


def cost_of_three_hundred(
    schedule: Schedule, kind: str, durations: list[float], k: float, teach: Teach = named
) -> float:
    model, cost = DurationModel(kind), 0.0
    for duration in durations:
        looks, lag = follow(schedule, model, duration, teach)
        cost += k * looks + lag
    return cost


def best_fixed_interval(durations: list[float], k: float, rng: Random) -> float:
    return min(
        cost_of_three_hundred(FixedSchedule(each, uniform=rng.uniform), "image", durations, k)
        for each in INTERVALS
    )


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("kind", ["image", "video"])
@every_k
@whether_ends_are_named_or_not
def test_whatever_the_durations_it_costs_at_most_twice_a_sane_fixed_interval(
    k: float, kind: str, sort: str, teach: Teach
) -> None:
    rng = Random(4)
    source = SORTS[sort](rng)
    durations = [next(source) for _ in range(300)]
    schedule = Schedule(lag_weight=k, uniform=rng.uniform)
    ours = cost_of_three_hundred(schedule, kind, durations, k, teach)
    assert ours <= 2 * best_fixed_interval(durations, k, rng)


AIMS: dict[str, Callable[[Random], float]] = {
    "aimed at 0.6 s": lambda rng: 0.6,
    "aimed at 3 s": lambda rng: 3.0,
    "aimed at 30 s": lambda rng: 30.0,
    "aimed anywhere": lambda rng: rng.uniform(1, 60),
    "aimed as images": IMAGE.draw,
}


@pytest.mark.parametrize("aim", AIMS)
@pytest.mark.parametrize("kind", ["image", "video"])
@every_k
# Of an end that is not named, the first look at a much shorter task says only that it was too late.
@pytest.mark.parametrize(("teach", "at_most"), [(named, 2.0), (not_named, 2.5)])
def test_an_adversary_who_ends_each_task_just_after_a_look_makes_it_cost_about_twice_at_most(
    k: float, kind: str, aim: str, teach: Teach, at_most: float
) -> None:
    rng = Random(5)
    schedule, model = Schedule(lag_weight=k, uniform=rng.uniform), DurationModel(kind)
    cost, durations = 0.0, []
    for _ in range(300):
        target, age = AIMS[aim](rng), 0.0
        while age + (pause := schedule.next_delay(age, model)) <= target:
            model.survived(age, age + pause)
            age += pause
            cost += k
        teach(model, age, age + 0.001, age + pause)
        cost += k + pause - 0.001
        durations.append(age + 0.001)
    assert cost <= at_most * best_fixed_interval(durations, k, rng)


# --- callbacks ---------------------------------------------------------------------------------


def with_callbacks(
    law: Lognormal, k: float, *, share: float, assumed: float
) -> tuple[float, float]:
    """Looks and cost of a task when a share of the ends is told by a callback."""
    schedule, model = unbounded(k), Known(law)
    looks = lag = age = 0.0
    while (surviving := law.surviving(age)) > 1e-6:
        pause = schedule.next_delay(age, model, callback_share=assumed)
        found = surviving - law.surviving(age + pause)
        looks += law.surviving(age + pause) + (1 - share) * found
        lag += surviving * pause - (law.running(age + pause) - law.running(age))
        age += pause
    return looks, k * looks + (1 - share) * lag


@every_kind
@pytest.mark.parametrize("k", [0.1, 0.5])
def test_callbacks_for_nineteen_of_twenty_leave_less_than_a_quarter_of_the_looks(
    kind: str, law: Lognormal, k: float
) -> None:
    looks, cost = with_callbacks(law, k, share=0.95, assumed=0.95)
    alone, cost_alone = with_callbacks(law, k, share=0.0, assumed=0.0)
    assert looks < alone / 4
    assert cost < cost_alone / 4


@every_kind
@every_k
@pytest.mark.parametrize(("share", "assumed"), [(0.0, 0.95), (0.95, 0.0)])
def test_a_share_of_callbacks_that_is_wrong_costs_at_most_three_times(
    kind: str, law: Lognormal, k: float, share: float, assumed: float
) -> None:
    # In theory (c + 1/c) / 2 = 2.35 times, with c = sqrt(0.05), if looks are many.
    _, right = with_callbacks(law, k, share=share, assumed=share)
    _, wrong = with_callbacks(law, k, share=share, assumed=assumed)
    assert right < wrong <= 3 * right


def test_a_share_of_one_still_looks_now_and_then() -> None:
    pause = Schedule(uniform=middle).next_delay(10.0, Known(IMAGE), callback_share=1.0)
    assert pause == pytest.approx(60.0)


# --- many tasks under one budget ---------------------------------------------------------------


@frozen
class Job:
    kind: str
    start: float
    duration: float


def jobs(count: int, *, a_second: float, videos: float, seed: int) -> list[Job]:
    """Tasks created at random moments, or all at once (`a_second` is infinite)."""
    rng, now, result = Random(seed), 0.0, []
    for _ in range(count):
        now += rng.expovariate(1.0) / a_second
        kind, law = KINDS[rng.random() < videos]
        result.append(Job(kind, now, law.draw(rng)))
    return result


def lags_under_a_price(jobs: list[Job], rate: float, seed: int) -> list[float]:
    """As the poller does it: each row has its due time and wants a density of looks."""
    rng = Random(seed)
    models = {kind: DurationModel(kind) for kind, _ in KINDS}
    for kind, law in KINDS:
        for _ in range(100):
            models[kind].ended(0.0, law.draw(rng))
    schedule = Schedule(lag_weight=0.05, min_interval=0.1, uniform=rng.uniform)
    budget = PollBudget(rate)
    wanted = [0.0] * len(jobs)
    running_at = [0.0] * len(jobs)
    due: list[tuple[float, int]] = []
    lags: list[float] = []

    def plan(number: int, now: float) -> None:
        job, price = jobs[number], budget.price
        pause = schedule.next_delay(now - job.start, models[job.kind], price=price)
        budget.want(price / pause - wanted[number])
        wanted[number] = price / pause
        heapq.heappush(due, (now + pause, number))

    now, arrived = 0.0, 0
    while due or arrived < len(jobs):
        leaves = max(due[0][0], now + budget.delay(now)) if due else math.inf
        if arrived < len(jobs) and jobs[arrived].start <= leaves:
            now = jobs[arrived].start
            plan(arrived, now)
            arrived += 1
            continue
        now, number = leaves, heapq.heappop(due)[1]
        budget.spend(now)
        job, age = jobs[number], now - jobs[number].start
        if age >= job.duration:
            lags.append(age - job.duration)
            budget.want(-wanted[number])
            models[job.kind].ended(running_at[number], job.duration)
        else:
            models[job.kind].survived(running_at[number], age)
            running_at[number] = age
            plan(number, now)
    assert budget.price == 1.0
    return lags


def lags_round_robin(jobs: list[Job], rate: float) -> list[float]:
    """Every task in turn, as often as the budget allows."""
    lags: list[float] = []
    turn: deque[Job] = deque()
    now, arrived = 0.0, 0
    while turn or arrived < len(jobs):
        while arrived < len(jobs) and jobs[arrived].start <= now:
            turn.append(jobs[arrived])
            arrived += 1
        if not turn:
            now = jobs[arrived].start
            continue
        job = turn.popleft()
        if now >= job.start + job.duration:
            lags.append(now - job.start - job.duration)
        else:
            turn.append(job)
        now += 1 / rate
    return lags


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * len(values))]


@pytest.mark.parametrize(
    ("a_second", "videos", "rate"),
    [(20, 0.0, 40), (20, 0.0, 80), (10, 0.3, 20), (10, 0.3, 40), (20, 0.1, 40)],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_price_finds_tasks_sooner_than_round_robin_and_starves_nobody(
    a_second: float, videos: float, rate: float, seed: int
) -> None:
    tasks = jobs(1500, a_second=a_second, videos=videos, seed=seed)
    ours, theirs = lags_under_a_price(tasks, rate, seed), lags_round_robin(tasks, rate)
    assert len(ours) == len(theirs) == 1500
    assert fmean(ours) <= 0.95 * fmean(theirs)
    assert percentile(ours, 0.95) <= 1.1 * percentile(theirs, 0.95)
    assert max(ours) <= 3 * max(theirs)


def test_a_burst_that_binds_the_budget_is_found_as_soon_as_in_round_robin() -> None:
    # Averages over four bursts: a single one is within 0.05 of them.
    ours, theirs = [], []
    for seed in range(4):
        tasks = jobs(1000, a_second=math.inf, videos=0.0, seed=seed)
        ours += lags_under_a_price(tasks, 50, seed)
        theirs += lags_round_robin(tasks, 50)
    assert fmean(ours) <= 1.05 * fmean(theirs)
    assert percentile(ours, 0.95) <= 1.05 * percentile(theirs, 0.95)
    assert max(ours) <= 1.5 * max(theirs)
