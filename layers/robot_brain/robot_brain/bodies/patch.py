"""Validate the body of a PATCH of a session, by the schema that `make contract` compiled."""

from __future__ import annotations

from typing import Any

from robot_brain.bodies.core import SchemaValidator
from robot_brain.bodies.patch_schemas import SESSION_PATCH
from robot_brain.bodies.validation import as_json, validated

_PATCH = SchemaValidator(SESSION_PATCH)


def patch(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a parsed body changes: `user_metadata` as JSON or None, and `user_id`, if `sets_user_id`, or None.

    Raises InvalidRequestError, which lists the broken rules.
    """
    valid = validated(_PATCH, document)
    metadata = valid.get("user_metadata")
    return {
        "user_metadata": None if metadata is None else as_json(metadata),
        "user_id": valid.get("user_id"),
        "sets_user_id": "user_id" in valid,
    }
