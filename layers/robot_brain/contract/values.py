"""Types that several forms share, and the rules for validating forms."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.config import JsonDict

from robot_brain.bodies.sizes import check_metadata, check_text, check_user_id
from robot_brain.limits import (
    KEY_HOURS,
    MAX_CURSOR_LENGTH,
    MAX_INTEGER,
    MAX_ITEMS,
    MAX_KEY_LENGTH,
    MAX_NAME_LENGTH,
    MAX_SESSION_ID_LENGTH,
    MAX_TAG_DIGITS,
    MAX_TEXT_BYTES,
    MAX_USER_ID_LENGTH,
    MAX_VERSION_LENGTH,
)


def _open(schema: JsonDict) -> None:
    """Let a schema accept unknown members. Later versions add members, and clients ignore them."""
    schema.pop("additionalProperties", None)


# A client's body: no value is converted, and no unknown member is accepted.
BODY = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)
# Our answers. Validation accepts no unknown member, so that a test finds a member that is not declared.
ANSWER = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True, json_schema_extra=_open)
# Values in the query, the headers and the path arrive as text.
PARAMETERS = ConfigDict(extra="forbid", use_attribute_docstrings=True)

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
# JSON Schema counts code points, and each takes at least one byte. So no valid text has more code points than this.
Text = Annotated[str, AfterValidator(check_text), Field(json_schema_extra={"maxLength": MAX_TEXT_BYTES})]
Metadata = Annotated[dict[str, Any], AfterValidator(check_metadata)]
# Their size, at most 256 KiB, is checked by SQL: a check of each value here would take longer than the write.
Items = Annotated[list[dict[str, Any]], Field(max_length=MAX_ITEMS)]
Milliseconds = Annotated[int, Field(ge=0, le=MAX_INTEGER)]

SessionId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_SESSION_ID_LENGTH,
        pattern=r"^[^\x00-\x1f\x7f-\x9f/\\?#%]*$",
        json_schema_extra={"not": {"enum": [".", ".."]}},
    ),
]
# A check and not a pattern, because the rule is the one of a token's sub, too.
UserId = Annotated[
    str,
    AfterValidator(check_user_id),
    Field(
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_USER_ID_LENGTH,
            "pattern": r"^[^\x00-\x1f\x7f-\x9f/\\?#%]*$",
            "not": {"enum": [".", ".."]},
        }
    ),
]
Seq = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
Count = Annotated[int, Field(ge=0)]
TurnId = Annotated[
    str,
    Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", json_schema_extra={"format": "uuid"}),
]
# In UTC, always with six digits after the second's point.
Time = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
        json_schema_extra={"format": "date-time"},
    ),
]
Date = Annotated[str, Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", json_schema_extra={"format": "date"})]
# "<last_seq>.<version>"
EntityTag = Annotated[str, Field(pattern=r'^"[0-9]+\.[0-9a-f]+"$')]
# An entity tag, or the last seq alone in quotes.
State = Annotated[str, Field(pattern=rf'^"[0-9]{{1,{MAX_TAG_DIGITS}}}(\.[0-9A-Za-z]{{1,{MAX_VERSION_LENGTH}}})?"$')]
# The place in a list. Clients do not read it.
Cursor = Annotated[str, Field(min_length=1, max_length=MAX_CURSOR_LENGTH, pattern=r"^[\x21-\x7e]*$")]
# The client's name for a request.
IdempotencyKey = Annotated[
    str,
    Field(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_KEY_LENGTH,
        pattern=r"^[\x20-\x2b\x2d-\x7e]*$",
        description=f"The client's name for this request, remembered for {KEY_HOURS} hours. If the same request is "
        "sent again, it gets the first answer and stores nothing. Printable ASCII without a comma.",
    ),
]
