"""The variables of the log: a wrong value is one warning and stops nothing.

Each test starts a process, because a Logger lives as long as its process.
"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from local.settings import ROOT

SCRIPT = """
import health
from tests.support.bundle import Context, event
for _ in range(2):
    assert health.handler(event("health"), Context())["statusCode"] == 200
from robot_brain.telemetry import logger
logger().info("level", extra={"is": logger().log_level})
logger().error("level", extra={"is": logger().log_level})
"""
NAMES = ("POWERTOOLS_LOG_LEVEL", "LOG_LEVEL", "AWS_LAMBDA_LOG_LEVEL")


def lines(**variables: str) -> list[dict[str, Any]]:
    """Return the log lines of two requests, one INFO line and one ERROR line under these variables."""
    paths = [str(ROOT / "layers" / "robot_brain"), str(ROOT / "functions"), str(ROOT), *filter(None, sys.path)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    done = subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


# All variables are read by one function, so each value is tried in one of them.
@pytest.mark.parametrize(
    ("name", "value"), [*((name, "verbose") for name in NAMES), (NAMES[1], "20"), (NAMES[2], "INFO,DEBUG")]
)
def test_an_unknown_log_level_counts_as_info_and_one_warning_names_the_variable(name: str, value: str) -> None:
    warning, *rest = lines(**{name: value})
    assert (warning["level"], warning["variables"]) == ("WARNING", [name])
    assert value not in [*warning.values(), *warning["variables"]]
    assert [line["level"] for line in rest] == ["INFO", "INFO", "INFO", "ERROR"]
    assert [line["is"] for line in rest[2:]] == [20, 20]


@pytest.mark.parametrize(
    ("name", "value", "level"),
    [
        *((name, "error", 40) for name in NAMES),
        (NAMES[0], "ERROR", 40),
        (NAMES[1], " Error\n", 40),
        (NAMES[2], " Error\n", 40),
        (NAMES[0], "debug", 10),
        (NAMES[1], "warn", 30),
        (NAMES[2], "fatal", 50),
    ],
)
def test_a_log_level_may_be_written_in_any_case(name: str, value: str, level: int) -> None:
    found = lines(**{name: value})
    assert {line["is"] for line in found if line.get("message") == "level"} in ({level}, set())
    shown = [line["level"] for line in found if line.get("message") == "level"]
    assert shown == [word for word, number in (("INFO", 20), ("ERROR", 40)) if number >= level]
    # Above INFO a request writes only its metrics.
    assert sum("route" in line for line in found) == (2 if level <= 20 else 0)
    assert not [line for line in found if line.get("level") == "WARNING"]


def test_the_log_level_of_lambda_comes_first_and_an_empty_level_is_ignored() -> None:
    both = lines(AWS_LAMBDA_LOG_LEVEL="ERROR", POWERTOOLS_LOG_LEVEL="INFO")
    assert [line["is"] for line in both if line.get("message") == "level"] == [40]
    empty = lines(AWS_LAMBDA_LOG_LEVEL="", POWERTOOLS_LOG_LEVEL="", LOG_LEVEL="DEBUG")
    assert [line["is"] for line in empty if line.get("message") == "level"] == [10, 10]


@pytest.mark.parametrize("rate", ["often", "2", "nan", "-1"])
def test_an_unknown_sample_rate_is_ignored_and_one_warning_names_the_variable(rate: str) -> None:
    warning, *rest = lines(POWERTOOLS_LOGGER_SAMPLE_RATE=rate)
    assert (warning["level"], warning["variables"]) == ("WARNING", ["POWERTOOLS_LOGGER_SAMPLE_RATE"])
    assert [line["is"] for line in rest[2:]] == [20, 20]


def test_a_valid_sample_rate_takes_effect() -> None:
    assert [line["is"] for line in lines(POWERTOOLS_LOGGER_SAMPLE_RATE="1")[-2:]] == [10, 10]
    assert [line["is"] for line in lines(POWERTOOLS_LOGGER_SAMPLE_RATE="0")[-2:]] == [20, 20]
