"""A turn in the body of a request, whole or as a replacement."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.values import BODY, Items, Metadata, Milliseconds, Name, Text

EmptyByDefault = Annotated[Metadata, Field(default_factory=dict, json_schema_extra={"default": {}})]


@with_config(BODY)
class Interaction(TypedDict):
    """What the robot did during a turn, for the statistics. No answer contains it, and it is never changed."""

    interaction_type: Name
    """The kind of interaction."""
    duration_ms: Milliseconds
    """The duration in milliseconds."""
    success: bool
    """Whether the interaction succeeded."""
    robot_id: NotRequired[Name]
    """The robot. If absent, `robot_personality` is used."""
    metadata: NotRequired[EmptyByDefault]
    """Any other data about the interaction, at most 16 KiB as stored."""


@with_config(BODY)
class Replacement(TypedDict):
    """The new content of a turn. The turn keeps its id, seq, personality and time."""

    user_message: Text
    """The user's message. At most 256 KiB of UTF-8; may be empty."""
    robot_response: Text
    """The robot's response. At most 256 KiB of UTF-8; empty if there is no response yet."""
    items: NotRequired[Items]
    """Opaque objects, such as tool calls and their outputs. Together at most 256 KiB as stored. If absent, the turn has
    no items."""
    metadata: NotRequired[EmptyByDefault]
    """Any other data about the turn, at most 16 KiB as stored."""
    interaction: NotRequired[Interaction]
    """What the robot did during the turn. If the turn has an interaction, it is kept and cannot be changed."""


@with_config(BODY)
class Turn(TypedDict):
    """A user message and a robot response."""

    robot_personality: Name
    """The personality of the robot that answered."""
    user_message: Text
    """The user's message. At most 256 KiB of UTF-8; may be empty."""
    robot_response: Text
    """The robot's response. At most 256 KiB of UTF-8; empty if there is no response yet."""
    items: NotRequired[Items]
    """Opaque objects, such as tool calls and their outputs. Together at most 256 KiB as stored."""
    metadata: NotRequired[EmptyByDefault]
    """Any other data about the turn, at most 16 KiB as stored."""
    interaction: NotRequired[Interaction]
    """What the robot did during the turn."""
