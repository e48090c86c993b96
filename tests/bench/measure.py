"""Samples and their report: medians and spreads, a table, the RESULT line, and the machine.

Contenders are measured in turn (A B A B …), so that other work of the machine affects all of them. A ratio is the
median of the ratios within each round, and its spread is the middle half of those.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Spread:
    """The median of samples, the quartiles around it, the smallest and the largest, and how many there were."""

    median: float
    low: float
    high: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """Return the spread of at least one sample."""
        ordered = sorted(samples)
        low, median, high = statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
        return cls(median, low, high, ordered[0], ordered[-1], len(ordered))

    def json(self, digits: int = 3) -> dict[str, float | int]:
        """Return the spread as an object for the RESULT line."""
        names = ("median", "low", "high", "least", "most")
        return {name: round(getattr(self, name), digits) for name in names} | {"count": self.count}


@dataclass
class Samples:
    """The samples of each contender, one number per round, in the order of the rounds."""

    by_name: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Add the contender's sample of the current round."""
        self.by_name.setdefault(name, []).append(value)

    def spread(self, name: str) -> Spread:
        """Return the spread of a contender's samples."""
        return Spread.of(self.by_name[name])

    def ratio(self, name: str, base: str) -> Spread:
        """Return the spread of the ratios of two contenders, each taken within one round."""
        pairs = zip(self.by_name[name], self.by_name[base], strict=True)
        return Spread.of([one / other for one, other in pairs])


def alternate(
    contenders: Mapping[str, Callable[[], float]], rounds: int, warmups: int = 1, title: str = "", unit: str = "ms"
) -> Samples:
    """Run the contenders in turn, `rounds` times after `warmups` that do not count. Return what each returned.

    Every other round goes backwards, so that no contender always runs after the same other one.
    """
    samples = Samples()
    names = list(contenders)
    progress = Progress((warmups + rounds) * len(names), title)
    for number in range(warmups + rounds):
        for name in names if number % 2 == 0 else reversed(names):
            value = contenders[name]()
            progress.step(f"{name} {value:.1f} {unit}")
            if number >= warmups:
                samples.add(name, value)
    progress.end()
    return samples


class Progress:
    """Progress on stderr: a bar that changes on a terminal, or elsewhere a line every ten seconds."""

    def __init__(self, total: int, title: str = "") -> None:
        self._total = total
        self._title = title
        self._done = 0
        self._started = time.monotonic()
        self._shown_at = self._started
        self._is_terminal = sys.stderr.isatty()

    def step(self, text: str = "", number: int = 1) -> None:
        """Note that `number` more of the total are done. `text` describes the last of them."""
        self._done += number
        now = time.monotonic()
        if now - self._shown_at < (0.1 if self._is_terminal else 10):
            return
        self._shown_at = now
        left = (now - self._started) / self._done * (self._total - self._done)
        share = self._done / self._total
        bar = "#" * round(share * 30)
        line = f"{self._title} [{bar:30}] {share:4.0%}, {left:.0f} s left: {text}".strip()
        print(f"\r\033[K{line}" if self._is_terminal else line, end="" if self._is_terminal else "\n", file=sys.stderr)
        sys.stderr.flush()

    def end(self) -> None:
        """Remove the bar from the terminal."""
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as a Markdown table. The first column is text, the others are aligned to the right."""
    cells = [[str(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(headings))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(row: Sequence[str]) -> str:
        first, *others = zip(row, widths, strict=True)
        return f"| {' | '.join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])} |"

    return "\n".join(line(row) for row in (cells[0], rule, *cells[1:]))


def target(value: float, most: float) -> str:
    """Return whether `value` meets its target, which is at most `most`."""
    return f"<= {most:g}: {'met' if value <= most else 'MISSED'}"


def machine(**versions: str) -> dict[str, Any]:
    """Return what a result depends on. `versions` are those of servers, such as postgresql="18.1"."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **versions,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def report(name: str, ratios: Mapping[str, object], output: Path | None, **facts: object) -> None:
    """Print the line `RESULT {…}` of a benchmark, and write the same JSON into `output` if it is given.

    The names of `ratios` are documented. `facts` are the runs, the machine, and the samples behind the ratios.
    """
    result = {"bench": name, **ratios, **facts}
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=2) + "\n")
    print(f"RESULT {json.dumps(result)}", flush=True)


def arguments(description: str, rounds: int) -> argparse.ArgumentParser:
    """Return a parser of the options of every benchmark: --rounds (or ROUNDS) and --output (or OUTPUT)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--rounds", type=int, default=int(os.environ.get("ROUNDS") or rounds), help="default: %(default)s"
    )
    written = os.environ.get("OUTPUT")
    parser.add_argument(
        "--output", type=Path, default=Path(written) if written else None, help="also write the JSON here"
    )
    return parser
