"""Validate the bodies of users, by the schemas that `make contract` compiled."""

from __future__ import annotations

from typing import Any

from robot_brain.bodies.core import SchemaValidator
from robot_brain.bodies.email import email_key
from robot_brain.bodies.user_schemas import USER_CONTENT, USER_PATCH
from robot_brain.bodies.validation import as_json, validated

_CONTENT = SchemaValidator(USER_CONTENT)
_PATCH = SchemaValidator(USER_PATCH)


def content(document: dict[str, Any]) -> tuple[str, str | None]:
    """Return a parsed body of a new user or a replacement as JSON, and the key of its e-mail or None.

    Raises InvalidRequestError, which lists the broken rules.
    """
    return _with_key(validated(_CONTENT, document))


def patch(document: dict[str, Any]) -> tuple[str, str | None]:
    """Return a parsed merge patch as `content` does. Raises InvalidRequestError, which lists the broken rules."""
    return _with_key(validated(_PATCH, document))


def _with_key(valid: dict[str, Any]) -> tuple[str, str | None]:
    email = valid.get("email")
    return as_json(valid), None if email is None else email_key(email, ["body", "email"])
