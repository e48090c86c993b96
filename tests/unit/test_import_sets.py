"""What each function imports is written down here, because imports are most of a cold start: it must not grow unseen.

A module more is a decision. Look where it comes from (`python -X importtime`) and measure it (`make bench WHAT=cold`).
Then write the new numbers here.
"""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE_SECONDS

PROJECT = Path(__file__).resolve().parents[2]
# Of botocore Powertools imports the bare package where there is one: in Lambda's runtime, and beside the tests.
TELEMETRY = {"aws_lambda_powertools", "botocore", "jmespath", "typing_extensions"}
DATABASE = TELEMETRY | {"psycopg", "psycopg_binary"}
# function: third-party top-level modules, and how many modules there are in all after its import on Python 3.13
IMPORTS = {
    "write_message": (DATABASE | {"pydantic_core"}, 375),
    "read_session": (DATABASE, 369),
    "stats": (DATABASE, 371),
    "health": (TELEMETRY, 178),
}
# Releases of 3.13 differ in how their own modules are cut.
SLACK = 3
# What the function that is open to anyone has no use of.
NOT_FOR_HEALTH = ("psycopg", "psycopg_binary", "robot_brain.database", "robot_brain.services", "robot_brain.bodies")
LIST_MODULES = """
import importlib, json, sys
function, packages, *folders = sys.argv[1:]
sys.path[:0] = [*folders, packages]
importlib.import_module(function)
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
names = {name.partition(".")[0] for name, file in files.items() if file.startswith(packages)}
print(json.dumps([len(files), sorted(names)]))
"""
ANSWER_EVENTS = """
import json, pathlib, sys, types
import health
context = types.SimpleNamespace(
    aws_request_id="request", function_name="Function", get_remaining_time_in_millis=lambda: 28_000
)
events = [json.loads(pathlib.Path(name).read_text()) for name in sys.argv[1:]]
statuses = [health.handler(event, context)["statusCode"] for event in events]
print(json.dumps([statuses, sorted(sys.modules)]))
"""


@pytest.mark.parametrize("function", IMPORTS)
def test_a_function_imports_no_more_than_is_written_down(function: str) -> None:
    third_party, count = IMPORTS[function]
    folders = [str(PROJECT / "functions"), str(PROJECT / "layers" / "robot_brain")]
    packages = sysconfig.get_paths()["platlib"]
    # Alone: without our environment, this machine's start-up files and the packages that those import.
    command = [sys.executable, "-I", "-S", "-c", LIST_MODULES, function, packages, *folders]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    found, names = json.loads(done.stdout)
    assert set(names) == third_party
    if sys.version_info[:2] == (3, 13):
        assert found <= count + SLACK, f"{function} imports {found} modules"


def test_health_imports_nothing_of_the_database_when_it_answers_each_of_its_events() -> None:
    events = sorted(PROJECT.glob("events/health*.json"))
    folders = [str(PROJECT / "functions"), str(PROJECT / "layers" / "robot_brain")]
    command = [sys.executable, "-c", ANSWER_EVENTS, *map(str, events)]
    environment = {"PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    statuses, modules = json.loads(done.stdout.splitlines()[-1])
    assert [name for name in modules if name.startswith(NOT_FOR_HEALTH)] == []
    assert set(statuses) == {200}
