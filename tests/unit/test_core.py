"""The layer loads Pydantic's extension module without the packages `pydantic` and `pydantic_core` around it."""

import subprocess
import sys
from pathlib import Path

from local.settings import ROOT

LAYER = ROOT / "layers" / "robot_brain"
WRITE_THEN_IMPORT_PYDANTIC = """
import sys
sys.path.insert(0, sys.argv[1])
from robot_brain.bodies import core, write
from robot_brain.errors import InvalidRequestError
assert [name for name in sys.modules if "pydantic" in name] == ["pydantic_core._pydantic_core"]
write.Write({"robot_personality": "barista", "user_message": "", "robot_response": ""})
for document in ({}, {"messages": [{"interaction": {}}]}, {"user_message": "x" * 9**6, "metadata": {"a": "b" * 9**6}}):
    try:
        write.Write(document)
    except InvalidRequestError:
        continue
    raise AssertionError(document)
assert [name for name in sys.modules if "pydantic" in name] == ["pydantic_core._pydantic_core"]
import pydantic
import pydantic_core
assert pydantic_core.ValidationError is pydantic.ValidationError is core.ValidationError
assert pydantic.TypeAdapter(int).validate_python("3") == 3
"""
OTHER_EXTENSION = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
try:
    import robot_brain.bodies.core
except ImportError as error:
    assert error.name == "pydantic_core._pydantic_core", error
else:
    raise AssertionError
"""


def run(script: str, *arguments: str) -> None:
    """Run a script in a process of its own. Fail with its error output if it fails."""
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_write_is_validated_without_the_packages_of_pydantic_which_can_still_be_imported() -> None:
    run(WRITE_THEN_IMPORT_PYDANTIC, str(LAYER))


def test_an_extension_for_another_python_is_an_import_error(tmp_path: Path) -> None:
    (tmp_path / "pydantic_core").mkdir()
    (tmp_path / "pydantic_core" / "__init__.py").touch()
    (tmp_path / "pydantic_core" / "_pydantic_core.cpython-30-other.so").touch()
    run(OTHER_EXTENSION, str(LAYER), str(tmp_path))
