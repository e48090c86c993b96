"""The body of a write, as models. A constraint of the contract stands here and nowhere else."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from robot_brain.errors import InvalidRequestError

MAX_TEXT_BYTES = 256 * 1024
MAX_METADATA_BYTES = 16 * 1024
# Naming 300,000 mistakes takes seconds, and nobody reads them.
_MOST_ERRORS = 1000


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


Text = Annotated[str, AfterValidator(_text)]
Metadata = Annotated[dict[str, Any], AfterValidator(_metadata)]
Name = Annotated[str, Field(min_length=1, max_length=50)]


class Model(BaseModel):
    """Nothing is converted and nothing unknown is accepted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Interaction(Model):
    """What the robot did during a turn, for the statistics."""

    interaction_type: Name
    duration_ms: Annotated[int, Field(ge=0, le=2**31 - 1)]
    success: bool
    robot_id: Name = ""


class Turn(Model):
    """What the user said and what the robot answered."""

    robot_personality: Name
    user_message: Text
    robot_response: Text
    metadata: Metadata = {}
    interaction: Interaction = Field(default=None)  # type: ignore[assignment]  # absent, and never null

    @model_validator(mode="after")
    def _robot_is_the_personality(self) -> Turn:
        if self.interaction is not None and not self.interaction.robot_id:
            self.interaction.robot_id = self.robot_personality
        return self


class Batch(Model):
    """Several turns of one session, written all or none."""

    messages: Annotated[list[Turn], Field(min_length=1, max_length=100)]
    user_metadata: Metadata = Field(default=None)  # type: ignore[arg-type]  # absent, and never null


class OneTurn(Turn):
    """One turn, with the session's metadata beside it."""

    user_metadata: Metadata = Field(default=None)  # type: ignore[arg-type]  # absent, and never null


class Write:
    """A valid write: `messages` as a JSON array of turns with defaults filled in, `user_metadata` as JSON or None."""

    __slots__ = ("messages", "turns", "user_metadata")

    def __init__(self, document: dict[str, Any]) -> None:
        """Validate a parsed body, one turn or a batch. Raise InvalidRequestError, which names every broken rule."""
        try:
            if "messages" in document:
                batch = Batch.model_validate(document)
                turns: list[Turn] = list(batch.messages)
                metadata = batch.user_metadata
            else:
                one = OneTurn.model_validate(document)
                turns, metadata = [one], one.user_metadata
        except ValidationError as error:
            if error.error_count() > _MOST_ERRORS:
                raise InvalidRequestError.at(
                    ["body"], f"breaks the rules in {error.error_count()} places", "too_many_errors"
                ) from None
            raise InvalidRequestError(
                [
                    {"loc": ["body", *found["loc"]], "msg": found["msg"], "type": found["type"]}
                    for found in error.errors(include_url=False, include_context=False, include_input=False)
                ]
            ) from None
        self.turns = len(turns)
        self.messages = _json([turn.model_dump(exclude_none=True, exclude={"user_metadata"}) for turn in turns])
        self.user_metadata = None if metadata is None else _json(metadata)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
