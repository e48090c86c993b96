"""GET /sessions with `metadata` and `path`, through the handler."""

import json
from typing import Any

import pytest

from tests.integration.edge import assert_problem
from tests.support.bundle import Bundle, turn

SESSIONS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "plain": (None, {}),
    "ada": ("ada", {"name": "Ada", "likes": {"milk": "oat", "sizes": [1, 2]}, "orders": [{"item": "mocha", "n": 2}]}),
    "bo": (
        "bo",
        {"name": "Bo", "likes": {"milk": "oat"}, "orders": [{"item": "tea", "n": 1}, {"item": "mocha", "n": 1}]},
    ),
    "cy": (None, {"name": "Cy", "likes": {"milk": "non-fat", "sizes": [2]}, "vip": True}),
    "odd": (None, {'"$?': "$", "likes": "oat"}),
}


@pytest.fixture
def filled(bundle: Bundle) -> Bundle:
    """The sessions SESSIONS, the last one the most recently active."""
    for name, (user, metadata) in SESSIONS.items():
        assert bundle.write(name, turn(user_metadata=metadata)).status == 201
        if user:
            bundle.patch(name, {"user_id": user})
    return bundle


def found(bundle: Bundle, **query: Any) -> list[str]:
    reply = bundle.sessions(**query)
    assert reply.status == 200, reply.body
    assert reply.json["page"] == {"cursor": None, "complete": True}
    return [session["id"] for session in reply.json["sessions"]]


@pytest.mark.parametrize(
    ("metadata", "ids"),
    [
        ({"likes": {"milk": "oat"}}, ["bo", "ada"]),
        ({"likes": {}}, ["cy", "bo", "ada"]),
        ({"likes": {"sizes": [2]}}, ["cy", "ada"]),
        ({"likes": {"sizes": []}}, ["cy", "ada"]),
        ({"orders": [{"item": "mocha"}]}, ["bo", "ada"]),
        ({"orders": [{"item": "mocha", "n": 1}]}, ["bo"]),
        ({"vip": True, "name": "Cy"}, ["cy"]),
        ({"vip": "true"}, []),
        ({'"$?': "$"}, ["odd"]),
        ({"name": "ADA"}, []),
    ],
)
def test_metadata_finds_the_sessions_that_contain_it(filled: Bundle, metadata: Any, ids: list[str]) -> None:
    assert found(filled, metadata=json.dumps(metadata)) == ids


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ('$.likes.milk == "oat"', ["bo", "ada"]),
        ('$.likes.milk == "oat" && $.name == "Bo"', ["bo"]),
        ('$.name == "Ada" || $.vip == true', ["cy", "ada"]),
        ("$.likes.sizes[*] == 1", ["ada"]),
        ('$.orders[*] ? (@.item == "mocha" && @.n == 1)', ["bo"]),
        ('$.orders[0] ? (@.item == "mocha")', ["ada"]),
        ('$."\\"$?" == "$"', ["odd"]),
        ('$.likes == "oat"', ["odd"]),
        ('$.nothing == "oat"', []),
    ],
)
def test_a_path_finds_the_sessions_for_which_it_is_true_or_finds_something(
    filled: Bundle, path: str, ids: list[str]
) -> None:
    assert found(filled, path=path) == ids


def test_filters_of_metadata_path_and_user_hold_together_and_with_previews(filled: Bundle) -> None:
    oat, mocha = json.dumps({"likes": {"milk": "oat"}}), '$.orders[*] ? (@.item == "mocha" && @.n == 1)'
    assert found(filled, metadata=oat, path=mocha) == ["bo"]
    assert found(filled, metadata=oat, user_id="ada") == ["ada"]
    assert found(filled, metadata=oat, path=mocha, user_id="ada") == []
    (session,) = filled.sessions(metadata=oat, user_id="ada", preview="true").json["sessions"]
    assert session["preview"]["seq"] == 1
    assert session["user_metadata"] == SESSIONS["ada"][1]


def test_a_change_of_metadata_is_found_at_once_and_what_it_was_no_longer(filled: Bundle) -> None:
    filled.patch("ada", {"user_metadata": {"likes": {"milk": "soy"}}})
    assert found(filled, path='$.likes.milk == "oat"') == ["bo"]
    assert found(filled, path='$.likes.milk == "soy"') == ["ada"]
    filled.erase("bo")
    assert found(filled, path='$.likes.milk == "oat"') == []


def test_a_cursor_of_a_search_by_metadata_goes_on_with_the_same_filters_alone(filled: Bundle) -> None:
    chosen = {"metadata": json.dumps({"likes": {"milk": "oat"}}), "path": "$.orders[*].n == 1 || $.orders[*].n == 2"}
    page = filled.sessions(limit=1, **chosen).json
    assert [session["id"] for session in page["sessions"]] == ["bo"]
    assert page["page"]["complete"] is True
    cursor = page["page"]["cursor"]
    # The spelling of a filter does not matter.
    same = {"metadata": '{ "likes":{"milk":"oat"} }', "path": "($.orders[*].n==1)||$.orders[*].n==2"}
    for again in (chosen, same):
        after = filled.sessions(limit=1, cursor=cursor, **again).json
        assert [session["id"] for session in after["sessions"]] == ["ada"]
        assert after["page"] == {"cursor": None, "complete": True}
    plain = filled.sessions(limit=1).json["page"]["cursor"]
    for other in (
        {"cursor": cursor},
        {"cursor": cursor, "metadata": chosen["metadata"]},
        {"cursor": cursor, "path": chosen["path"]},
        {"cursor": cursor, **chosen, "user_id": "ada"},
        {"cursor": cursor, **chosen, "path": "$.orders[*].n == 1"},
        {"cursor": plain, **chosen},
    ):
        reply = filled.sessions(**other)
        assert_problem(reply, 422, filled.context.aws_request_id)
        assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", "cursor"], "cursor")]


def test_a_list_without_these_filters_has_the_page_that_it_had(filled: Bundle) -> None:
    assert filled.sessions().json["page"] == {"cursor": None}
