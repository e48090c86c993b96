"""The garbage collector is off while Lambda imports a function, which shortens a cold start."""

import json
import subprocess
import sys
from typing import Any

import pytest

from local.settings import ROOT
from tests.support.waiting import PATIENCE_SECONDS

FUNCTIONS = sorted(path.stem for path in (ROOT / "functions").glob("*.py"))

COLLECTOR = """
import gc, json, sys, types
lambda_runtime, function, *folders = sys.argv[1:]
sys.path[:0] = folders
if lambda_runtime == "yes":
    sys.modules["awslambdaric"] = types.ModuleType("awslambdaric")
collecting = []
class Spy:
    def find_spec(self, name, path=None, target=None):
        if name in ("psycopg", "aws_lambda_powertools"):
            collecting.append(gc.isenabled())
sys.meta_path.insert(0, Spy())
frozen = gc.get_freeze_count()
__import__(function)
print(json.dumps([collecting, gc.isenabled(), gc.get_freeze_count() > frozen]))
"""


def run(script: str, *arguments: str) -> Any:
    """Run `script` in a new Python process. Return what it prints, parsed as JSON."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_collector_is_off_while_lambda_imports_a_function_and_on_afterwards(function: str) -> None:
    folders = [str(ROOT / "functions"), str(ROOT / "layers" / "robot_brain")]
    collecting, enabled, frozen = run(COLLECTOR, "yes", function, *folders)
    assert collecting
    assert set(collecting) == {False}
    assert (enabled, frozen) == (True, True)


def test_importing_a_function_outside_lambda_leaves_the_collector_on() -> None:
    folders = [str(ROOT / "functions"), str(ROOT / "layers" / "robot_brain")]
    collecting, enabled, frozen = run(COLLECTOR, "no", "read_session", *folders)
    assert set(collecting) == {True}
    assert (enabled, frozen) == (True, False)
