"""The report of a run: the figures, the verdict, and the line RESULT."""

import bisect
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.measure import table
from tests.soak.asking import FUNCTION_SECONDS
from tests.soak.check import Findings
from tests.soak.check_audit import Chain
from tests.soak.environments import KILLED
from tests.soak.journals import Journals
from tests.soak.records import DONE
from tests.soak.schedule import WHOLE_SECONDS
from tests.soak.silences import Fault, silences
from tests.soak.unexpected import unexpected
from tests.support.figures import Compared

LONGEST_SILENCE_SECONDS = 15.0
# A shorter run is one of many tests, and the machine may be busy. Only a client that is never served again fails it.
SHORT_RUNS_LONGEST_SILENCE_SECONDS = 45.0
# A whole run must acknowledge this many turns per second.
TURNS_PER_SECOND = 5000 / 120
# The function answers before Lambda's timeout. A busy machine needs a second and a half more.
HANG_SECONDS = FUNCTION_SECONDS + 1.5
TIMED_OUT = "Sandbox.Timedout"
# These members of a result must be 0.
ZEROS = (
    "lost",
    "doubled",
    "gaps",
    "half_batches",
    "out_of_time",
    "figures_wrong",
    "hangs",
    "unexpected_500",
    "strangers",
    "misread",
    "lost_edits",
    "undead",
    "audit",
)


@dataclass(frozen=True)
class Run:
    """Everything about a run, after its end."""

    seed: str
    seconds: float  # the duration that was asked for
    kinds: Sequence[str]  # of faults that could be injected
    clients: Sequence[str]
    journals: Journals
    findings: Findings
    figures: Compared  # of GET /stats, compared with the rows
    audit: Chain
    faults: Sequence[Fault]
    ended: float
    errors: Mapping[str, int]  # of the execution environments, by Lambda's name
    disturbed: Mapping[str, int]
    folder: Path  # of journals and logs


def result(run: Run) -> dict[str, Any]:
    """Return the content of the line RESULT."""
    answers = run.journals.answers
    silent = max(silences(answers, run.faults, run.clients, run.ended), key=lambda each: each.seconds, default=None)
    statuses = Counter(answer.status for answer in answers)
    kills = sum(count for what, count in run.disturbed.items() if what.startswith("kill"))
    crashes = max(0, run.errors.get(KILLED, 0) - kills)
    raised = sum(count for error, count in run.errors.items() if error not in (KILLED, TIMED_OUT))
    injected = Counter(fault.name for fault in run.faults)
    large = [act for act in run.journals.acts if act.kind == "erase" and act.session.endswith("-large")]
    acts = [*run.journals.acts, *run.journals.user_acts]
    slow = [answer for answer in answers if answer.seconds > HANG_SECONDS]
    return {
        **{kind: len(found) for kind, found in run.findings.by_kind.items()},
        "figures_wrong": len(run.figures.wrong),
        # Noticed by the client, by Lambda's timeout (perhaps the same requests), or by a missing answer in a journal.
        "hangs": max(len(slow), run.errors.get(TIMED_OUT, 0)) + len(run.journals.unanswered),
        # The functions' own, the gateway's for errors that a function raised, and processes that ended without a kill.
        "unexpected_500": statuses["500 problem"] + raised + crashes,
        "audit": len(run.findings.audit) + len(run.audit.broken),
        "audit_entries": run.audit.entries,
        # Calls that chained entries, each of a refresh.
        "audit_chainings": run.audit.chainings,
        "misread": len(run.findings.misread) + len(run.journals.misread),
        # What the check knew of the texts at the end.
        "judged": dict(sorted(run.findings.judged.items())),
        "changes": dict(sorted(Counter(act.kind for act in acts if act.outcome == DONE).items())),
        "large_erasures": len(large),
        "user_erasures": sum(act.kind == "erase_user" for act in acts),
        "exports": len(run.journals.exports),
        "searches": len(run.journals.searches),
        "largest_export": max((len(export.turns) for export in run.journals.exports), default=0),
        "large_erasures_disturbed": sum(act.disturbed for act in large),
        "figures_compared": run.figures.figures,
        "acknowledged": run.journals.acknowledged,
        # Acknowledged at a later attempt. An earlier attempt had arrived, but its answer was lost.
        "replayed": sum(answer.replayed for answer in answers),
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
    """Return what is wrong with a result, one line each. Return an empty list if nothing is."""
    found = [f"{name} is {figures[name]}, must be 0" for name in ZEROS if figures[name]]
    if not figures["audit_entries"]:
        found.append("the audit trail is empty")
    if not figures["figures_compared"]:
        found.append("no figure was compared with the rows")
    whole = figures["seconds"] >= WHOLE_SECONDS
    longest = LONGEST_SILENCE_SECONDS if whole else SHORT_RUNS_LONGEST_SILENCE_SECONDS
    if figures["longest_silence_s"] > longest:
        silence = f"{figures['longest_silence_s']} s after {figures['longest_silence_after']}"
        found.append(f"a client was silent for {silence}, must be at most {longest:.0f} s")
    least = round(figures["seconds"] * TURNS_PER_SECOND)
    if whole:
        if figures["kinds_missing"]:
            found.append(f"not injected: {', '.join(figures['kinds_missing'])}")
        if figures["acknowledged"] < least:
            found.append(f"{figures['acknowledged']} turns were acknowledged, must be at least {least}")
    elif not figures["acknowledged"] or not figures["faults"]:
        found.append("nothing was acknowledged, or no fault injected")
    return found


def verdict(figures: Mapping[str, Any]) -> str:
    """Return a sentence that sums up a result."""
    faults = f"{figures['faults']} fault{'' if figures['faults'] == 1 else 's'}"
    kinds = f", {figures['kinds']}" if figures["kinds_missing"] else f" of {figures['kinds'].split()[-1]}"
    met = (
        f"{figures['acknowledged']:,} turns acknowledged under {faults}{kinds} kinds; "
        f"longest silence {figures['longest_silence_s']:.1f} s"
    )
    if wrong := failures(figures):
        return f"Not proved: {'; '.join(wrong)} ({met})."
    compared = (
        f"0 of {figures['figures_compared']:,} figures wrong, {figures['audit_entries']:,} entries audit all changes"
    )
    return f"Nothing lost, doubled, reordered, half written or undead. {compared}: {met}."


def show(run: Run, figures: Mapping[str, Any]) -> None:
    """Print the tables, the violations and the line RESULT."""
    silent = silences(run.journals.answers, run.faults, run.clients, run.ended)
    failed = _failed(run)
    rows = []
    for name in run.kinds:
        of_it = [each.seconds for each in silent if each.fault == name]
        times = sum(1 for fault in run.faults if fault.name == name)
        held = max((fault.ended - fault.began for fault in run.faults if fault.name == name), default=0.0)
        rows.append((name, times, f"{held:.1f}", failed[name], f"{max(of_it, default=0.0):.1f}"))
    print(table(("fault", "times", "longest, s", "answers 5xx or none", "longest silence after it, s"), rows))
    longest = {
        client: max((each.seconds for each in silent if each.client == client), default=0) for client in run.clients
    }
    print("Longest silence of each client, s: " + ", ".join(f"{name} {longest[name]:.1f}" for name in run.clients))
    for line in [
        *run.findings.all,
        *run.figures.wrong,
        *run.audit.broken,
        *run.journals.misread,
        *run.journals.unanswered,
    ][:40]:
        print(line)
    print(f"Environments: {dict(run.disturbed)}, errors {dict(run.errors)}")
    wrong = failures(figures)
    if figures["unexpected_500"]:
        for line in unexpected(run.folder):
            print(line)
    for line in wrong:
        print(f"FAILED: {line}")
    if wrong:
        print(f"Journals and logs: {run.folder}")
    print(verdict(figures))
    print(f"RESULT {json.dumps(figures)}", flush=True)


def _failed(run: Run) -> Counter[str]:
    """Count errors and missing answers by kind of fault, from its beginning to the beginning of the next fault."""
    begins = [fault.began for fault in run.faults]
    places = [
        bisect.bisect_right(begins, answer.at) - 1 for answer in run.journals.answers if answer.status[0] not in "234"
    ]
    return Counter(run.faults[place].name for place in places if place >= 0)


def write(figures: Mapping[str, Any], output: Path | None) -> None:
    """Write the content of the line RESULT into a file, if one is given."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(figures, indent=2) + "\n")
