"""The search for an order finds one for right histories, and refuses each kind of wrong history."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.model.answer import MismatchError
from tests.model.history import Entry, in_order
from tests.model.request import ERASE, GET, PATCH, POST, PUT, REMOVE, Request
from tests.support.bundle import Reply

AT = "2026-11-28T12:00:00.000000Z"
UNKNOWN = "This session does not exist."
LATER = "2026-11-28T12:00:01.000000Z"
TURN = {"robot_personality": "barista", "user_message": "q", "robot_response": "a"}


def entry(number: int, request: Request, status: int, tag: str | None, body: Any, overlaps: bool = False) -> Entry:
    """Return an entry that begins after the one before it has ended, or during it."""
    headers = {} if tag is None else {"etag": f'"{tag}"'}
    reply = Reply(status, headers, None if body is None else json.dumps(body))
    return Entry(number, request, reply, number - (1.5 if overlaps else 0), number + 0.5)


def posted(number: int, seq: int, tag: str, text: str = "q", overlaps: bool = False, count: int = 0) -> Entry:
    """Return a POST of one turn, answered with this seq and tag."""
    body = {
        "session_id": "s",
        "message_count": count or seq,
        "last_seq": seq,
        "messages": [{"id": f"{text}-{seq}-{tag}", "seq": seq, "created_at": AT}],
    }
    return entry(number, Request(POST, "s", body={**TURN, "user_message": text}), 201, tag, body, overlaps)


def read(number: int, tag: str, seqs: list[int], last_seq: int, texts: str = "q", version: str = "a1") -> Entry:
    """Return a GET that shows turns with these seqs."""
    session = {
        "id": "s",
        "created_at": AT,
        "last_active": AT,
        "message_count": len(seqs),
        "last_seq": last_seq,
        "user_metadata": {},
    }
    messages = [
        {
            **TURN,
            "user_message": texts,
            "id": f"{texts}-{seq}-{seq}.{version}",
            "seq": seq,
            "metadata": {},
            "created_at": AT,
        }
        for seq in seqs
    ]
    page = {"before": None, "after": seqs[-1] if seqs else None}
    return entry(number, Request(GET, "s"), 200, tag, {"session": session, "messages": messages, "page": page})


def removed(number: int, tag: str, after: int, count: int, last_seq: int) -> Entry:
    """Return a DELETE of the turns above `after`."""
    body = {"session_id": "s", "removed": count, "message_count": after, "last_seq": last_seq}
    return entry(number, Request(REMOVE, "s", query={"after": after}), 200, tag, body)


def replaced(number: int, tag: str, text: str) -> Entry:
    """Return a PUT of the first turn."""
    body = {"session_id": "s", "seq": 1, "updated_at": LATER}
    return entry(number, Request(PUT, "s", 1, body={"user_message": text, "robot_response": "a"}), 200, tag, body)


def by(user: str | None, each: Entry) -> Entry:
    """Return the entry as one of an end user, or of a service."""
    return replace(each, request=replace(each.request, user=user))


def owned(user: str, each: Entry) -> Entry:
    """Return the read with a session of a user."""
    body = each.reply.json
    body["session"]["user_id"] = user
    return replace(each, reply=replace(each.reply, body=json.dumps(body)))


def moved(number: int, tag: str, user: str) -> Entry:
    """Return a PATCH of a service that gives the session, with one turn, to a user."""
    session = {**read(number, tag, [1], 1).reply.json["session"], "user_id": user}
    return entry(number, Request(PATCH, "s", body={"user_id": user}), 200, tag, {"session": session})


def missing(number: int, request: Request) -> Entry:
    """Return a request to a session that does not exist."""
    return entry(number, request, 404, None, {"status": 404, "title": "Session not found", "detail": UNKNOWN})


def erased(number: int) -> Entry:
    """Return an erasure."""
    return entry(number, Request(ERASE, "s"), 204, None, None)


GET_IT = Request(GET, "s")
RIGHT: dict[str, list[Entry]] = {
    "a removal, and the next turn has the next seq": [
        posted(1, 1, "1.a1"),
        posted(2, 2, "2.a1"),
        removed(3, "2.a2", 1, 1, 2),
        read(4, "2.a2", [1], 2),
        posted(5, 3, "3.a2", count=2),
    ],
    "two concurrent writes, of which the later one is first": [posted(1, 2, "2.a1"), posted(2, 1, "1.a1", "x", True)],
    "a namesake with another version": [posted(1, 1, "1.a1"), erased(2), posted(3, 1, "1.b1")],
    "an edit": [posted(1, 1, "1.a1"), replaced(2, "1.a2", "edited")],
    "a user that another does not meet": [
        by("ann", posted(1, 1, "1.a1")),
        by("ann", owned("ann", read(2, "1.a1", [1], 1))),
        owned("ann", read(3, "1.a1", [1], 1)),
        by("ben", missing(4, GET_IT)),
        by("ben", missing(5, Request(POST, "s", body=TURN, if_match='"9"'))),
        by("ben", missing(6, Request(PATCH, "s", body={}, if_match='"9"'))),
    ],
    "a session that moves": [
        by("ann", posted(1, 1, "1.a1")),
        moved(2, "1.a2", "ben"),
        by("ann", missing(3, GET_IT)),
        by("ben", owned("ben", read(4, "1.a2", [1], 1))),
    ],
}

WRONG: dict[str, list[Entry]] = {
    "a seq twice": [posted(1, 1, "1.a1"), posted(2, 1, "1.a1", "x", True)],
    "a gap": [posted(1, 1, "1.a1"), posted(2, 3, "3.a1")],
    "a read that misses a write that was answered before": [
        posted(1, 1, "1.a1"),
        posted(2, 2, "2.a1"),
        read(3, "1.a1", [1], 1),
    ],
    "the tag of the state after, with the turns before": [
        posted(1, 1, "1.a1"),
        posted(2, 2, "2.a1"),
        read(3, "2.a1", [1], 2),
    ],
    "half of a removal": [
        posted(1, 1, "1.a1"),
        posted(2, 2, "2.a1"),
        removed(3, "2.a2", 0, 2, 2),
        read(4, "2.a2", [1], 2),
    ],
    "a removed turn that can be read again": [
        posted(1, 1, "1.a1"),
        removed(2, "1.a2", 0, 1, 1),
        read(3, "1.a2", [1], 1),
    ],
    "an edit that leaves the tag": [posted(1, 1, "1.a1"), replaced(2, "1.a1", "edited")],
    "an edit to the same texts that makes another tag": [posted(1, 1, "1.a1"), replaced(2, "1.a2", "q")],
    "an append that makes another version": [posted(1, 1, "1.a1"), posted(2, 2, "2.a2")],
    "a namesake with the tag of the erased session": [posted(1, 1, "1.a1"), erased(2), posted(3, 1, "1.a1", "x")],
    "a tag that comes back": [posted(1, 1, "1.a1"), replaced(2, "1.a2", "x"), replaced(3, "1.a1", "y")],
    "an erased session that can be read": [posted(1, 1, "1.a1"), erased(2), read(3, "1.a1", [1], 1)],
    "an erasure that is done twice": [posted(1, 1, "1.a1"), erased(2), erased(3)],
    "a seq that is used again": [posted(1, 1, "1.a1"), removed(2, "1.a2", 0, 1, 1), posted(3, 1, "1.a2", "x")],
    "a user that reads another's session": [
        by("ann", posted(1, 1, "1.a1")),
        by("ben", owned("ann", read(2, "1.a1", [1], 1))),
    ],
    "a user that reads the tenant's session": [posted(1, 1, "1.a1"), by("ben", read(2, "1.a1", [1], 1))],
    "a user that loses its session": [by("ann", posted(1, 1, "1.a1")), by("ann", missing(2, GET_IT))],
    "a user that keeps a session that moved": [
        by("ann", posted(1, 1, "1.a1")),
        moved(2, "1.a2", "ben"),
        by("ann", owned("ben", read(3, "1.a2", [1], 1))),
    ],
    "a move that leaves the tag": [by("ann", posted(1, 1, "1.a1")), moved(2, "1.a1", "ben")],
    "a user that writes to another's session": [
        by("ann", posted(1, 1, "1.a1")),
        by("ben", posted(2, 2, "2.a1")),
    ],
    "a user that erases another's session": [by("ann", posted(1, 1, "1.a1")), by("ben", erased(2))],
    "a user that moves a session": [by("ann", posted(1, 1, "1.a1")), by("ann", moved(2, "1.a2", "ben"))],
    "a first write of a user that leaves the session without it": [
        by("ann", posted(1, 1, "1.a1")),
        read(2, "1.a1", [1], 1),
    ],
    "a PATCH that loses what it says": [
        entry(
            1,
            Request(PATCH, "s", body={"user_metadata": {"a": 1}}),
            200,
            "0.a1",
            {
                "session": {
                    "id": "s",
                    "created_at": AT,
                    "last_active": AT,
                    "message_count": 0,
                    "last_seq": 0,
                    "user_metadata": {},
                }
            },
        )
    ],
}


@pytest.mark.parametrize("history", RIGHT.values(), ids=RIGHT)
def test_the_search_explains_a_right_history(history: list[Entry]) -> None:
    assert {step.entry.number for step in in_order(history)} == {each.number for each in history}


@pytest.mark.parametrize("history", WRONG.values(), ids=WRONG)
def test_the_search_refuses_a_wrong_history(history: list[Entry]) -> None:
    with pytest.raises(MismatchError):
        in_order(history)
