"""The Python of docs/clients.md, for the tests that run it."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "clients.md"


def block(heading: str, api: str, session_id: str) -> str:
    """Return the code below a heading, for another address and another session."""
    section = _PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    [code] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return str(code).replace("http://127.0.0.1:3000", api).replace("ann-1", session_id)
