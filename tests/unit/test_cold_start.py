"""What makes a cold start short and must not change anything else: the collector is off while Lambda imports."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import PATIENCE_SECONDS

PROJECT = Path(__file__).resolve().parents[2]
FUNCTIONS = ["write_message", "read_session", "stats", "health"]

COLLECTOR = """
import gc, json, sys, types
lambda_runtime, function, *folders = sys.argv[1:]
sys.path[:0] = folders
if lambda_runtime == "yes":
    sys.modules["awslambdaric"] = types.ModuleType("awslambdaric")
seen = []
class Spy:
    def find_spec(self, name, path=None, target=None):
        if name in ("psycopg", "aws_lambda_powertools"):
            seen.append(gc.isenabled())
sys.meta_path.insert(0, Spy())
frozen = gc.get_freeze_count()
__import__(function)
print(json.dumps([seen, gc.isenabled(), gc.get_freeze_count() > frozen]))
"""


def run(script: str, *arguments: str) -> Any:
    """Return what `script` prints as JSON in a Python of its own."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_collector_rests_while_a_function_is_imported_in_lambda_and_works_afterwards(function: str) -> None:
    folders = [str(PROJECT / "functions"), str(PROJECT / "layers" / "robot_brain")]
    seen, enabled, frozen = run(COLLECTOR, "yes", function, *folders)
    assert seen
    assert set(seen) == {False}
    assert (enabled, frozen) == (True, True)


def test_the_collector_of_another_program_is_left_alone() -> None:
    folders = [str(PROJECT / "functions"), str(PROJECT / "layers" / "robot_brain")]
    seen, enabled, frozen = run(COLLECTOR, "no", "read_session", *folders)
    assert set(seen) == {True}
    assert (enabled, frozen) == (True, False)
