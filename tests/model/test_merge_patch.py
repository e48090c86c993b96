"""PATCH merges user_metadata as RFC 7396 says: its examples, and random values compared with plain Python."""

import json
import os
import random
import secrets
from typing import Any

import psycopg
import pytest

from tests.model.merge_patch import EXAMPLES, merge_patch
from tests.model.request import GET, PATCH, POST, Request, send
from tests.support.bundle import deployed
from tests.support.servers.databases import Database

ROUNDS = int(os.environ.get("MODEL_ROUNDS", "1000")) // 5
_NAMES = ("a", "b", "c", "é", "", "robot_personality", "\U0001f916", "$.a", "x y")
_LEAVES: tuple[Any, ...] = (None, None, 0, 1, -1.5, "", "text", True, False, [], {}, 12345678901234567890)


@pytest.mark.parametrize(("original", "patch", "result"), EXAMPLES, ids=lambda value: json.dumps(value))
def test_the_model_merges_the_examples_of_rfc_7396(original: Any, patch: Any, result: Any) -> None:
    assert merge_patch(original, patch) == result


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("route", [PATCH, POST])
def test_patch_and_post_merge_the_examples_of_rfc_7396(database: Database, route: str) -> None:
    # user_metadata is an object, so each example is the value of a member.
    with deployed({"DATABASE_URL": database.app_url}), database.admin() as admin:
        for number, (original, patch, result) in enumerate(EXAMPLES):
            merged = {} if result is None else {"v": result}
            assert merged_by(admin, route, f"s{number}", {"v": original}, {"v": patch}) == merged


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_patch_and_post_merge_random_values_as_plain_python_does(database: Database) -> None:
    seed = os.environ.get("MODEL_SEED") or secrets.token_hex(4)
    print(f"MODEL_SEED={seed}")
    chance = random.Random(seed)
    with deployed({"DATABASE_URL": database.app_url}), database.admin() as admin:
        for number in range(ROUNDS):
            original, patch = value(chance, 4, {}), value(chance, 4, {})
            found = merged_by(admin, chance.choice((PATCH, POST)), f"s{number}", original, patch)
            assert found == merge_patch(original, patch), (original, patch)


def merged_by(admin: psycopg.Connection, route: str, session_id: str, original: Any, patch: Any) -> Any:
    """Return the user_metadata of a session that had `original`, after a request with `patch`.

    The database gets `original` directly, because no request stores a null as the value of a member.
    """
    send(Request(PATCH, session_id, body={}))
    admin.execute(
        "update robot_brain.sessions set user_metadata = %s where id = %s", [json.dumps(original), session_id]
    )
    turn = {"robot_personality": "p", "user_message": "", "robot_response": ""} if route == POST else {}
    reply = send(Request(route, session_id, body={**turn, "user_metadata": patch}))
    assert reply.status in (200, 201), reply.body
    return send(Request(GET, session_id)).json["session"]["user_metadata"]


def value(chance: random.Random, depth: int, kind: Any = None) -> Any:
    """Return a random JSON value: an object if `kind` is one, else of any kind."""
    roll = 0.0 if kind is not None else chance.random()
    if depth and roll < 0.6:
        return {chance.choice(_NAMES): value(chance, depth - 1) for _ in range(chance.randrange(5))}
    if depth and roll < 0.7:
        return [value(chance, depth - 1) for _ in range(chance.randrange(3))]
    return chance.choice(_LEAVES)
