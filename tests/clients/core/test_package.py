"""The package as it is installed: its wheel, its version, its imports, and the files that are made for it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import robot_brain
import robot_brain_client
from contract.python_client import asynchronous, python_types
from local.settings import ROOT
from tests.clients.__main__ import build_wheel

HEAVY = (
    "httpx",
    "botocore",
    "asyncio",
    "urllib.request",
    "hmac",
    "pydantic",
    "agents",
    "langchain_core",
    "llama_index",
)


def test_the_version_is_that_of_the_functions() -> None:
    assert robot_brain_client.__version__ == robot_brain.__version__


def test_the_wheel_is_imported_from_another_place_and_has_its_types(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    assert f"-{robot_brain.__version__}-py3-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        assert {"robot_brain_client/py.typed", "robot_brain_client/openai_agents.py"} <= set(archive.namelist())
        archive.extractall(tmp_path / "site")
    code = "import robot_brain_client as c; print(c.__file__); c.RobotBrain, c.SigV4, c.AsyncRobotBrain"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path / "site")}, cwd=tmp_path,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "site"))


def test_the_client_imports_no_other_package_until_it_is_needed() -> None:
    code = f"import sys, robot_brain_client; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "clients/python")}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'RobotBrian'"):
        _ = robot_brain_client.RobotBrian


def test_the_asynchronous_client_awaits_each_request() -> None:
    made = asynchronous(
        "    def read(self):\n        return self._send(1)\n\n    def _send(self, call):\n        sleep(1)\n"
    )
    assert made == (
        "    async def read(self):\n        return await self._send(1)\n\n"
        "    async def _send(self, call):\n        await sleep(1)\n"
    )


def test_a_schema_becomes_a_typed_dict() -> None:
    schema = {
        "description": "A page. More.",
        "required": ["a"],
        "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "array", "items": {"$ref": "#/x/Turn"}}},
    }
    assert python_types({"Page": schema, "Text": {"type": "string"}}).partition("class ")[2] == (
        'Page(TypedDict):\n    """A page."""\n\n    a: str | None\n    b: NotRequired[list[Turn]]\n'
    )
