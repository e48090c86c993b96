"""The soak's schedule of faults, and its verdict: each figure that must be zero fails the soak."""

import json
import random
from pathlib import Path

import pytest

from tests.soak.__main__ import Options, head, read_options
from tests.soak.records import Answer
from tests.soak.report import ZEROS, failures, verdict
from tests.soak.schedule import KILLED_WITHIN, KILLS, rounds
from tests.soak.silences import Fault, silences
from tests.soak.unexpected import unexpected
from tests.support.neon.faults import FAULTS


def test_a_silence_lasts_from_a_faults_end_to_the_next_success() -> None:
    faults = [Fault("first", 0.0, 1.0), Fault("second", 3.0, 4.0), Fault("third", 10.0, 11.0)]
    answers = [
        Answer("c01", "write", "201", 1.5, 0.1),
        Answer("c01", "health/database", "200", 4.1, 0.1),  # needs no session
        Answer("c01", "read", "503 problem", 4.5, 0.1),
        Answer("c01", "read", "200", 9.0, 0.1),
        Answer("c02", "read", "200", 0.5, 0.1),  # before the end of the fault
    ]
    found = {(each.client, each.fault): each.seconds for each in silences(answers, faults, ["c01", "c02"], 30.0)}
    assert found == {
        ("c01", "first"): 0.5,
        ("c01", "second"): 5.0,
        ("c01", "third"): 19.0,  # never again
        ("c02", "first"): 27.0,  # without the time of other faults
        ("c02", "second"): 25.0,
        ("c02", "third"): 19.0,
    }


def test_each_figure_that_must_be_zero_fails_the_soak() -> None:
    good = {
        **dict.fromkeys(ZEROS, 0),
        "figures_compared": 140,
        "audit_entries": 1200,
        "seconds": 120.0,
        "acknowledged": 5000,
        "faults": 40,
        "longest_silence_s": 15.0,
        "longest_silence_after": "delay",
        "kinds_missing": [],
    }
    assert failures(good) == []
    for name in ZEROS:
        assert len(failures({**good, name: 1})) == 1, name
    assert len(failures({**good, "figures_compared": 0})) == 1
    assert len(failures({**good, "audit_entries": 0})) == 1
    assert len(failures({**good, "longest_silence_s": 15.1})) == 1
    assert failures({**good, "seconds": 60.0, "longest_silence_s": 44.9}) == []
    assert len(failures({**good, "seconds": 60.0, "longest_silence_s": 45.1})) == 1
    assert len(failures({**good, "kinds_missing": ["delay"]})) == 1
    assert len(failures({**good, "acknowledged": 4999})) == 1
    assert failures({**good, "seconds": 60.0, "kinds_missing": ["delay"], "acknowledged": 2500}) == []
    assert len(failures({**good, "seconds": 60.0, "acknowledged": 0})) == 1


def test_the_verdict_of_the_soak_names_what_was_wrong() -> None:
    figures = {
        **dict.fromkeys(ZEROS, 0),
        "figures_compared": 140,
        "audit_entries": 1200,
        "seconds": 120.0,
        "acknowledged": 58_185,
        "faults": 38,
        "kinds": "36 of 36",
        "kinds_missing": [],
        "longest_silence_s": 4.42,
        "longest_silence_after": "delay",
    }
    assert verdict(figures) == (
        "Nothing lost, doubled, reordered, half written or undead. "
        "0 of 140 figures wrong, 1,200 entries audit all changes: "
        "58,185 turns acknowledged under 38 faults of 36 kinds; longest silence 4.4 s."
    )
    short = {**figures, "seconds": 20.0, "faults": 1, "kinds": "1 of 36", "kinds_missing": ["delay"]}
    assert "acknowledged under 1 fault, 1 of 36 kinds; longest" in verdict(short)
    assert verdict({**figures, "doubled": 3}).startswith("Not proved: doubled is 3, must be 0 (58,185 turns")


@pytest.mark.parametrize("seed", range(50))
def test_a_short_soak_has_the_kills_early_and_every_kind_once(seed: int) -> None:
    names = [*KILLS, *(f"fault {number}" for number in range(34))]
    order = rounds(names, random.Random(seed), early=KILLS)
    first = [next(order) for _ in names]
    assert sorted(first) == sorted(names)
    assert set(KILLS) <= set(first[:KILLED_WITHIN])


@pytest.mark.parametrize("seconds", [60, 600])
def test_the_first_line_of_the_soak_says_how_long_all_kinds_take(seconds: float) -> None:
    line = head(Options(seconds, "7", None))
    assert line.startswith(f"SEED=7 DURATION={seconds:g}: ")
    assert ("DURATION=120" in line) == (seconds == 60)
    assert f"all {len(FAULTS)} kinds" in line


def test_the_soak_makes_or_refuses_the_folder_of_its_output_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tmp_path / "new" / "result.json"
    monkeypatch.setenv("OUTPUT", str(wanted))
    assert read_options().output == wanted
    assert list(wanted.parent.iterdir()) == []
    wanted.touch()
    for wrong in (tmp_path, wanted / "in a file.json"):
        monkeypatch.setenv("OUTPUT", str(wrong))
        with pytest.raises(SystemExit, match=r"OUTPUT=.* cannot be written"):
            read_options()


def test_a_seed_gives_the_same_faults_again_in_the_soak() -> None:
    def first(seed: str) -> list[str]:
        order = rounds(["a", "b", "c", "d", "e"], random.Random(seed))
        return [next(order) for _ in range(20)]

    assert first("7") == first("7") != first("8")
    assert all(sorted(first("7")[start : start + 5]) == ["a", "b", "c", "d", "e"] for start in range(0, 20, 5))


def test_the_soak_says_why_a_function_answered_500_or_ended(tmp_path: Path) -> None:
    line = {"message": "answered", "route": "GET /stats", "error": "UnexpectedDatabaseError", "session_id": "soak-c01"}
    lines = [
        {**line, "status": 500, "database_error": "XX000 broken", "attempts": 3, "frames": ["1", "2", "3", "4", "5"]},
        {**line, "status": 503},
    ]
    log = "START RequestId: 1\n" + "".join(f"{json.dumps(each, separators=(',', ':'))}\n" for each in lines)
    (tmp_path / "StatsFunction.log").write_text(log + '{"status":500,"half')
    (tmp_path / "access.log").write_text(
        "GET /stats 500 3 ms StatsFunction\n"
        "EditUserFunction failed: Runtime.ExitError: Runtime exited: signal: SIGKILL.\n"
        "EditUserFunction failed: Runtime.ExitError: Runtime exited: signal: SIGSEGV.\n"
    )
    assert unexpected(tmp_path) == [
        '500: StatsFunction {"route": "GET /stats", "error": "UnexpectedDatabaseError", "database_error": '
        '"XX000 broken", "attempts": 3, "frames": ["4", "5"]}',
        '500: StatsFunction {"reason": "{\\"status\\":500,\\"half", "frames": []}',
        "500: EditUserFunction failed: Runtime.ExitError: Runtime exited: signal: SIGSEGV.",
    ]
