"""The body of a write, as Pydantic's core schemas. A constraint of the contract stands here and nowhere else.

The core, without the package pydantic around it: models that mean the same take 70 ms more at each cold start, most of
it to build their classes (DECISIONS.md). What comes out is plain dicts, so nothing is taken apart again to be sent.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from pydantic_core import ErrorDetails, PydanticCustomError, SchemaValidator, ValidationError, to_json
from pydantic_core.core_schema import (
    CoreConfig,
    CoreSchema,
    TypedDictField,
    bool_schema,
    dict_schema,
    int_schema,
    list_schema,
    no_info_after_validator_function,
    str_schema,
    typed_dict_field,
    typed_dict_schema,
    with_default_schema,
)

from robot_brain.errors import InvalidRequestError
from robot_brain.limits import (
    MAX_COUNTED_ERRORS,
    MAX_INTEGER,
    MAX_METADATA_BYTES,
    MAX_NAME_LENGTH,
    MAX_TEXT_BYTES,
    MAX_TURNS,
)


def _text(value: str) -> str:
    # A character has at most four bytes, so most texts need no encoding to be measured.
    if len(value) > MAX_TEXT_BYTES // 4 and len(value.encode()) > MAX_TEXT_BYTES:
        raise PydanticCustomError("text_too_large", "must be at most 256 KiB of UTF-8")
    return value


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    if stored_size(value) > MAX_METADATA_BYTES:
        raise PydanticCustomError("metadata_too_large", "must be at most 16 KiB as stored")
    return value


def stored_size(value: Any) -> int:
    """Return the bytes that `value` takes as text once PostgreSQL has stored it as jsonb.

    That is json.dumps but for one thing: jsonb keeps numbers as decimals and writes them without an exponent, so 1e308
    takes 309 characters.
    """
    if isinstance(value, dict):
        inside = sum(stored_size(key) + 2 + stored_size(member) for key, member in value.items())
        return 2 + inside + 2 * max(0, len(value) - 1)
    if isinstance(value, list):
        return 2 + sum(stored_size(member) for member in value) + 2 * max(0, len(value) - 1)
    if isinstance(value, float):
        # Adding 0.0 takes the sign off a negative zero, which a decimal does not have.
        return len(format(Decimal(repr(value + 0.0)), "f"))
    return len(json.dumps(value, ensure_ascii=False).encode())


def _object(fields: dict[str, TypedDictField]) -> CoreSchema:
    """Return the schema of an object of `fields`; nothing is converted and nothing unknown is accepted."""
    return typed_dict_schema(fields, config=CoreConfig(strict=True, extra_fields_behavior="forbid"))


def _optional(schema: CoreSchema) -> TypedDictField:
    """Return the field for what may be absent, and is never null."""
    return typed_dict_field(schema, required=False)


_TEXT = no_info_after_validator_function(_text, str_schema())
_METADATA = no_info_after_validator_function(_metadata, dict_schema(str_schema()))
_NAME = str_schema(min_length=1, max_length=MAX_NAME_LENGTH)

# What the robot did during a turn, for the statistics.
_INTERACTION = _object(
    {
        "interaction_type": typed_dict_field(_NAME),
        "duration_ms": typed_dict_field(int_schema(ge=0, le=MAX_INTEGER)),
        "success": typed_dict_field(bool_schema()),
        "robot_id": _optional(_NAME),
    }
)

# What the user said and what the robot answered.
_TURN = {
    "robot_personality": typed_dict_field(_NAME),
    "user_message": typed_dict_field(_TEXT),
    "robot_response": typed_dict_field(_TEXT),
    "metadata": typed_dict_field(with_default_schema(_METADATA, default_factory=dict)),
    "interaction": _optional(_INTERACTION),
}

# What may stand beside a turn or a batch.
_BESIDE = {"user_metadata": _optional(_METADATA)}

_ONE_TURN = SchemaValidator(_object({**_TURN, **_BESIDE}))
_BATCH = SchemaValidator(
    _object({"messages": typed_dict_field(list_schema(_object(_TURN), min_length=1, max_length=MAX_TURNS)), **_BESIDE})
)


# The validator's own words are those of Python ("a valid dictionary"); a client reads those of JSON.
_SAID = {
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "extra_forbidden": "is not a member that is known here",
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


def _said(found: ErrorDetails) -> str:
    """Return what the rule is that was broken; what this module raises itself says it already."""
    said = _SAID.get(found["type"])
    return found["msg"] if said is None else said.format_map(found.get("ctx", {}))


class Write:
    """A valid write: `messages` as a JSON array of turns with defaults filled in, `user_metadata` as JSON or None."""

    __slots__ = ("messages", "turns", "user_metadata")

    def __init__(self, document: dict[str, Any]) -> None:
        """Validate a parsed body, one turn or a batch. Raise InvalidRequestError, which names every broken rule."""
        try:
            valid = (_BATCH if "messages" in document else _ONE_TURN).validate_python(document)
        except ValidationError as error:
            if error.error_count() > MAX_COUNTED_ERRORS:
                raise InvalidRequestError.at(
                    ["body"], f"breaks the rules in {error.error_count()} places", "too_many_errors"
                ) from None
            raise InvalidRequestError(
                [
                    {"loc": ["body", *found["loc"]], "msg": _said(found), "type": found["type"]}
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


def as_json(value: Any) -> str:
    """Return the JSON that is sent to the database; its numbers mean the same to PostgreSQL as those of json.dumps."""
    return to_json(value).decode()
