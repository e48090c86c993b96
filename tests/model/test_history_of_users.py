"""The search for an order finds one for right histories of users, and refuses each kind of wrong history."""

from dataclasses import replace
from typing import Any

import pytest

from tests.model.answer import MismatchError
from tests.model.history import Entry, in_order
from tests.model.request import (
    DRY_RUN,
    ERASE,
    ERASE_USER,
    EXPORT,
    GET,
    GET_USER,
    LIST_USERS,
    PATCH,
    PATCH_USER,
    POST,
    POST_USER,
    PUT_USER,
    Request,
)
from tests.model.test_history import AT, LATER, TURN, by, entry, missing, moved, posted

ID = "00000000-0000-4000-8000-000000000001"
NO_USER = {"status": 404, "title": "User not found"}
ERASING = {"status": 409, "title": "User being erased"}
TAKEN = {"status": 422, "errors": [{"type": "email_taken"}]}


def user(id: str = "ann", email: str | None = None, updated: str = AT, **profile: str) -> dict[str, Any]:
    """Return a user as an answer shows it."""
    shown = {} if email is None else {"email": email}
    return {"id": id, **shown, "created_at": AT, "updated_at": updated, "profile": profile}


def put(number: int, tag: str, status: int = 201, id: str = "ann", overlaps: bool = False, **said: str) -> Entry:
    """Return a PUT of a user with an e-mail, or without one."""
    body = {"email": said["email"]} if "email" in said else {}
    return entry(number, Request(PUT_USER, user_id=id, body=body), status, tag, user(id, **said), overlaps)


def shown(number: int, tag: str, **said: str) -> Entry:
    """Return a GET of a user."""
    return entry(number, Request(GET_USER, user_id="ann"), 200, tag, user(**said))


def unknown(number: int, route: str = GET_USER, **request: Any) -> Entry:
    """Return a request for a user that does not exist."""
    return entry(number, Request(route, user_id="ann", **request), 404, None, NO_USER)


def erased(number: int, overlaps: bool = False) -> Entry:
    """Return the erasure of a user."""
    return entry(number, Request(ERASE_USER, user_id="ann"), 204, None, None, overlaps)


def refused(number: int, request: Request, document: dict[str, Any], overlaps: bool = False) -> Entry:
    """Return a refusal, which has Retry-After if it is 409."""
    found = entry(number, request, document["status"], None, document, overlaps)
    if document["status"] == 409:
        found.reply.headers["retry-after"] = "1"  # type: ignore[index]  # a dict here
    return found


def counted(number: int, sessions: int, messages: int) -> Entry:
    """Return a dry run."""
    body = {"sessions": sessions, "messages": messages, "interactions": 0}
    return entry(number, Request(ERASE_USER, user_id="ann", query=DRY_RUN), 200, None, body)


WRITE = Request(POST, "s", body=TURN, user="ann")
RIGHT: dict[str, list[Entry]] = {
    "an erasure takes the sessions": [by("ann", posted(1, 1, "1.a1")), erased(2), missing(3, Request(GET, "s"))],
    "a write that is refused during the erasure": [
        put(1, "a1"),
        erased(3),
        refused(3, WRITE, ERASING, overlaps=True),
    ],
    "two erasures of one user": [put(1, "a1"), erased(3), erased(4, overlaps=True), unknown(5, ERASE_USER)],
    "two erasures with a namesake between them": [
        put(1, "a1"),
        erased(3),
        replace(put(4, "b1", id="ann", overlaps=True), ended=6.5),
        replace(erased(4, overlaps=True), number=5, ended=6.6),
        unknown(7),
    ],
    "a namesake with another version": [put(1, "a1"), erased(2), put(3, "b1")],
    "an e-mail that is free again": [put(1, "a1", email="x@x"), erased(2), put(3, "b1", id="ben", email="X@x")],
    "a session that is handed over before": [by("ann", posted(1, 1, "1.a1")), moved(2, "1.a2", "ben"), unknown(3)],
    "a dry run": [by("ann", posted(1, 1, "1.a1")), counted(2, 1, 1), erased(3), unknown(4, ERASE_USER)],
}
WRONG: dict[str, list[Entry]] = {
    "a session that outlives its user": [
        by("ann", posted(1, 1, "1.a1")),
        erased(2),
        by("ann", posted(3, 2, "2.a1")),
    ],
    "a write that is refused before the erasure": [put(1, "a1"), refused(2, WRITE, ERASING), erased(3)],
    "a write that is refused after the erasure": [put(1, "a1"), erased(2), refused(3, WRITE, ERASING)],
    "an erasure that is done twice": [put(1, "a1"), erased(2), erased(3)],
    "an erased user that can be read": [put(1, "a1"), erased(2), shown(3, "a1")],
    "an erasure of nothing": [erased(1)],
    "a namesake with the tag of the erased user": [put(1, "a1"), erased(2), put(3, "a1", email="x@x")],
    "a PUT that is made again": [put(1, "a1"), put(2, "a2")],
    "a change that leaves the tag": [put(1, "a1"), put(2, "a1", 200, email="x@x", updated=LATER)],
    "a change that leaves updated_at's member": [put(1, "a1"), put(2, "a2", 200, email="x@x"), shown(3, "a2")],
    "an equal PUT with another tag": [put(1, "a1"), put(2, "a2", 200)],
    "an e-mail of two users": [put(1, "a1", email="x@x"), put(2, "b1", id="ben", email="X@X")],
    "an e-mail that is refused although it is free": [
        put(1, "a1", email="x@x"),
        erased(2),
        refused(3, Request(PUT_USER, user_id="ben", body={"email": "x@x"}), TAKEN),
    ],
    "a PATCH of an unknown user": [
        entry(1, Request(PATCH_USER, user_id="ann", body={}), 200, "a1", user()),
    ],
    "a user that is made twice": [
        entry(number, Request(POST_USER, body={}, key="k"), 201, "a1", user(ID)) for number in (1, 2)
    ],
    "a list without a user": [
        put(1, "a1"),
        entry(2, Request(LIST_USERS, query={"limit": 9}), 200, None, {"users": [], "page": {"cursor": None}}),
    ],
    "a dry run that counts too much": [by("ann", posted(1, 1, "1.a1")), counted(2, 1, 2)],
    "an export without the session": [
        by("ann", posted(1, 1, "1.a1")),
        entry(
            2,
            Request(EXPORT, user_id="ann"),
            200,
            None,
            {"user": None, "sessions": [], "turns": [], "page": {"cursor": None}},
        ),
    ],
    "a session given to a user that is erased meanwhile, and left": [
        put(1, "a1"),
        posted(2, 1, "1.a1"),
        refused(3, Request(PATCH, "s", body={"user_id": "ann"}), ERASING),
    ],
    "a user that erases another": [put(1, "a1"), by("ben", erased(2))],
    "a session that is erased twice, with its user and alone": [
        by("ann", posted(1, 1, "1.a1")),
        erased(2),
        entry(3, Request(ERASE, "s"), 204, None, None),
    ],
}


@pytest.mark.parametrize("name", RIGHT)
def test_the_search_explains_a_right_history_of_users(name: str) -> None:
    order = in_order(RIGHT[name])
    assert {step.entry.number for step in order} >= {each.number for each in RIGHT[name]}


@pytest.mark.parametrize("name", WRONG)
def test_the_search_refuses_a_wrong_history_of_users(name: str) -> None:
    with pytest.raises(MismatchError):
        in_order(WRONG[name])
