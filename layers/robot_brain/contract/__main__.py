"""Generate files from the contract: `python -m contract`. With --check report differences and write no file."""

from __future__ import annotations

import sys
from pathlib import Path

from contract.compiler import compile_bodies
from contract.document import document, written
from contract.edit_session import SessionPatch
from contract.python_client import asynchronous, python_types
from contract.turns import Replacement
from contract.users import UserContent, UserPatch
from contract.write_message import Batch, OneTurn

# The bodies by the module that validates them. So a function loads no schema of another one.
BODIES = {"write": (OneTurn, Batch, Replacement), "patch": (SessionPatch,), "user": (UserContent, UserPatch)}

ROOT = Path(__file__).resolve().parents[3]
CLIENT = "clients/python/robot_brain_client"


def generated() -> dict[str, str]:
    """Return the text of each generated file by its path in the project."""
    whole = document(ROOT / "events")
    return {
        **{
            f"layers/robot_brain/robot_brain/bodies/{name}_schemas.py": compile_bodies(bodies)
            for name, bodies in BODIES.items()
        },
        "docs/openapi.json": written(whole) + "\n",
        f"{CLIENT}/types.py": python_types(whole["components"]["schemas"]),
        **{
            f"{CLIENT}/async_{name}.py": asynchronous((ROOT / CLIENT / f"{name}.py").read_text())
            for name in ("client", "sender")
        },
    }


def main(arguments: list[str], root: Path = ROOT) -> str | None:
    """Write the generated files below `root`. With --check return a message if any differs, and write no file."""
    texts = generated()
    differ = [name for name in texts if not (root / name).exists() or (root / name).read_text() != texts[name]]
    if arguments == ["--check"]:
        return f"{' and '.join(differ)}: differs from the contract; run make contract" if differ else None
    for name in differ:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(texts[name])
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
