"""The modules that each function imports. Imports are most of a cold start, so their number may grow only on purpose.

If a test fails because a function imports more: find the reason with `python -X importtime`, and measure the cost
with `make bench WHAT=cold`. If the cost is worth it, write the new numbers here.
"""

import json
import os
import subprocess
import sys
import sysconfig

import pytest

from local.settings import ROOT
from tests.support.waiting import PATIENCE_SECONDS

# Powertools imports the bare package botocore if it is installed. It is in Lambda's runtime and in the tests.
TELEMETRY = {"aws_lambda_powertools", "botocore", "jmespath", "typing_extensions"}
DATABASE = TELEMETRY | {"psycopg", "psycopg_binary"}
# For each function: the third-party top-level modules, and the number of all modules after its import on Python 3.13.
IMPORTS = {
    "write_message": (DATABASE | {"pydantic_core"}, 378),
    "read_session": (DATABASE, 370),
    "edit_session": (DATABASE | {"pydantic_core"}, 378),
    # A look-up by e-mail checks the address without the core of Pydantic.
    "read_user": (DATABASE, 375),
    "edit_user": (DATABASE | {"pydantic_core"}, 383),
    "read_audit": (DATABASE, 369),
    "search": (DATABASE, 370),
    "stats": (DATABASE, 373),
    "health": (TELEMETRY, 178),
}
# Releases of Python 3.13 differ in the number of their own modules.
SLACK = 3
# The function health is open to anyone and does not need these modules.
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
def test_a_function_imports_no_more_modules_than_this_file_allows(function: str) -> None:
    third_party, count = IMPORTS[function]
    folders = [str(ROOT / "functions"), str(ROOT / "layers" / "robot_brain")]
    packages = sysconfig.get_paths()["platlib"]
    # -I and -S leave out the environment and the start-up files of this machine, with the packages that those import.
    command = [sys.executable, "-I", "-S", "-c", LIST_MODULES, function, packages, *folders]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    found, names = json.loads(done.stdout)
    assert set(names) == third_party
    if sys.version_info[:2] == (3, 13):
        assert found <= count + SLACK, f"{function} imports {found} modules"


def test_health_answers_each_of_its_events_without_importing_anything_of_the_database() -> None:
    events = sorted(ROOT.glob("events/health*.json"))
    folders = [str(ROOT / "functions"), str(ROOT / "layers" / "robot_brain")]
    command = [sys.executable, "-c", ANSWER_EVENTS, *map(str, events)]
    environment = {"PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    statuses, modules = json.loads(done.stdout.splitlines()[-1])
    assert [name for name in modules if name.startswith(NOT_FOR_HEALTH)] == []
    assert set(statuses) == {200}
