"""Write what is made from the contract: `python -m contract`. With --check say what differs and change nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from contract.compiler import compile_bodies
from contract.document import document, written
from contract.write_message import Batch, OneTurn

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = ROOT / "layers/robot_brain/robot_brain/bodies/schemas.py"
DOCUMENT = ROOT / "docs/openapi.json"


def generated() -> dict[Path, str]:
    """Return the text of each file that is made from the contract."""
    return {SCHEMAS: compile_bodies((OneTurn, Batch)), DOCUMENT: written(document(ROOT / "events")) + "\n"}


def main(arguments: list[str]) -> str | None:
    """Write the files, or with --check return what to do about those that differ."""
    texts = generated()
    differ = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    if arguments == ["--check"]:
        names = " and ".join(str(path.relative_to(ROOT)) for path in differ)
        return f"{names} is not what the contract says: run make contract" if differ else None
    for path in differ:
        path.parent.mkdir(exist_ok=True)
        path.write_text(texts[path])
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
