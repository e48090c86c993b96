"""What a run came to: the figures, the verdict, and the line RESULT."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.measure import table
from tests.soak.check import Findings
from tests.soak.client import FUNCTION_SECONDS, MARGIN_SECONDS
from tests.soak.environments import KILLED
from tests.soak.journal import Answer, Journals, lines
from tests.soak.watch import is_success

LONGEST_SILENCE_SECONDS = 15.0
# From here on every kind of fault has its turn, and this many turns a second must be acknowledged.
WHOLE_SECONDS = 120.0
TURNS_PER_SECOND = 5000 / 120
TIMED_OUT = "Sandbox.Timedout"


@dataclass(frozen=True)
class Fault:
    """A fault that was injected, from and to when."""

    name: str
    began: float
    ended: float


@dataclass(frozen=True)
class Silence:
    """How long a client was not served after a fault had ended."""

    seconds: float
    client: str
    fault: str


def read_faults(timeline: Path) -> list[Fault]:
    """Return the faults of a timeline in their order."""
    return [Fault(line["name"], line["began"], line["ended"]) for line in lines(timeline)]


def silences(answers: Iterable[Answer], faults: Sequence[Fault], clients: Iterable[str], end: float) -> list[Silence]:
    """Return each client's silence after each fault: until it was served, or the next fault or the run's `end` came."""
    served: dict[str, list[float]] = {client: [] for client in clients}
    for answer in answers:
        if is_success(answer.kind, answer.status):
            served[answer.client].append(answer.at)
    found = []
    for client, times in served.items():
        times.sort()
        place = 0
        for fault, next_begins in zip(faults, [*(each.began for each in faults[1:]), end], strict=True):
            while place < len(times) and times[place] <= fault.ended:
                place += 1
            until = min(times[place] if place < len(times) else end, next_begins)
            found.append(Silence(max(0.0, until - fault.ended), client, fault.name))
    return found


@dataclass(frozen=True)
class Run:
    """All that is known of a run, after its end."""

    seed: str
    seconds: float  # asked for
    kinds: Sequence[str]  # of faults that could be injected
    clients: Sequence[str]
    journals: Journals
    findings: Findings
    faults: Sequence[Fault]
    ended: float
    errors: Mapping[str, int]  # of the execution environments, by Lambda's name
    disturbed: Mapping[str, int]
    folder: Path  # of journals and logs


def result(run: Run) -> dict[str, Any]:
    """Return what the line RESULT says."""
    answers = run.journals.answers
    silent = max(silences(answers, run.faults, run.clients, run.ended), key=lambda each: each.seconds, default=None)
    statuses = Counter(answer.status for answer in answers)
    kills = sum(count for what, count in run.disturbed.items() if what.startswith("kill"))
    crashes = max(0, run.errors.get(KILLED, 0) - kills)
    raised = sum(count for error, count in run.errors.items() if error not in (KILLED, TIMED_OUT))
    injected = Counter(fault.name for fault in run.faults)
    slow = [answer for answer in answers if answer.seconds > FUNCTION_SECONDS + MARGIN_SECONDS]
    return {
        "lost": len(run.findings.lost),
        "doubled": len(run.findings.doubled),
        "gaps": len(run.findings.gaps),
        "half_batches": len(run.findings.half_batches),
        # Told by the client, by Lambda's timeout, or by nothing at all in the journal.
        "hangs": max(len(slow), statuses["no answer"]) + run.errors.get(TIMED_OUT, 0) + len(run.journals.unanswered),
        # Our functions' own, those that the gateway gives for what they raised, and processes nobody killed.
        "unexpected_500": statuses["500 problem"] + raised + crashes,
        "strangers": len(run.findings.strangers),
        "misread": len(run.journals.misread),
        "acknowledged": run.journals.acknowledged,
        "faults": len(run.faults),
        "longest_silence_s": round(silent.seconds, 2) if silent else 0.0,
        "longest_silence_after": silent and silent.fault,
        "longest_answer_s": round(max((answer.seconds for answer in answers), default=0.0), 2),
        "kinds": f"{len(injected)} of {len(run.kinds)}",
        "kinds_missing": sorted(set(run.kinds) - set(injected)),
        "seed": run.seed,
        "seconds": run.seconds,
        "requests": len(answers),
        "by_status": dict(sorted(statuses.items())),
        "environments": dict(sorted(run.disturbed.items())),
    }


def failures(figures: Mapping[str, Any]) -> list[str]:
    """Return what of a result must not be, each as a line; empty where all is well."""
    zeros = ("lost", "doubled", "gaps", "half_batches", "hangs", "unexpected_500", "strangers", "misread")
    found = [f"{name} is {figures[name]}, must be 0" for name in zeros if figures[name]]
    if figures["longest_silence_s"] > LONGEST_SILENCE_SECONDS:
        silence = f"{figures['longest_silence_s']} s after {figures['longest_silence_after']}"
        found.append(f"a client was silent for {silence}, must be at most {LONGEST_SILENCE_SECONDS:.0f} s")
    least = round(figures["seconds"] * TURNS_PER_SECOND)
    if figures["seconds"] >= WHOLE_SECONDS:
        if figures["kinds_missing"]:
            found.append(f"not injected: {', '.join(figures['kinds_missing'])}")
        if figures["acknowledged"] < least:
            found.append(f"{figures['acknowledged']} turns were acknowledged, must be {least} at least")
    elif not figures["acknowledged"] or not figures["faults"]:
        found.append("nothing was acknowledged, or no fault injected")
    return found


def show(run: Run, figures: Mapping[str, Any]) -> None:
    """Print the tables, the violations and the line RESULT."""
    silent = silences(run.journals.answers, run.faults, run.clients, run.ended)
    rows = []
    for name in run.kinds:
        of_it = [each.seconds for each in silent if each.fault == name]
        times = sum(1 for fault in run.faults if fault.name == name)
        held = max((fault.ended - fault.began for fault in run.faults if fault.name == name), default=0.0)
        rows.append((name, times, f"{held:.1f}", f"{max(of_it, default=0.0):.1f}"))
    print(table(("fault", "times", "longest, s", "longest silence after it, s"), rows))
    longest = {
        client: max((each.seconds for each in silent if each.client == client), default=0) for client in run.clients
    }
    print("Longest silence of each client, s: " + ", ".join(f"{name} {longest[name]:.1f}" for name in run.clients))
    for line in [*run.findings.all, *run.journals.misread, *run.journals.unanswered][:40]:
        print(line)
    print(f"Environments: {dict(run.disturbed)}, errors {dict(run.errors)}")
    wrong = failures(figures)
    for line in wrong:
        print(f"FAILED: {line}")
    if wrong:
        print(f"Journals and logs: {run.folder}")
    print(f"RESULT {json.dumps(figures)}", flush=True)


def write(figures: Mapping[str, Any], output: Path | None) -> None:
    """Write what the line RESULT says into a file, where one is given."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(figures, indent=2) + "\n")
