"""A session's answer_bytes is an upper bound for the size of an answer with all of its turns."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from contract.turns import Turn
from tests.support.bundle import deployed
from tests.support.servers.databases import Database

# PostgreSQL and Lambda escape this character to seven bytes, the most of all characters.
LONGEST = "\x01"
TURNS = 5


def longest_turn() -> dict[str, Any]:
    """Return a turn with every text of the contract. Each has its greatest length, but at most 2,000 characters."""
    members = TypeAdapter(Turn).json_schema()["properties"]
    texts = {name: schema["maxLength"] for name, schema in members.items() if schema.get("type") == "string"}
    assert {"robot_personality", "user_message", "robot_response"} <= texts.keys()
    return {name: LONGEST * min(length, 2_000) for name, length in texts.items()}


def shortest_turn() -> dict[str, Any]:
    """Return a turn without optional members, and with empty texts if they may be empty."""
    return {"robot_personality": "a", "user_message": "", "robot_response": ""}


def length(messages: Any) -> int:
    """Return the bytes of turns in an answer, escaped as PostgreSQL and Lambda escape them."""
    return len(json.dumps(json.dumps(messages, ensure_ascii=False), ensure_ascii=False).encode())


def answer_bytes(database: Database) -> int:
    """Return the bound of the only session."""
    with database.admin() as admin:
        row = admin.execute("select answer_bytes from robot_brain.sessions").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("turn", [longest_turn(), shortest_turn()], ids=["longest", "shortest"])
@pytest.mark.parametrize("at_once", [True, False])
def test_an_answer_is_no_longer_than_answer_bytes_of_its_session(
    turn: dict[str, Any], at_once: bool, database: Database
) -> None:
    with deployed({"DATABASE_URL": database.app_url}) as bundle:
        for body in [{"messages": [turn] * TURNS}] if at_once else [turn] * TURNS:
            assert bundle.write("s", body).status == 201
        written = bundle.read("s").json["messages"]
        assert len(written) == TURNS
        assert length(written) <= answer_bytes(database)

        # A turn with all members: the items and the time of a change are left out if they are absent.
        changed = {name: value for name, value in turn.items() if name != "robot_personality"} | {"items": []}
        for seq in range(1, TURNS + 1):
            assert bundle.replace("s", seq, changed).status == 200
        replaced = bundle.read("s").json["messages"]
        assert all({"items", "updated_at"} <= each.keys() for each in replaced)
        assert length(replaced) <= answer_bytes(database)
