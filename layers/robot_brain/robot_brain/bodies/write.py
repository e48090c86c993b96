"""Validate the bodies of a write and of a replacement, by the schemas that `make contract` compiled."""

from __future__ import annotations

from typing import Any

from robot_brain.bodies.core import SchemaValidator
from robot_brain.bodies.validation import as_json, json_of_turns, validated
from robot_brain.bodies.write_schemas import BATCH, ONE_TURN, REPLACEMENT

_ONE_TURN = SchemaValidator(ONE_TURN)
_BATCH = SchemaValidator(BATCH)
_REPLACEMENT = SchemaValidator(REPLACEMENT)


class Write:
    """A valid write. `turns` and `items` are counts.

    `arguments` has `messages`, a JSON array of turns with their defaults, `user_metadata`, which is JSON or None, and
    whether the body `is_batch`.
    """

    __slots__ = ("arguments", "items", "turns")

    def __init__(self, document: dict[str, Any]) -> None:
        """Validate a parsed body, one turn or a batch. Raises InvalidRequestError, which lists the broken rules."""
        is_batch = "messages" in document
        valid = validated(_BATCH if is_batch else _ONE_TURN, document)
        metadata = valid.pop("user_metadata", None)
        turns = valid["messages"] if is_batch else [valid]
        for turn in turns:
            if "interaction" in turn:
                turn["interaction"].setdefault("robot_id", turn["robot_personality"])
                # An empty object is the same as none, so that a key from before this member existed keeps its meaning.
                if not turn["interaction"]["metadata"]:
                    del turn["interaction"]["metadata"]
        self.turns = len(turns)
        self.items = sum(len(turn.get("items", ())) for turn in turns)
        self.arguments: dict[str, Any] = {
            "messages": json_of_turns(turns) if is_batch else f"[{json_of_turns(valid)}]",
            "user_metadata": None if metadata is None else as_json(metadata),
            "is_batch": is_batch,
        }


class Replacement:
    """A valid replacement of a turn: `turn` is a JSON object with its defaults."""

    __slots__ = ("items", "turn")

    def __init__(self, document: dict[str, Any]) -> None:
        """Validate a parsed body. Raises InvalidRequestError, which lists the broken rules."""
        valid = validated(_REPLACEMENT, document)
        self.items = len(valid.get("items", ()))
        self.turn = json_of_turns(valid)
