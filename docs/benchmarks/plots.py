"""
Draws the plots of the documentation from the JSON beside it: `python docs/benchmarks/plots.py`.

The background is transparent and what is drawn is of middle brightness, so that a plot can be
read on a light page and on a dark one.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

HERE = Path(__file__).parent
INK = "#7f8790"
OURS = "#1a8fe3"
ORANGE = "#e08600"
RED = "#e5484d"
COLOURS = {
    "liangxin": OURS,
    "httpx": RED,
    "httpx loop": RED,
    "httpx2": ORANGE,
    "aiohttp": "#30a46c",
    "openai": "#12a594",
    "replicate": "#a368d8",
    "fal-client": "#d6409f",
    "runwayml": "#b0892e",
}
STYLE = {
    "figure.figsize": (7.6, 4.5),
    "figure.constrained_layout.use": True,
    "savefig.transparent": True,
    "savefig.dpi": 160,
    "svg.fonttype": "path",
    "svg.hashsalt": "liangxin",  # the same data, the same bytes
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.22,
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
    "axes.titlecolor": INK,
}
PLAIN = FuncFormatter(lambda value, _: f"{value:,.10g}")


def _new(title: str, x: str, y: str) -> tuple[Any, Axes]:
    figure, axes = plt.subplots()
    axes.set_title(title, pad=12)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _logarithmic(axes: Axes, ticks_x: Iterable[float], ticks_y: Iterable[float]) -> None:
    for axis, ticks in ((axes.xaxis, list(ticks_x)), (axes.yaxis, list(ticks_y))):
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        axis.set_major_formatter(PLAIN)
        axis.set_ticks(ticks)
        axis.set_ticks([], minor=True)


def _save(figure: Any, name: str) -> None:
    figure.savefig(HERE / f"{name}.png")
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def cost(data: dict[str, Any]) -> None:
    """What learning costs, against completions seen."""
    figure, axes = _new(
        "Learning when to look", "completions of the model seen before", "cost over the optimum"
    )
    schedule = data["schedule"]
    for kind, colour, words in (
        ("image", OURS, "image, median 12 s"),
        ("video", ORANGE, "video, median 90 s"),
    ):
        runs = [run for name, run in schedule["seen"].items() if name.startswith(kind)]
        seen = [int(n) for n in runs[0]]
        by_seen = [[run[str(n)] for run in runs] for n in seen]
        middle = [sum(costs) / len(costs) for costs in by_seen]
        axes.fill_between(seen, [*map(min, by_seen)], [*map(max, by_seen)], color=colour, alpha=0.2)
        axes.plot(seen, middle, color=colour, marker="o", label=words)
    fixed = min(schedule["best fixed"].values())
    axes.axhline(fixed, color=INK, linestyle="--", linewidth=1.4)
    axes.text(-0.15, fixed, "best fixed interval, chosen with hindsight", va="bottom")
    axes.axhline(1, color=INK, linewidth=1.4)
    axes.text(-0.15, 1, "exact optimum", va="bottom")
    axes.set_xscale("symlog", linthresh=2)
    axes.set_xticks(seen)
    axes.xaxis.set_major_formatter(PLAIN)
    axes.set_xlim(-0.25, 260)
    axes.set_ylim(0.985, fixed + 0.08)
    axes.minorticks_off()
    axes.legend(loc="upper right")
    _save(figure, "cost")


NEXT_TO: dict[tuple[str, str], tuple[float, float] | None] = {
    ("httpx loop", "D"): (-20, 9),
    ("runwayml", "D"): (-14, 8),
    ("runwayml", "s"): None,  # the same place
    ("replicate", "s"): (5, 4),
}
"""Where a name stands that would be on top of something to the right of its point."""


def weights(data: dict[str, Any]) -> None:
    """Looks and lag by `lag_weight`, and where the peers are."""
    large = data["ends"].get("large") or data["ends"]["small"]
    count = large["count"]
    figure, axes = _new(
        f"Looks and lag, {count:,} image-like tasks at once",
        "looks per task",
        "mean lag, seconds",
    )
    curve = [(float(k), each["looks"], each["lag"]) for k, each in data["weights"].items()]
    curve = [each for each in curve if 1.05 < each[1] < 140]
    axes.plot([each[1] for each in curve], [each[2] for each in curve], color=OURS, zorder=2)
    for k, looks, lag in curve:
        axes.plot(looks, lag, "o", color=OURS, markersize=4)
        axes.annotate(
            f"{k:g}",
            (looks, lag),
            (-5, -5),
            textcoords="offset points",
            ha="right",
            va="top",
            color=OURS,
            fontsize=9,
        )
    axes.plot([], [], color=OURS, marker="o", markersize=4, label="liangxin, by lag_weight")
    small = data["ends"]["small"]
    for which, marker, size, opacity in ((large, "D", 8, 1.0), (small, "s", 5, 0.55)):
        for name, each in which["clients"].items():
            if name == "liangxin":
                continue
            looks = each["books"]["looks_per_task"]
            lag = max(each["books"]["lag_mean"], 1e-3)
            axes.plot(looks, lag, marker, color=COLOURS[name], markersize=size, alpha=opacity)
            at = NEXT_TO.get((name, marker), (8, -3))
            if at is not None:
                _label(axes, name, looks, lag, COLOURS[name], at)
    for which, marker in ((large, "D"), (small, "s")):
        words = f"other packages, {which['count']:,} tasks"
        axes.plot([], [], marker, color=INK, markersize=5, label=words)
    _logarithmic(axes, (1, 2, 5, 10, 20, 50, 100), (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50))
    axes.legend(loc="upper right")
    _save(figure, "weights")


def cpu(data: dict[str, Any]) -> None:
    """CPU per request against tasks in flight."""
    figure, axes = _new(
        "CPU per look, against tasks in flight", "tasks in flight", "CPU per look, µs"
    )
    for name, curve in data["rates"].items():
        at = [int(n) for n in curve]
        each = [curve[str(n)]["cpu_us"] for n in at]
        axes.plot(at, each, color=COLOURS[name], marker="o", label=name)
        axes.annotate(
            name,
            (at[-1], each[-1]),
            (8, 0),
            textcoords="offset points",
            va="center",
            color=COLOURS[name],
        )
    _logarithmic(
        axes, (10, 100, 1_000, 10_000), (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000)
    )
    axes.set_xlim(8, 32_000)
    _save(figure, "cpu")


def budget(data: dict[str, Any]) -> None:
    """Lag under a shared budget, beside round robin."""
    figure, axes = _new(
        "Lag under a shared budget, 10 new tasks a second",
        "budget, looks a second over all tasks",
        "lag, seconds",
    )
    curve = data["budget"]["stream"]
    at = [int(n) for n in curve]
    for whose, colour, words in (
        ("ours", OURS, "liangxin"),
        ("round robin", RED, "round robin"),
    ):
        for key, style, what in (("lag_mean", "-", "mean"), ("lag_p95", "--", "95th percentile")):
            lags = [curve[str(n)][whose][key] for n in at]
            axes.plot(at, lags, style, color=colour, marker="o", label=f"{words}, {what}")
    _logarithmic(axes, at, (0.5, 1, 2, 5, 10, 20))
    axes.legend()
    _save(figure, "budget")


def callbacks(data: dict[str, Any]) -> None:
    """Looks and lag by the share of lost callbacks, and what no schedule can go below."""
    figure, axes = _new(
        "Callbacks, of which a share is lost: image-like tasks",
        "looks a task, with the one that confirms",
        "mean lag, seconds",
    )
    alone, *rows = data["measured"]
    axes.plot([row["looks"] for row in rows], [row["lag"] for row in rows], "o-", color=OURS)
    for row in rows:
        _label(axes, row["lost"], row["looks"], row["lag"], OURS, (-34, 5))
    axes.plot(alone["looks"], alone["lag"], "D", color=RED, markersize=8)
    _label(axes, "polling alone", alone["looks"], alone["lag"], RED, (-24, -18))
    least = data["least"]
    axes.plot(
        [each["looks"] + 0.95 for each in least],
        [each["lag"] for each in least],
        "--",
        color=ORANGE,
    )
    last = least[0]
    words = "the least with 5 % lost: no schedule can go below"
    _label(axes, words, last["looks"] + 0.95, last["lag"], ORANGE, (-170, 18))
    axes.plot([], [], "o-", color=OURS, label="liangxin, by the share of callbacks lost")
    axes.set_xlim(0, 6.4)
    axes.set_ylim(0, 1.15)
    axes.legend(loc="upper left")
    _save(figure, "callbacks")


def looking(data: dict[str, Any]) -> None:
    """When the looks at one task fall, above the durations of such tasks."""
    figure, panels = plt.subplots(2, 1, figsize=(7.6, 6.0))
    for axes, (kind, each), until in zip(panels, data["tasks"].items(), (45, 330), strict=True):
        ages, running = zip(*each["running"], strict=True)
        ends = [before - after for before, after in itertools.pairwise(running)]
        density = [share / max(ends) for share in ends]
        axes.fill_between(ages[1:], density, color=INK, alpha=0.22, linewidth=0)
        for row, (seen, schedule) in enumerate(each["schedules"].items()):
            colour, height = (ORANGE, OURS)[row], 1.62 - 0.34 * row
            looks = [age for age in schedule["ages"] if age < until]
            due = np.interp([0.0, *looks[:-1]], ages, running)  # by then, others have been found
            ticks = {"marker": "|", "s": 90, "linewidths": 2.2, "color": colour}
            axes.scatter(looks, [height] * len(looks), alpha=due, **ticks)
            known = "model not seen before" if seen == "0" else f"{seen} seen before"
            words = f"{known}: {schedule['looks']:.1f} looks, found {schedule['lag']:.1f} s late"
            axes.text(until, height + 0.1, words, color=colour, ha="right", fontsize=9.5)
        axes.set_title(f"When one {kind} task is looked at", pad=8)
        axes.set_xlim(0, until)
        axes.set_ylim(0, 1.95)
        axes.set_yticks([])
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.text(each["median"], 0.12, "when such tasks end", ha="center", fontsize=9.5)
    panels[-1].set_xlabel("seconds after the create")
    _save(figure, "looking")


def trade(data: dict[str, Any]) -> None:
    """Looks against lag: what each kind of schedule can buy."""
    figure, axes = _new(
        "What a schedule can buy: one image-like task, computed",
        "looks a task",
        "mean lag, seconds",
    )
    rows = data["trade"]
    kinds = (
        ("growing", RED, "s", f"backoff by {data['growth']:g}, by its first pause"),
        ("fixed", ORANGE, "D", "fixed interval, by its length"),
        ("ours", OURS, "o", "liangxin, 100 seen before, by lag_weight"),
        ("optimum", INK, "", "exact optimum: no schedule can go below"),
    )
    for name, colour, marker, words in kinds:
        at = [(each["looks"], each["lag"]) for each in rows[name]]
        style = "-" if marker else "--"
        axes.plot(*zip(*at, strict=True), style, color=colour, marker=marker, ms=5, label=words)
    for name, colour, shift in (("fixed", ORANGE, (6, 5)), ("growing", RED, (6, 5))):
        for each in rows[name]:
            if each["pause"] in (1.0, 2.5, 6.0):
                words = f"{each['pause']:g} s"
                _label(axes, words, each["looks"], each["lag"], colour, shift)
    for each in rows["ours"]:
        _label(axes, f"{each['k']:g}", each["looks"], each["lag"], OURS, (-20, -13))
    _logarithmic(axes, (1, 2, 5, 10, 20, 40), (0.2, 0.5, 1, 2, 5, 10, 20))
    axes.set_xlim(1, 40)
    axes.set_ylim(0.2, 32)
    axes.legend(loc="upper right")
    _save(figure, "trade")


def flight(data: dict[str, Any]) -> None:
    """A batch over time, killed and run again."""
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(7.6, 6.4), sharex=True, height_ratios=(3, 2)
    )
    seconds, created, ended, found = (list(each) for each in zip(*data["rows"], strict=True))
    marks, most = data["marks"], data["max_in_flight"]
    running = [made - done for made, done in zip(created, ended, strict=True)]
    under_way = [made - seen for made, seen in zip(created, found, strict=True)]
    above.fill_between(seconds, running, color=OURS, alpha=0.75, linewidth=0, label="running")
    above.fill_between(
        seconds, running, under_way, color=ORANGE, linewidth=0, label="ended, and not yet found"
    )
    above.axhline(most, color=INK, linestyle="--", linewidth=1.4)
    above.text(seconds[-1], most + 8, f"max_in_flight={most}", ha="right", va="bottom")
    above.set_title(f"Tasks in flight: {data['requests']:,} requests, one SIGKILL", pad=12)
    above.set_ylabel("tasks")
    above.set_ylim(0, 1.3 * most)
    above.legend(loc="upper left", ncols=2)
    below.plot(seconds, created, color=INK, label=f"created and charged: {data['charges']:,}")
    words = f"found ended: {found[-1]:,}; in doubt: {data['in_doubt']}"
    below.plot(seconds, found, color=OURS, linestyle="--", label=words)
    below.set_ylabel("tasks so far")
    below.set_ylim(0, 1.08 * data["requests"])
    below.set_xlim(0, seconds[-1])
    below.yaxis.set_major_formatter(PLAIN)
    below.set_xlabel("seconds")
    below.legend(loc="lower right")
    for axes in (above, below):
        axes.axvspan(marks["killed"], marks["resumed"], color=INK, alpha=0.2, linewidth=0)
    middle = (marks["killed"] + marks["resumed"]) / 2
    below.text(
        middle, 0.8 * data["requests"], "killed,\nuntil run again", ha="center", fontsize=9.5
    )
    _save(figure, "flight")


def scale(data: dict[str, Any]) -> None:
    """How long a batch takes, by the quota and the number of machines."""
    figure, axes = _new(
        "Time for a whole batch: computed", "quota, creates a second", "time, hours"
    )
    colours = dict(zip(("1", "4", "16"), (INK, ORANGE, OURS), strict=True))
    for (prompts, by_machines), style in zip(data["hours"].items(), ("-", "--"), strict=True):
        for machines, hours in reversed(by_machines.items()):
            many = f"{machines} machine{'s' * (machines != '1')}"
            words = f"{int(prompts) // 1_000_000} million, {many}"
            axes.plot(data["quotas"], hours, style, color=colours[machines], label=words)
    full = data["network_mb"] / data["result_mb"]
    axes.axvline(full, ymax=0.75, color=RED, linestyle=":", linewidth=1.4)
    axes.text(
        full * 0.9, 0.35, "one machine's network\nis full", color=RED, ha="right", fontsize=9.5
    )
    _logarithmic(axes, (1, 10, 100, 1000, 10000), (1, 24, 168, 720, 8760))
    axes.set_yticks((1, 24, 168, 720, 8760), ("1 hour", "a day", "a week", "a month", "a year"))
    axes.set_ylabel("")
    axes.set_xlim(1, 10_000)
    axes.set_ylim(0.2, 40_000)
    axes.legend(loc="upper right", fontsize=9.5, ncols=2)
    _save(figure, "scale")


def _label(
    axes: Axes, words: str, x: float, y: float, colour: str, shift: tuple[float, float]
) -> None:
    axes.annotate(words, (x, y), shift, textcoords="offset points", color=colour, fontsize=9)


NEEDS = {cost: "schedule", weights: "weights", cpu: "rates", budget: "budget"}
OTHERS = {
    "callbacks": (callbacks,),
    "looking": (looking, trade),
    "flight": (flight,),
    "scale": (scale,),
}
"""Plots of files that are measured apart."""


def main(path: Path) -> None:
    """Draw what the data of one run allows."""
    data = json.loads(path.read_text(encoding="utf-8"))["data"]
    with mpl.rc_context(STYLE):
        for draw, needed in NEEDS.items():
            if needed in data:
                draw(data)
        for name, draw_all in OTHERS.items():
            measured = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
            for draw in draw_all:
                draw(measured)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "latest.json")
