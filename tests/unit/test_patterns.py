"""When a pattern begins and when it is over, by calls of known length and on a clock that jumps."""

import json
import random
import time
from collections.abc import Callable, Iterator

import pytest

from robot_brain.database.patterns import LATELY, WAKE, Patterns
from robot_brain.errors import ConflictError, DatabaseAwayError, DatabaseOverloadedError
from tests.support.bundle import deployed
from tests.support.log_lines import logged

Told = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Give each test an execution environment of its own, so that no other one has what it counts."""
    with deployed({}):
        yield


@pytest.fixture
def told() -> Iterator[Told]:
    """Give a function that returns the patterns told so far."""
    with logged() as lines:
        yield lambda: [line["pattern"] for line in lines() if line["message"] == "pattern"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Give a function that sets the wall clock so many seconds on from now."""
    begun = time.time()

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: begun + seconds)

    set_to(0)
    return set_to


def call(seen: Patterns, seconds: float, times: int, function: str = "stats") -> None:
    """Make so many calls of one length."""
    for _ in range(times):
        seen.called(function, seconds)


def test_three_slow_calls_in_a_row_are_told_once(told: Told) -> None:
    seen = Patterns()
    call(seen, 0.010, 20)
    call(seen, 0.400, 2)
    assert told() == []
    call(seen, 0.400, 5)
    assert told() == ["slower_than_usual"]


def test_slow_calls_that_do_not_follow_each_other_are_no_pattern(told: Told) -> None:
    seen = Patterns()
    call(seen, 0.010, 20)
    for _ in range(10):
        call(seen, 0.400, 2)
        call(seen, 0.010, 1)
    assert told() == []


def test_a_slow_streak_is_over_after_three_usual_calls(told: Told) -> None:
    seen = Patterns()
    call(seen, 0.010, 20)
    call(seen, 0.400, 3)
    call(seen, 0.010, 2)
    call(seen, 0.400, 3)
    assert told() == ["slower_than_usual"]
    call(seen, 0.010, 3)
    call(seen, 0.400, 3)
    assert told() == ["slower_than_usual"] * 2


def test_a_pace_counts_from_twenty_calls_on_and_for_its_own_sql_function_alone(told: Told) -> None:
    seen = Patterns()
    call(seen, 0.010, 17)
    call(seen, 5.000, 3)
    call(seen, 0.010, 100, "write_message")
    call(seen, 5.000, 3, "read_session")
    assert told() == []


def test_calls_below_fifty_milliseconds_are_never_slow(told: Told) -> None:
    seen = Patterns()
    call(seen, 0.001, 50)
    call(seen, 0.049, 50)
    assert told() == []


def test_what_was_slow_for_long_becomes_usual_and_is_told_no_more(told: Told) -> None:
    seen = Patterns()
    call(seen, 0.010, 100)
    call(seen, 1.000, 300)
    for _ in range(10):
        call(seen, 0.900, 5)
        call(seen, 1.100, 5)
    assert told() == ["slower_than_usual"]


def test_calls_whose_length_varies_are_no_pattern(told: Told) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    seen = Patterns()
    for _ in range(20_000):
        seen.called("stats", chance.uniform(0.020, 0.100))
    assert told() == []


def test_three_connections_in_a_row_and_no_fewer(told: Told) -> None:
    seen = Patterns()
    for _ in range(5):
        for _ in range(2):
            seen.attempt_failed(DatabaseAwayError(), None, connecting=True)
        seen.connected(0.010)
    assert told() == []
    for _ in range(10):
        seen.attempt_failed(DatabaseAwayError(), None, connecting=True)
    assert told() == ["connection_failures"]


def test_a_call_that_fails_is_no_failed_connection(told: Told) -> None:
    seen = Patterns()
    for _ in range(10):
        seen.attempt_failed(DatabaseAwayError(), "57P01", connecting=False)
        seen.attempt_failed(ConflictError(), "55P03", connecting=False)
    assert told() == []


@pytest.mark.parametrize("connecting", [True, False])
def test_exhaustion_is_told_again_only_after_a_quiet_time(
    told: Told, clock: Callable[[float], None], connecting: bool
) -> None:
    seen = Patterns()
    for seconds in (0, 200, 400, 600):  # no two of them are further apart than LATELY
        clock(seconds)
        seen.attempt_failed(DatabaseOverloadedError(), None, connecting)
        seen.connected(0.010)
    assert told() == ["pool_exhaustion"]
    clock(600 + LATELY + 1)
    seen.attempt_failed(DatabaseOverloadedError(), None, connecting)
    assert told() == ["pool_exhaustion"] * 2


def test_a_deadlock_is_one_by_its_sqlstate(told: Told, clock: Callable[[float], None]) -> None:
    seen = Patterns()
    seen.attempt_failed(ConflictError(), "40001", connecting=False)
    assert told() == []
    for _ in range(3):
        seen.attempt_failed(ConflictError(), "40P01", connecting=False)
    assert told() == ["deadlock"]
    clock(-3600)  # a snapshot restored elsewhere
    seen.attempt_failed(ConflictError(), "40P01", connecting=False)
    assert told() == ["deadlock"] * 2


def test_lately_is_by_the_wall_clock(clock: Callable[[float], None]) -> None:
    seen = Patterns()
    assert not seen.retried_lately()
    seen.retried()
    assert seen.retried_lately()
    clock(LATELY - 1)
    assert seen.retried_lately()
    clock(LATELY + 1)
    assert not seen.retried_lately()


def test_only_a_long_connect_is_a_wake() -> None:
    seen = Patterns()
    seen.connected(WAKE / 2)
    seen.connected(WAKE)
    assert seen.wakes == 1


def test_what_is_told_says_what_to_do_and_by_how_much() -> None:
    seen = Patterns()
    with logged() as lines:
        call(seen, 0.010, 30)
        call(seen, 0.400, 3)
        (line,) = lines()
    assert line["level"] == "WARNING"
    assert (line["sql_function"], line["milliseconds"]) == ("stats", 400)
    assert 10 <= line["usual_milliseconds"] < 30
    assert "Neon" in line["advice"]
    assert json.dumps(line)
