"""Checks of sizes and of the id of a user, which a schema cannot express.

The contract names them, and the compiled validators call them.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from robot_brain.bodies.core import PydanticCustomError
from robot_brain.caller import USER_ID_RULE, is_user_id
from robot_brain.limits import MAX_METADATA_BYTES, MAX_TEXT_BYTES


def check_text(value: str) -> str:
    """Return `value`. Raises PydanticCustomError if its UTF-8 is too large."""
    # A character has at most four bytes, so the length alone shows that most texts are small enough.
    if len(value) > MAX_TEXT_BYTES // 4 and len(value.encode()) > MAX_TEXT_BYTES:
        raise PydanticCustomError("text_too_large", f"must be at most {MAX_TEXT_BYTES // 1024} KiB of UTF-8")
    return value


def check_metadata(value: dict[str, Any]) -> dict[str, Any]:
    """Return `value`. Raises PydanticCustomError if it would be too large as PostgreSQL stores it."""
    if stored_size(value) > MAX_METADATA_BYTES:
        raise PydanticCustomError("metadata_too_large", f"must be at most {MAX_METADATA_BYTES // 1024} KiB as stored")
    return value


def check_user_id(value: str) -> str:
    """Return `value`. Raises PydanticCustomError if it cannot be the id of a user."""
    if not is_user_id(value):
        raise PydanticCustomError("user_id", USER_ID_RULE)
    return value


def stored_size(value: Any) -> int:
    """Return the size in bytes of the text that PostgreSQL returns after storing `value` as jsonb.

    The text equals json.dumps, except for numbers. jsonb stores decimals and writes them without an exponent, so 1e308
    takes 309 characters.
    """
    if isinstance(value, dict):
        inside = sum(stored_size(key) + 2 + stored_size(member) for key, member in value.items())
        return 2 + inside + 2 * max(0, len(value) - 1)
    if isinstance(value, list):
        return 2 + sum(stored_size(member) for member in value) + 2 * max(0, len(value) - 1)
    if isinstance(value, float):
        # Adding 0.0 removes the sign of a negative zero, because jsonb has no negative zero.
        return len(format(Decimal(repr(value + 0.0)), "f"))
    return len(json.dumps(value, ensure_ascii=False).encode())
