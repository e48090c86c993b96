"""Each method of both clients against the API of `make run`."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from robot_brain_client import (
    AsyncRobotBrain,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    RobotBrain,
)
from robot_brain_client.types import OneTurn
from tests.clients.core.conftest import Caller

ODD = ["ü", "a b", "a+b", "~.-_", "'\"", "🙂", "x" * 100, "a&b=c;d,e", "@:$!*()"]


def turn(text: str, response: str = "Yes.") -> OneTurn:
    return {"robot_personality": "guide", "user_message": text, "robot_response": response}


def test_a_turn_is_written_completed_read_edited_and_removed(call: Caller, api: str, session_id: str) -> None:
    asked = call(api, "write", session_id, turn("Is it cold?", ""))
    assert (asked.status, asked.body["last_seq"], asked.replayed) == (201, 1, False)
    content = {"user_message": "Is it cold?", "robot_response": "Yes, -3.", "items": [{"tool": 1}]}
    done = call(api, "replace", session_id, 1, content, if_match=asked)
    page = call(api, "read", session_id, limit=5, max_chars=1000)
    assert page.etag == done.etag
    assert [(each["robot_response"], each["items"]) for each in page.body["messages"]] == [("Yes, -3.", [{"tool": 1}])]
    same = call(api, "read", session_id, if_none_match=page)
    assert (same.status, same.body) == (304, None)
    with pytest.raises(PreconditionFailedError, match="412") as stale:
        call(api, "replace", session_id, 1, content | {"items": []}, if_match=asked)
    assert (stale.value.etag, stale.value.perhaps_done) == (done.etag, False)
    assert call(api, "remove", session_id, after=0, if_match=done).body["removed"] == 1
    patched = call(api, "edit_session", session_id, {"user_metadata": {"title": "Oslo"}})
    assert patched.body["session"]["user_metadata"] == {"title": "Oslo"}
    assert call(api, "session_stats", session_id).body["message_count"] == 0
    assert call(api, "erase_session", session_id, if_match=patched) is True
    with pytest.raises(NotFoundError, match="404 Session not found"):
        call(api, "read", session_id)


def test_an_iterator_reads_every_page_of_turns_and_sessions(call: Caller, api: str, session_id: str) -> None:
    for start in range(0, 450, 90):
        batch = {"messages": [turn(str(number)) for number in range(start, start + 90)]}
        call(api, "write", session_id, batch)
    assert [int(each["user_message"]) for each in call(api, "turns", session_id)] == list(range(450))
    assert [each["seq"] for each in call(api, "turns", session_id, after=440)] == list(range(441, 451))
    others = [f"{session_id}-{number}" for number in range(5)]
    for other in others:
        call(api, "edit_session", other, {"user_metadata": {"of": session_id}})
    listed = call(api, "sessions", metadata={"of": session_id}, limit=2)
    assert sorted(each["id"] for each in listed) == others
    assert call(api, "turns", others[0]) == []


def test_a_search_finds_words_with_filters(call: Caller, api: str, session_id: str) -> None:
    word = f"zq{session_id[-8:]}"
    for number in range(3):
        call(api, "write", session_id, turn(f"{word} {number}"))
    hits = call(api, "search", word, session_id=session_id, in_="user", from_="2020-01-01T00:00:00Z", limit=2)
    assert [hit["seq"] for hit in hits] == [3, 2, 1]


def test_a_person_is_created_changed_exported_counted_and_erased(call: Caller, api: str, session_id: str) -> None:
    created = call(api, "create_user", {"email": f"{session_id[-8:]}@example.com"})
    user_id = created.body["id"]
    again = call(api, "replace_user", user_id, {"email": created.body["email"], "profile": {"first_name": "Ann"}})
    patched = call(api, "patch_user", user_id, {"profile": {"last_name": "Lee"}}, if_match=again)
    read = call(api, "read_user", user_id)
    assert (read.etag, read.body["profile"]["last_name"]) == (patched.etag, "Lee")
    assert call(api, "read_user", user_id, if_none_match=read).status == 304
    assert [user["id"] for user in call(api, "users", email=created.body["email"])] == [user_id]
    assert user_id in [user["id"] for user in call(api, "users", limit=1)]
    call(api, "write", session_id, turn("hello"))
    call(api, "edit_session", session_id, {"user_id": user_id})
    exported = call(api, "export_user", user_id)
    assert [each["user_message"] for page in exported for each in page["turns"]] == ["hello"]
    assert call(api, "count_user", user_id).body["sessions"] == 1
    assert call(api, "erase_user", user_id) is True
    with pytest.raises(NotFoundError):
        call(api, "read_user", user_id)
    entries = call(api, "audit", record=user_id, limit=2)
    assert entries[0]["action"] == "ERASE"
    assert len(entries) > 2


def test_the_operators_answers_are_read(call: Caller, api: str) -> None:
    assert call(api, "health").body["status"] == "ok"
    assert call(api, "database_health").body["status"] in ("healthy", "degraded")
    assert call(api, "stats").body["totals"]["messages"] >= 0


@pytest.mark.parametrize("odd", ODD)
def test_an_id_of_any_characters_reaches_the_service_as_it_is(call: Caller, api: str, odd: str) -> None:
    call(api, "write", odd, turn(odd))
    assert call(api, "read", odd).body["session"]["id"] == odd
    call(api, "erase_session", odd)


def test_an_error_names_the_rule_that_the_request_breaks(call: Caller, api: str, session_id: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"422 .*body\.user_message is missing") as broken:
        call(api, "write", session_id, {"robot_personality": "guide", "robot_response": ""})
    assert broken.value.broken_rules[0]["type"] == "missing"


@pytest.mark.parametrize("url", ["127.0.0.1:3000", "ftp://a", "https://", "https://a?b", "https://u:p@a"])
@pytest.mark.parametrize("client", [RobotBrain, AsyncRobotBrain])
def test_what_is_no_address_is_refused_at_once(client: Any, url: str) -> None:
    with pytest.raises(ValueError, match="Not the address of an API"):
        client(url)


def test_threads_share_one_client(api: str, session_id: str) -> None:
    with RobotBrain(api) as brain, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: brain.write(f"{session_id}-{number % 8}", turn(str(number))), range(400)))
        found = [each["user_message"] for part in range(8) for each in brain.turns(f"{session_id}-{part}")]
    assert sorted(map(int, found)) == list(range(400))


def test_both_clients_have_the_same_methods() -> None:
    def methods(client: type) -> dict[str, list[str]]:
        found = inspect.getmembers(client, inspect.isfunction)
        return {name: list(inspect.signature(each).parameters) for name, each in found if not name.startswith("_")}

    assert methods(RobotBrain) == methods(AsyncRobotBrain)
    assert len(methods(RobotBrain)) > 20
