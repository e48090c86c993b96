"""Draw tests/bench/plots/<name>.svg from tests/bench/results/<name>.json, one picture per benchmark.

    make .venv-plot/done && .venv-plot/bin/python -m tests.bench.plot

The background is transparent and every colour has a middle brightness, so that the pictures can be read on light and on
dark pages. A bar is a median, and the line on it shows the quartiles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot  # after the choice of what draws

HERE = Path(__file__).resolve().parent
# At least 4:1 against white and against #0d1117.
INK = "#737b84"
OURS = "#2f81f7"
OTHERS = ("#8b949e", "#d4822a", "#3d9a50", "#a371f7", "#db61a2", "#1b9e9e")
STYLE = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    "font.family": "sans-serif",
    # Text stays text, in the page's own font. The ids do not change from run to run.
    "svg.fonttype": "none",
    "svg.hashsalt": "robot-brain",
}
_IS_OURS = re.compile(r"^(ours|robot.?brain|large|handlers|(write|read|stats|health)( asleep)?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Bar:
    """One bar: a median, and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, spread: Mapping[str, float]) -> Bar:
        """Return the bar of a spread from the RESULT line."""
        return cls(spread["median"], spread["low"], spread["high"])


# Rows from top to bottom, each with its contenders.
Rows = dict[str, dict[str, Bar]]


@dataclass(frozen=True)
class Panel:
    """One set of axes."""

    title: str
    unit: str
    rows: Rows


def panels(result: Mapping[str, Any]) -> list[Panel]:
    """Return what to draw of a result: milliseconds, also at 1 ms of round trip if measured, and throughput."""
    drawn = []
    for key, title in (("milliseconds_1ms", "1 ms of round trip"), ("milliseconds", "the same machine")):
        if key in result:
            drawn.append(Panel(title if "milliseconds_1ms" in result else "", "milliseconds", _rows(result[key])))
    if "load" in result:
        rows = _rows({name: taken["per_second"] for name, taken in result["load"].items()})
        drawn.append(Panel("32 at a time through a pool of 20", "requests a second", rows))
    return drawn


def _rows(measured: Mapping[str, Any]) -> Rows:
    rows: Rows = {}
    for name, taken in measured.items():
        if "median" in taken:
            # A name such as `read old large` is a row and a contender. Other names are rows of one bar.
            row, _, contender = name.rpartition(" ")
            if contender not in ("small", "large", "handlers", "pgbench"):
                row, contender = name, name
            rows.setdefault(row, {})[contender] = Bar.of(taken)
        else:
            rows[name] = {contender: Bar.of(spread) for contender, spread in taken.items()}
    return rows


def draw(result: Mapping[str, Any], target: Path) -> None:
    """Write the picture of a result."""
    drawn = panels(result)
    heights = [1.0 + 0.26 * sum(len(bars) + 0.8 for bars in panel.rows.values()) for panel in drawn]
    figure, axes = pyplot.subplots(
        len(drawn), 1, figsize=(8.6, sum(heights) + 0.5), squeeze=False, height_ratios=heights, layout="constrained"
    )
    for panel, (axis,) in zip(drawn, axes, strict=True):
        _draw_panel(panel, axis)
    machine = result.get("machine", {})
    facts = [str(machine[name]) for name in ("cpu", "date") if name in machine]
    facts[1:1] = [f"{machine.get('cores')} cores", f"PostgreSQL {machine.get('postgresql')}"]
    figure.supxlabel(", ".join([*facts, f"Python {machine.get('python')}"]), fontsize=8)
    figure.savefig(target, transparent=True, metadata={"Date": None})
    pyplot.close(figure)


def _draw_panel(panel: Panel, axis: Any) -> None:
    contenders = list(dict.fromkeys(name for bars in panel.rows.values() for name in bars))
    others = [name for name in contenders if not _IS_OURS.match(name)]
    single = all(len(bars) == 1 for bars in panel.rows.values())
    colours = dict.fromkeys(contenders, OURS) | {
        name: OTHERS[0 if single else number % len(OTHERS)] for number, name in enumerate(others)
    }
    medians = [bar.median for bars in panel.rows.values() for bar in bars.values()]
    wide = max(medians) / max(min(medians), 1e-9) > 30
    if wide:
        axis.set_xscale("log")
    place, middles, labelled = 0.0, [], set()
    for bars in panel.rows.values():
        first = place
        for name, bar in bars.items():
            label = name if name not in labelled and not single else None
            labelled.add(name)
            axis.barh(place, bar.median, height=0.85, color=colours[name], label=label)
            axis.plot([bar.low, bar.high], [place, place], color=INK, linewidth=1.4, solid_capstyle="butt")
            axis.annotate(
                f"{bar.median:.3g}" if bar.median < 1000 else f"{bar.median:.0f}",
                (max(bar.median, bar.high), place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
            place += 1
        middles.append((first + place - 1) / 2)
        place += 0.8
    axis.set_yticks(middles, list(panel.rows))
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(panel.unit + (", logarithmic" if wide else ""))
    axis.set_title(panel.title, fontsize=10, loc="left")
    if not single:
        axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def main() -> None:
    """Draw every result."""
    (HERE / "plots").mkdir(exist_ok=True)
    with mpl.rc_context(STYLE):
        for source in sorted((HERE / "results").glob("*.json")):
            target = HERE / "plots" / f"{source.stem}.svg"
            draw(json.loads(source.read_text()), target)
            print(target.relative_to(HERE.parent.parent))


if __name__ == "__main__":
    main()
