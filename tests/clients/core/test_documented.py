"""The Python of docs/clients.md, and the example that needs no framework."""

from __future__ import annotations

import re
from typing import Any

import pytest

from local.settings import ROOT
from robot_brain_client import RobotBrain
from tests.clients.documented import block
from tests.clients.examples import EXAMPLES, example


def test_the_code_of_the_document_runs(api: str, session_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(block("Python", api, session_id), names)
    names["brain"].close()
    assert capsys.readouterr().out == "Is it cold? Yes, -3.\n"


def test_the_robot_without_a_framework_remembers(api: str, session_id: str) -> None:
    robot = example("robot")
    with RobotBrain(api) as brain:
        assert robot.talk(brain, session_id, "Is it cold?") == "You asked 1 times. The first was: Is it cold?"
        assert robot.talk(brain, session_id, "And now?") == "You asked 2 times. The first was: Is it cold?"
        assert all(turn["robot_response"] for turn in brain.turns(session_id))


def test_the_picture_of_use_in_the_readme_is_the_example() -> None:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code in (EXAMPLES / "robot.py").read_text(encoding="utf-8")
