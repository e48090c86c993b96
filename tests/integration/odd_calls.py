"""Calls of write_message without the layer: calls that SQL refuses, and odd calls that harm no other tenant."""

import json
from typing import Any

from psycopg.types.json import Jsonb

from robot_brain.limits import (
    MAX_INTEGER,
    MAX_NAME_LENGTH,
    MAX_SESSION_ID_LENGTH,
    MAX_TEXT_BYTES,
    MAX_TURNS,
)
from tests.support.bundle import Json
from tests.support.random_bodies import FILLING

TURN: Json = {"robot_personality": "p", "user_message": "q", "robot_response": "a", "metadata": {}}
INTERACTION: Json = {"robot_id": "r", "interaction_type": "t", "duration_ms": 1, "success": True}
WRITE: dict[str, Any] = {"p_tenant_id": "other", "p_session_id": "s", "p_messages": Jsonb([TURN])}

NOT_NULL = "23502"
CHECK = "23514"
TOO_LONG = "22001"
INVALID = "22023"


def messages(*changes: Json, **first: Any) -> dict[str, Any]:
    """Return the arguments of a write: one turn changed by `first`, and one more for each of `changes`."""
    return {"p_messages": Jsonb([TURN | first, *(TURN | change for change in changes)])}


def interaction(**changes: Any) -> dict[str, Any]:
    """Return the arguments of a write whose second turn has an interaction with `changes`."""
    return messages({"interaction": INTERACTION | changes})


def deep(depth: int) -> Json:
    """Return an object of `depth` objects, each inside the one before it."""
    value: Json = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "personality of 8,000 characters": (messages(robot_personality="x" * 8000), TOO_LONG),
    "personality of 51 characters": (messages(robot_personality="x" * (MAX_NAME_LENGTH + 1)), TOO_LONG),
    "personality of 51 characters in the last turn": (
        messages(TURN, {"robot_personality": "ü" * (MAX_NAME_LENGTH + 1)}),
        TOO_LONG,
    ),
    "no personality": (messages(robot_personality=None), NOT_NULL),
    "session id of 101 characters": ({"p_session_id": "x" * (MAX_SESSION_ID_LENGTH + 1)}, TOO_LONG),
    "session id of 8,000 characters": ({"p_session_id": "x" * 8000}, TOO_LONG),
    "no session id": ({"p_session_id": None}, NOT_NULL),
    "tenant of 129 characters": ({"p_tenant_id": "x" * 129}, TOO_LONG),
    "tenant of 8,000 characters": ({"p_tenant_id": "x" * 8000}, TOO_LONG),
    "session id of 100 characters and a space": ({"p_session_id": "x" * MAX_SESSION_ID_LENGTH + " "}, TOO_LONG),
    "tenant of 128 characters and a space": ({"p_tenant_id": "x" * 128 + " "}, "42501"),
    "empty tenant": ({"p_tenant_id": ""}, "42501"),
    "no tenant": ({"p_tenant_id": None}, "42501"),
    "the tenant of the rows of all tenants": ({"p_tenant_id": "*"}, INVALID),
    "user message over 256 KiB": (messages(user_message="x" * (MAX_TEXT_BYTES + 1)), CHECK),
    "user message over 256 KiB of UTF-8": (messages(user_message="ü" * (MAX_TEXT_BYTES // 2 + 1)), CHECK),
    "no user message": (messages(user_message=None), NOT_NULL),
    "robot response over 256 KiB": (messages(robot_response="x" * (MAX_TEXT_BYTES + 1)), CHECK),
    "no robot response": (messages(robot_response=None), NOT_NULL),
    "metadata over 16 KiB": (messages(metadata={"a": "x" * FILLING + "x"}), CHECK),
    "a number of 100,000 digits in metadata": (
        {"p_messages": json.dumps([TURN | {"metadata": {"a": 0}}]).replace('"a": 0', '"a": 1e100000')},
        CHECK,
    ),
    "metadata that is an array": (messages(metadata=[1]), CHECK),
    "metadata that is null": (messages(metadata=None), CHECK),
    "no metadata": ({"p_messages": Jsonb([{k: v for k, v in TURN.items() if k != "metadata"}])}, NOT_NULL),
    "user_metadata over 16 KiB": ({"p_user_metadata": Jsonb({"a": "x" * FILLING + "x"})}, "RB423"),
    "user_metadata that is an array": ({"p_user_metadata": Jsonb([1])}, INVALID),
    "user_metadata that is a JSON null": ({"p_user_metadata": "null"}, INVALID),
    "robot id of 51 characters": (interaction(robot_id="x" * (MAX_NAME_LENGTH + 1)), TOO_LONG),
    "no robot id": (interaction(robot_id=None), NOT_NULL),
    "interaction type of 51 characters": (interaction(interaction_type="x" * (MAX_NAME_LENGTH + 1)), TOO_LONG),
    "no interaction type": (interaction(interaction_type=None), NOT_NULL),
    "duration over 2^31 - 1": (interaction(duration_ms=MAX_INTEGER + 1), "22003"),
    "duration that is not a whole number": (interaction(duration_ms=1.5), "22P02"),
    "no duration": (interaction(duration_ms=None), NOT_NULL),
    "success that is not a boolean": (interaction(success="perhaps"), "22P02"),
    "no success": (interaction(success=None), NOT_NULL),
    "interaction that is null": (messages({"interaction": None}), NOT_NULL),
    "interaction that is an array": (messages({"interaction": [INTERACTION]}), NOT_NULL),
    "101 turns": ({"p_messages": Jsonb([TURN] * (MAX_TURNS + 1))}, INVALID),
    "no turns": ({"p_messages": Jsonb([])}, INVALID),
    "messages that are an object": ({"p_messages": Jsonb(TURN)}, INVALID),
    "messages that are a text": ({"p_messages": Jsonb("x")}, INVALID),
    "messages that are a JSON null": ({"p_messages": "null"}, INVALID),
    "messages that are null": ({"p_messages": None}, INVALID),
    "a turn that is null": ({"p_messages": Jsonb([TURN, None])}, NOT_NULL),
    "a turn that is an array": ({"p_messages": Jsonb([[TURN]])}, NOT_NULL),
    "a turn that is a text": ({"p_messages": Jsonb(["x"])}, NOT_NULL),
    "JSON too deep to read": ({"p_messages": "[" * 100_000 + "]" * 100_000}, "54001"),
}

TAKEN: dict[str, dict[str, Any]] = {
    # The layer refuses these. SQL accepts them, because they harm no other tenant.
    "personality with a million spaces": messages(robot_personality="x" + " " * 10**6),
    "one of many personalities with a million spaces": messages(TURN, robot_personality="x" + " " * 10**6),
    "robot id with a million spaces": interaction(robot_id="x" + " " * 10**6),
    "empty personality": messages(robot_personality=""),
    "empty session id": {"p_session_id": ""},
    "empty robot id": interaction(robot_id=""),
    "empty interaction type": interaction(interaction_type=""),
    "negative duration": interaction(duration_ms=-1),
    "personality of 50 characters of four bytes": messages(robot_personality="🤖" * MAX_NAME_LENGTH),
    "session id of 100 characters of four bytes": {"p_session_id": "🤖" * MAX_SESSION_ID_LENGTH},
    "tenant of 128 characters": {"p_tenant_id": "x" * 128},
    "texts of 256 KiB": messages(user_message="x" * MAX_TEXT_BYTES, robot_response="ü" * (MAX_TEXT_BYTES // 2)),
    "metadata of 16 KiB": messages(metadata={"a": "x" * FILLING}),
    "metadata 2,300 deep": messages(metadata=deep(2_300)),
    "100 turns of one personality each": {
        "p_messages": Jsonb(
            [TURN | {"robot_personality": f"{n:03}" + "🤖" * (MAX_NAME_LENGTH - 3)} for n in range(MAX_TURNS)]
        )
    },
    "key of 1 MB": {"p_key": "k" * 2**20},
    "empty key": {"p_key": ""},
    "a key with characters that no header holds": {"p_if_match": None, "p_key": "é\n,"},
    "no user_metadata": {"p_user_metadata": None},
    "no first id": {"p_first_id": None, "p_repeated": None},
    "repeated without a first id": {"p_repeated": True},
    "no schema version": {"p_schema_version": None},
    "duration of 2^31 - 1": interaction(duration_ms=MAX_INTEGER),
}
