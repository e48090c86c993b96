"""The body of a patch of a session: what it changes, and what is refused."""

import json
from typing import Any

import pytest

from robot_brain.bodies.patch import patch
from robot_brain.caller import USER_ID_RULE
from robot_brain.errors import InvalidRequestError
from tests.support.bundle import Json


@pytest.mark.parametrize(
    ("document", "user_metadata", "user_id", "sets_user_id"),
    [
        ({}, None, None, False),
        ({"user_metadata": {}}, "{}", None, False),
        ({"user_metadata": {"a": None, "b": {"c": 1}}}, '{"a":null,"b":{"c":1}}', None, False),
        ({"user_id": None}, None, None, True),
        ({"user_id": "é" * 255}, None, "é" * 255, True),
        ({"user_id": "a b"}, None, "a b", True),
    ],
)
def test_a_patch_changes_only_what_it_names(
    document: Json, user_metadata: str | None, user_id: str | None, sets_user_id: bool
) -> None:
    assert patch(document) == {"user_metadata": user_metadata, "user_id": user_id, "sets_user_id": sets_user_id}


@pytest.mark.parametrize(
    ("document", "place", "message"),
    [
        ({"user_metadata": None}, "user_metadata", "must be an object"),
        ({"user_metadata": []}, "user_metadata", "must be an object"),
        ({"user_id": 7}, "user_id", "must be a string"),
        *(({"user_id": text}, "user_id", USER_ID_RULE) for text in ("", "x" * 256, "a\n", "\x85", "a/b", "..")),
        ({"id": "x"}, "id", "is not a known member"),
        ({"user_metadata": {"a": "b" * 16384}}, "user_metadata", "must be at most 16 KiB as stored"),
    ],
)
def test_a_wrong_patch_is_refused_in_words_of_json(document: Any, place: str, message: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        patch(json.loads(json.dumps(document)))
    assert [(found["loc"], found["msg"]) for found in error.value.errors] == [(["body", place], message)]
