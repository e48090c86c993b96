"""Validate the body of a write, one turn or a batch, by the schemas that `make contract` compiled (schemas.py).

Only the core of Pydantic is imported. Its package takes 70 ms more at each cold start (docs/decisions/0018).
The result is plain dicts, which need no conversion before they are sent.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from robot_brain.bodies.core import SchemaValidator, ValidationError
from robot_brain.bodies.schemas import BATCH, ONE_TURN
from robot_brain.errors import InvalidRequestError
from robot_brain.limits import MAX_COUNTED_ERRORS

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_ONE_TURN = SchemaValidator(ONE_TURN)
_BATCH = SchemaValidator(BATCH)
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
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} character",
    "string_type": "must be a string",
    "too_long": "must have at most {max_length} elements",
    "too_short": "must have at least {min_length} element",
}


def _message(found: ErrorDetails) -> str:
    """Return the broken rule in words. The errors of our own checks have their words already."""
    message = _MESSAGES.get(found["type"])
    return found["msg"] if message is None else message.format_map(found.get("ctx", {}))


class Write:
    """A valid write: `messages` is a JSON array of turns with their defaults, `user_metadata` is JSON or None."""

    __slots__ = ("messages", "turns", "user_metadata")

    def __init__(self, document: dict[str, Any]) -> None:
        """Validate a parsed body, one turn or a batch. Raises InvalidRequestError, which lists the broken rules."""
        try:
            valid = (_BATCH if "messages" in document else _ONE_TURN).validate_python(document)
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
        metadata = valid.pop("user_metadata", None)
        turns = valid.get("messages", [valid])
        for turn in turns:
            if "interaction" in turn:
                turn["interaction"].setdefault("robot_id", turn["robot_personality"])
        self.turns = len(turns)
        self.messages = as_json(turns)
        self.user_metadata = None if metadata is None else as_json(metadata)
