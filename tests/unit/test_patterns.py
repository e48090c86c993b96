"""When a pattern begins and when it ends, tested with calls of known length and a clock that jumps."""

import json
import random
import time
from collections.abc import Callable, Iterator

import pytest

from robot_brain.database.patterns import LATELY, WAKE, Patterns
from robot_brain.errors import ConflictError, DatabaseAwayError, DatabaseOverloadedError
from tests.support.bundle import deployed
from tests.support.log_lines import logged

# Returns the names of the patterns that were logged so far.
LoggedPatterns = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Give each test an execution environment of its own, so that no test sees the counters of another."""
    with deployed({}):
        yield


@pytest.fixture
def logged_patterns() -> Iterator[LoggedPatterns]:
    """Give a function that returns the names of the patterns that were logged so far."""
    with logged() as lines:
        yield lambda: [line["pattern"] for line in lines() if line["message"] == "pattern"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that sets the wall clock to `seconds` after the start of the test."""
    begun = time.time()

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: begun + seconds)

    set_to(0)
    return set_to


def call(patterns: Patterns, seconds: float, times: int, function: str = "stats") -> None:
    """Count `times` calls that each took `seconds`."""
    for _ in range(times):
        patterns.called(function, seconds)


def test_three_slow_calls_in_a_row_are_logged_once(logged_patterns: LoggedPatterns) -> None:
    patterns = Patterns()
    call(patterns, 0.010, 20)
    call(patterns, 0.400, 2)
    assert logged_patterns() == []
    call(patterns, 0.400, 5)
    assert logged_patterns() == ["slower_than_usual"]


def test_slow_calls_that_do_not_follow_each_other_are_no_pattern(logged_patterns: LoggedPatterns) -> None:
    patterns = Patterns()
    call(patterns, 0.010, 20)
    for _ in range(10):
        call(patterns, 0.400, 2)
        call(patterns, 0.010, 1)
    assert logged_patterns() == []


def test_slowness_ends_after_three_calls_at_the_usual_speed(logged_patterns: LoggedPatterns) -> None:
    patterns = Patterns()
    call(patterns, 0.010, 20)
    call(patterns, 0.400, 3)
    call(patterns, 0.010, 2)
    call(patterns, 0.400, 3)
    assert logged_patterns() == ["slower_than_usual"]
    call(patterns, 0.010, 3)
    call(patterns, 0.400, 3)
    assert logged_patterns() == ["slower_than_usual"] * 2


def test_the_usual_speed_counts_after_twenty_calls_and_only_for_its_own_sql_function(
    logged_patterns: LoggedPatterns,
) -> None:
    patterns = Patterns()
    call(patterns, 0.010, 17)
    call(patterns, 5.000, 3)
    call(patterns, 0.010, 100, "write_message")
    call(patterns, 5.000, 3, "read_session")
    assert logged_patterns() == []


def test_calls_below_fifty_milliseconds_are_never_slow(logged_patterns: LoggedPatterns) -> None:
    patterns = Patterns()
    call(patterns, 0.001, 50)
    call(patterns, 0.049, 50)
    assert logged_patterns() == []


def test_a_speed_that_stays_slow_becomes_usual_and_is_logged_no_more(logged_patterns: LoggedPatterns) -> None:
    patterns = Patterns()
    call(patterns, 0.010, 100)
    call(patterns, 1.000, 300)
    for _ in range(10):
        call(patterns, 0.900, 5)
        call(patterns, 1.100, 5)
    assert logged_patterns() == ["slower_than_usual"]


def test_calls_of_varying_length_are_no_pattern(logged_patterns: LoggedPatterns) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    patterns = Patterns()
    for _ in range(20_000):
        patterns.called("stats", chance.uniform(0.020, 0.100))
    assert logged_patterns() == []


def test_only_three_failed_connections_in_a_row_are_a_pattern(logged_patterns: LoggedPatterns) -> None:
    patterns = Patterns()
    for _ in range(5):
        for _ in range(2):
            patterns.attempt_failed(DatabaseAwayError(), None, connecting=True)
        patterns.connected(0.010)
    assert logged_patterns() == []
    for _ in range(10):
        patterns.attempt_failed(DatabaseAwayError(), None, connecting=True)
    assert logged_patterns() == ["connection_failures"]


def test_a_failed_call_is_no_failed_connection(logged_patterns: LoggedPatterns) -> None:
    patterns = Patterns()
    for _ in range(10):
        patterns.attempt_failed(DatabaseAwayError(), "57P01", connecting=False)
        patterns.attempt_failed(ConflictError(), "55P03", connecting=False)
    assert logged_patterns() == []


@pytest.mark.parametrize("connecting", [True, False])
def test_pool_exhaustion_is_logged_again_only_after_a_quiet_time(
    logged_patterns: LoggedPatterns, clock: Callable[[float], None], connecting: bool
) -> None:
    patterns = Patterns()
    for seconds in (0, 200, 400, 600):  # no gap is longer than LATELY
        clock(seconds)
        patterns.attempt_failed(DatabaseOverloadedError(), None, connecting)
        patterns.connected(0.010)
    assert logged_patterns() == ["pool_exhaustion"]
    clock(600 + LATELY + 1)
    patterns.attempt_failed(DatabaseOverloadedError(), None, connecting)
    assert logged_patterns() == ["pool_exhaustion"] * 2


def test_only_the_sqlstate_40p01_is_a_deadlock(logged_patterns: LoggedPatterns, clock: Callable[[float], None]) -> None:
    patterns = Patterns()
    patterns.attempt_failed(ConflictError(), "40001", connecting=False)
    assert logged_patterns() == []
    for _ in range(3):
        patterns.attempt_failed(ConflictError(), "40P01", connecting=False)
    assert logged_patterns() == ["deadlock"]
    clock(-3600)  # such as after a snapshot was restored on a machine with another clock
    patterns.attempt_failed(ConflictError(), "40P01", connecting=False)
    assert logged_patterns() == ["deadlock"] * 2


def test_retried_lately_goes_by_the_wall_clock(clock: Callable[[float], None]) -> None:
    patterns = Patterns()
    assert not patterns.retried_lately()
    patterns.retried()
    assert patterns.retried_lately()
    clock(LATELY - 1)
    assert patterns.retried_lately()
    clock(LATELY + 1)
    assert not patterns.retried_lately()


def test_only_a_long_connect_counts_as_a_wake() -> None:
    patterns = Patterns()
    patterns.connected(WAKE / 2)
    patterns.connected(WAKE)
    assert patterns.wakes == 1


def test_the_log_line_of_a_pattern_has_figures_and_says_what_to_do() -> None:
    patterns = Patterns()
    with logged() as lines:
        call(patterns, 0.010, 30)
        call(patterns, 0.400, 3)
        (line,) = lines()
    assert line["level"] == "WARNING"
    assert (line["sql_function"], line["milliseconds"]) == ("stats", 400)
    assert 10 <= line["usual_milliseconds"] < 30
    assert "Neon" in line["advice"]
    assert json.dumps(line)
