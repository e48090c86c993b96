"""Random bodies of requests, from few texts and values, so that equal ones are frequent."""

from __future__ import annotations

import random
from typing import Any

from tests.model.store import Json

TEXTS = ("", "hello", "x" * 30, "日本", "\U0001f916 robot")
# Neither 0 nor 1, because Python takes them for equal to False and True.
VALUES: tuple[Any, ...] = (7, "two", [3, None], {"deep": {"er": 4}}, {"deep": 5}, True, 0.5)
PATCHES: tuple[Json, ...] = (
    {},
    {"a": 1},
    {"a": None},
    {"deep": {"x": 1}},
    {"deep": {"x": None, "y": {"z": None}}},
    {"deep": [1, None]},
    {"b": {"c": {"d": 1}}},
)


def random_turn(chance: random.Random) -> Json:
    """Return a turn."""
    texts = {"user_message": chance.choice(TEXTS), "robot_response": chance.choice(TEXTS)}
    return {"robot_personality": chance.choice(("barista", "guide")), **texts, **optional_members(chance)}


def optional_members(chance: random.Random) -> Json:
    """Return some of the members that a turn and a replacement may leave out."""
    made: Json = {}
    if chance.random() < 0.4:
        made["items"] = [{"type": "call", "value": chance.choice(VALUES)} for _ in range(chance.randrange(3))]
    if chance.random() < 0.4:
        made["metadata"] = {"m": chance.choice(VALUES)}
    if chance.random() < 0.3:
        made["interaction"] = {"interaction_type": "order", "duration_ms": chance.choice((0, 840)), "success": True}
        if chance.random() < 0.3:
            made["interaction"]["metadata"] = {"i": chance.choice(VALUES)}
    return made


def random_patch(chance: random.Random) -> Json:
    """Return a merge patch of user_metadata."""
    return {**chance.choice(PATCHES), **chance.choice(PATCHES)}
