"""What the bodies of requests share: validation with the rules in words, and the encoder of what the database gets.

Only the core of Pydantic is imported. Its package takes 70 ms more at each cold start (docs/decisions/0018).
The result is plain dicts, which need no conversion before they are sent.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from robot_brain.bodies.core import SchemaValidator, ValidationError
from robot_brain.errors import InvalidRequestError
from robot_brain.limits import MAX_COUNTED_ERRORS, MAX_ITEMS_BYTES

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# The core's own encoder takes 2 us less for a turn, but its first use takes 2 ms, to import fractions and uuid.
as_json = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode

# The validator's messages name types of Python ("a valid dictionary"). These messages name types of JSON.
_MESSAGES = {
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "extra_forbidden": "is not a known member",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be an array",
    "missing": "is missing",
    "string_pattern_mismatch": "must have no control character",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} character",
    "string_type": "must be a string",
    "too_long": "must have at most {max_length} elements",
    "too_short": "must have at least {min_length} element",
}


def validated(validator: SchemaValidator, document: dict[str, Any]) -> dict[str, Any]:
    """Return a parsed body with its defaults. Raises InvalidRequestError, which lists the broken rules."""
    try:
        valid: dict[str, Any] = validator.validate_python(document)
    except ValidationError as error:
        if error.error_count() > MAX_COUNTED_ERRORS:
            raise InvalidRequestError.at(
                ["body"], f"breaks the rules in {error.error_count()} places", "too_many_errors"
            ) from None
        raise InvalidRequestError(
            [
                {"loc": ["body", *found["loc"]], "msg": _message(found), "type": found["type"]}
                for found in error.errors(include_url=False, include_input=False)
            ]
        ) from None
    return valid


def _message(found: ErrorDetails) -> str:
    """Return the broken rule in words. The errors of our own checks have their words already."""
    message = _MESSAGES.get(found["type"])
    return found["msg"] if message is None else message.format_map(found.get("ctx", {}))


def json_of_turns(turns: dict[str, Any] | list[dict[str, Any]]) -> str:
    """Return one turn, or the turns of a batch, as JSON. Raises InvalidRequestError for items that are too large.

    PostgreSQL stores items with more bytes than this JSON has, and measures them again. So most bodies are small enough
    as a whole, and their items are not encoded twice.
    """
    text = as_json(turns)
    if len(text) > MAX_ITEMS_BYTES // 4 and len(text.encode()) > MAX_ITEMS_BYTES:
        batch = isinstance(turns, list)
        for index, turn in enumerate(turns if isinstance(turns, list) else [turns]):
            if "items" in turn and len(as_json(turn["items"]).encode()) > MAX_ITEMS_BYTES:
                place: list[str | int] = ["messages", index] if batch else []
                raise InvalidRequestError.at(
                    ["body", *place, "items"],
                    f"must be at most {MAX_ITEMS_BYTES // 1024} KiB as stored",
                    "items_too_large",
                )
    return text
