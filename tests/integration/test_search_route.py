"""GET /search: its parameters, its events, its cursors, and answers that the document describes."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from robot_brain.limits import (
    DEFAULT_HITS,
    MAX_HITS,
)
from tests.integration.answered_search import SEARCH
from tests.integration.documented_answers import assert_documented
from tests.integration.edge import assert_problem, function_of
from tests.support.bundle import EVENTS, Bundle, Json, deployed, event, turn
from tests.support.documented import operations
from tests.support.searching import hits, places, whole
from tests.support.servers.databases import Template

# Another test sends the events of callers.
FILES = [path.stem for path in sorted(EVENTS.glob("search*.json")) if "jwt" not in path.stem]
# The session, the user message, the robot response and more of each turn, in the order in which they are written.
TURNS: list[tuple[str, str, str, Json]] = [
    ("a", "A dirty mocha, please.", "One mocha with milk.", {"metadata": {"mood": "good", "n": 1, "to go": True}}),
    ("a", "Is the milk warm?", "Yes, it is.", {"robot_personality": "waiter", "metadata": {"mood": "bad"}}),
    ("b", "A green tea.", "No dirty cups here, only mocha cups.", {"metadata": {"n": 1.0, "more": None}}),
    ("b", "Cold brew and cake", "Right away!", {"metadata": {"mood": ["good"]}}),
]
A1, A2, B1, B2 = ("a", 1), ("a", 2), ("b", 1), ("b", 2)


@pytest.fixture(scope="module")
def cafe(embedded_template: Template) -> Iterator[Bundle]:
    """The functions on a database with TURNS. The session `a` belongs to ann."""
    with (
        embedded_template.clone("embedded") as database,
        deployed({"DATABASE_URL": database.app_url}) as functions,
    ):
        for session, said, answered, more in TURNS:
            body = turn(user_message=said, robot_response=answered, **more)
            assert functions.write(session, body).status == 201
        assert functions.patch("a", {"user_id": "ann"}).status == 200
        yield functions


@pytest.mark.parametrize("name", FILES)
def test_an_event_of_the_search_is_accepted(bundle: Bundle, name: str) -> None:
    reply = bundle.call(function_of(event(name)), event(name))
    assert reply.status == 200, reply.body
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("q", "query", "found"),
    [
        ("mocha", {}, [B1, A1]),
        ("MOCHA", {}, [B1, A1]),
        ("mocha dirty", {}, [B1, A1]),
        ('"dirty mocha"', {}, [A1]),
        ('"mocha dirty"', {}, []),
        # A phrase does not go from one text into the other.
        ('"please one"', {}, []),
        ("mocha -milk", {}, [B1]),
        ("cake or tea", {}, [B2, B1]),
        ("latte", {}, []),
        ("mocha", {"in": "user"}, [A1]),
        ("mocha", {"in": "robot"}, [B1, A1]),
        ("dirty moc", {"prefix": "true"}, [B1, A1]),
        ("dirty moc", {"prefix": "false"}, []),
        ("milk", {"session_id": "a"}, [A2, A1]),
        ("milk", {"session_id": "b"}, []),
        ("milk", {"session_id": "unknown"}, []),
        ("mocha", {"user_id": "ann"}, [A1]),
        ("mocha", {"user_id": "bob"}, []),
        ("milk", {"personality": "waiter"}, [A2]),
        ("milk", {"personality": "Waiter"}, []),
        ("milk", {"metadata": '{"mood": "good"}'}, [A1]),
        ("milk", {"metadata": '{"mood": "good", "to go": true}'}, [A1]),
        ("milk", {"metadata": '{"mood": "good", "to go": false}'}, []),
        ("mocha", {"metadata": '{"n": 1}'}, [B1, A1]),
        ("mocha", {"metadata": '{"n": 1e0}'}, [B1, A1]),
        ("mocha", {"metadata": '{"n": "1"}'}, []),
        ("mocha", {"metadata": '{"more": null}'}, [B1]),
        ("cake", {"metadata": '{"mood": "good"}'}, []),
        ("mocha", {"from": "2000-01-01", "to": "9999-12-31"}, [B1, A1]),
        ("mocha", {"from": "9999-12-31"}, []),
        ("mocha", {"to": "2000-01-01"}, []),
    ],
)
def test_a_search_finds_the_turns_that_have_its_words_and_its_filters(
    cafe: Bundle, q: str, query: dict[str, Any], found: list[tuple[str, int]]
) -> None:
    assert places(cafe, q, **query) == found
    assert sorted(places(cafe, q, order="relevance", **query)) == sorted(found)


def test_a_turn_of_the_moment_from_is_found_and_one_of_the_moment_to_is_not(cafe: Bundle) -> None:
    newest, oldest = hits(cafe, "mocha")
    assert places(cafe, "mocha", **{"from": newest["created_at"]}) == [B1]
    assert places(cafe, "mocha", to=newest["created_at"]) == [A1]
    assert places(cafe, "mocha", **{"from": oldest["created_at"], "to": newest["created_at"]}) == [A1]


def test_a_hit_has_the_place_the_time_the_personality_and_a_part_of_the_texts(cafe: Bundle) -> None:
    reply = whole(lambda: cafe.search("milk", session_id="a"))
    assert_documented(SEARCH, reply)
    stored = {each["seq"]: each for each in cafe.read("a").json["messages"]}
    for hit in reply.json["hits"]:
        kept = stored[hit["seq"]]
        assert (hit["created_at"], hit["robot_personality"]) == (kept["created_at"], kept["robot_personality"])
        assert "<mark>milk</mark>" in hit["snippet"]
        assert "score" not in hit
    assert reply.json["as_of"] > stored[2]["created_at"]
    assert reply.json["page"] == {"cursor": None, "complete": True}
    ranked = whole(lambda: cafe.search("milk", session_id="a", order="relevance"))
    assert_documented(SEARCH, ranked)
    scores = [hit["score"] for hit in ranked.json["hits"]]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0


def test_the_example_of_the_document_is_the_answer_to_the_events(bundle: Bundle) -> None:
    content = operations()[SEARCH]["responses"]["200"]["content"]["application/json"]
    documented = copy.deepcopy(content["examples"]["search"]["value"])
    assert bundle.write("demo", json.loads(event("write_message")["body"])).status == 201
    found = whole(lambda: bundle.call("search", event("search"))).json
    assert list(found) == list(documented)
    for changing in (found, documented):
        assert "<mark>mocha</mark>" in changing["hits"][0]["snippet"]
        changing["as_of"] = changing["hits"][0]["created_at"] = changing["hits"][0]["snippet"] = ""
    assert found == documented


def test_a_turn_is_found_at_once_and_no_more_after_its_removal_or_its_change(bundle: Bundle) -> None:
    for _ in range(2):
        assert bundle.write("s", turn(user_message="the kumquat")).status == 201
    assert places(bundle, "kumquat") == [("s", 2), ("s", 1)]
    assert bundle.replace("s", 1, {"user_message": "a lychee", "robot_response": ""}).status == 200
    assert (places(bundle, "kumquat"), places(bundle, "lychee")) == ([("s", 2)], [("s", 1)])
    assert bundle.remove("s", 1).status == 200
    assert (places(bundle, "kumquat"), places(bundle, "lychee")) == ([], [("s", 1)])
    assert bundle.erase("s").status == 204
    assert places(bundle, "lychee") == []


@pytest.mark.parametrize("order", ["newest", "relevance"])
def test_following_the_cursor_gives_each_turn_once_also_during_writes(bundle: Bundle, order: str) -> None:
    assert bundle.write("s", {"messages": [turn(n, user_message="kumquat " * n) for n in range(1, 8)]}).status == 201
    bundle.refresh()
    reply = whole(lambda: bundle.search("kumquat", order=order, limit=2))
    found = reply.json["hits"]
    while cursor := reply.json["page"]["cursor"]:
        bundle.write("t", turn(user_message="kumquat kumquat"))
        reply = bundle.search("kumquat", order=order, limit=3, cursor=cursor)
        found += reply.json["hits"]
    assert sorted((hit["session_id"], hit["seq"]) for hit in found) == [("s", n) for n in range(1, 8)]
    if order == "newest":
        assert [hit["seq"] for hit in found] == [7, 6, 5, 4, 3, 2, 1]


def test_a_page_has_20_turns_without_a_limit_and_at_most_50(bundle: Bundle) -> None:
    assert bundle.write("s", {"messages": [turn(user_message="kumquat")] * (MAX_HITS + 1)}).status == 201
    for query, count in (({}, DEFAULT_HITS), ({"limit": MAX_HITS}, MAX_HITS), ({"limit": 1}, 1)):
        reply = whole(lambda query=query: bundle.search("kumquat", **query))  # type: ignore[misc]
        assert len(reply.json["hits"]) == count
        assert reply.json["page"]["complete"] is True
        assert reply.json["page"]["cursor"]


def test_a_cursor_is_good_only_with_the_search_it_was_made_with(cafe: Bundle) -> None:
    same: dict[str, Any] = {"from": "2000-01-01", "metadata": '{"n": 1}', "limit": 1}
    cursor = whole(lambda: cafe.search("mocha", **same)).json["page"]["cursor"]
    # The same instant and the same values in another form are the same filters.
    again: dict[str, Any] = {"from": "2000-01-01T01:00:00+01:00", "metadata": '{ "n" : 1 }', "cursor": cursor}
    assert [hit["session_id"] for hit in cafe.search("mocha", **again).json["hits"]] == ["a"]
    changes: list[dict[str, Any]] = [
        {"q": "dirty"}, {"session_id": "a"}, {"user_id": "ann"}, {"personality": "barista"}, {"metadata": '{"n": 2}'},
        {"from": "2000-01-02"}, {"to": "9999-01-01"}, {"in": "user"}, {"order": "relevance"}, {"prefix": "true"},
    ]  # fmt: skip
    refused = [cafe.search(**{"q": "mocha"} | again | change) for change in changes]
    refused += [cafe.sessions(cursor=cursor), cafe.users(cursor=cursor), cafe.audit(cursor=cursor)]
    refused.append(cafe.search("mocha", cursor=cafe.sessions(limit=1).json["page"]["cursor"]))
    for reply in refused:
        assert_problem(reply, 422, cafe.context.aws_request_id)
        assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", "cursor"], "cursor")]
