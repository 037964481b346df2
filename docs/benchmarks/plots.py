"""
Draws the plots of docs/performance.md from latest.json: `python docs/benchmarks/plots.py`.

The background is transparent and what is drawn is of middle brightness, so that a plot can be
read on a light page and on a dark one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

HERE = Path(__file__).parent
INK = "#7f8790"
OURS = "#1a8fe3"
COLOURS = {
    "liangxin": OURS,
    "httpx": "#e5484d",
    "httpx loop": "#e5484d",
    "httpx2": "#e08600",
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
        ("video", "#e08600", "video, median 90 s"),
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
    for which, marker in ((large, "D"), (data["ends"]["small"], "s")):
        for name, each in which["clients"].items():
            if name != "liangxin":
                books = each["books"]
                axes.plot(
                    books["looks_per_task"],
                    max(books["lag_mean"], 1e-3),
                    marker,
                    color=COLOURS[name],
                    markersize=8 if marker == "D" else 5,
                    alpha=1 if marker == "D" else 0.55,
                    linestyle="none",
                    label=name if marker == "D" else None,
                )
    small = data["ends"]["small"]["count"]
    axes.plot([], [], "s", color=INK, markersize=5, alpha=0.55, label=f"the same at {small:,}")
    _logarithmic(axes, (1, 2, 5, 10, 20, 50, 100), (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.set_size_inches(8.6, 4.6)
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
        ("round robin", "#e5484d", "round robin"),
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
    axes.plot(alone["looks"], alone["lag"], "D", color="#e5484d", markersize=8)
    _label(axes, "polling alone", alone["looks"], alone["lag"], "#e5484d", (-24, -18))
    least = data["least"]
    axes.plot(
        [each["looks"] + 0.95 for each in least],
        [each["lag"] for each in least],
        "--",
        color="#e08600",
    )
    last = least[0]
    words = "the least with 5 % lost: no schedule can go below"
    _label(axes, words, last["looks"] + 0.95, last["lag"], "#e08600", (-170, 18))
    axes.plot([], [], "o-", color=OURS, label="liangxin, by the share of callbacks lost")
    axes.set_xlim(0, 6.4)
    axes.set_ylim(0, 1.15)
    axes.legend(loc="upper left")
    _save(figure, "callbacks")


def _label(
    axes: Axes, words: str, x: float, y: float, colour: str, shift: tuple[float, float]
) -> None:
    axes.annotate(words, (x, y), shift, textcoords="offset points", color=colour, fontsize=9)


NEEDS = {cost: "schedule", weights: "weights", cpu: "rates", budget: "budget"}


def main(path: Path) -> None:
    """Draw what the data of one run allows."""
    data = json.loads(path.read_text(encoding="utf-8"))["data"]
    with mpl.rc_context(STYLE):
        for draw, needed in NEEDS.items():
            if needed in data:
                draw(data)
        callbacks(json.loads((HERE / "callbacks.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "latest.json")
