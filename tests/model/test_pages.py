"""Pages of a session with removed turns: as many turns as asked for, and each turn once on a walk."""

from typing import Any

import pytest

from tests.model.clients import Clients
from tests.model.history import in_order
from tests.model.request import GET, POST, REMOVE, Request, send
from tests.model.states import turn
from tests.support.bundle import Bundle, deployed
from tests.support.servers.databases import Database

# The turns that are left after the removals in `with_holes`.
LEFT = [1, 2, 3, 7, 8, 12, 13, 14]
LAST_SEQ = 15


def with_holes(clients: Clients) -> None:
    """Write 15 turns to the session `a` and remove some: LEFT are left."""
    for count, after in ((6, 3), (5, 8), (4, 14)):
        written = clients.record(
            Request(POST, "a", body={"messages": [turn(str(n), robot_response="x" * n) for n in range(count)]})
        )
        assert written.status == 201, written.body
        assert clients.record(Request(REMOVE, "a", query={"after": after})).status == 200


def seqs(page: Any) -> list[int]:
    """Return the seqs of a page's turns."""
    return [message["seq"] for message in page["messages"]]


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_the_model_gives_every_page_of_a_session_with_holes(database: Database) -> None:
    with deployed({"DATABASE_URL": database.app_url}):
        clients = Clients("pages")
        with_holes(clients)
        cursors: list[dict[str, Any]] = [{}]
        cursors += [{"before": seq} for seq in range(1, LAST_SEQ + 3)]
        cursors += [{"after": seq} for seq in range(LAST_SEQ + 3)]
        for cursor in cursors:
            for limit in (1, 2, 3, 5, 8, 9, 200):
                clients.record(Request(GET, "a", query={**cursor, "limit": limit}))
            for max_chars in (1, 12, 25, 60, 10_000_000) if "after" not in cursor else ():
                clients.record(Request(GET, "a", query={**cursor, "max_chars": max_chars}))
        clients.record(Request(REMOVE, "a", query={"after": 0}))
        for cursor in cursors:
            clients.record(Request(GET, "a", query=cursor))
    shown = [entry.reply.json for entry in clients.recorded.entries if entry.request.route == GET]
    assert seqs(shown[6]) == LEFT
    assert in_order(clients.recorded.entries)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 50])
def test_a_walk_in_either_direction_holds_each_turn_that_exists_once(bundle: Bundle, limit: int) -> None:
    clients = Clients("walks")
    with_holes(clients)
    backwards: list[int] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = send(Request(GET, "a", query=query)).json
        backwards[:0] = seqs(page)
        if page["page"]["before"] is None:
            break
        # Only the last page may be short.
        assert len(page["messages"]) == limit
        query["before"] = page["page"]["before"]
    assert backwards == LEFT
    forwards: list[int] = []
    after = 0
    while True:
        page = send(Request(GET, "a", query={"limit": limit, "after": after})).json
        if not page["messages"]:
            break
        forwards += seqs(page)
        after = page["page"]["after"]
    assert forwards == LEFT
    # A poller repeats the `after` of an empty page, and gets the next turn, whose seq was never used.
    assert page["page"] == {"before": None, "after": after}
    send(Request(POST, "a", body=turn("next")))
    assert seqs(send(Request(GET, "a", query={"after": after})).json) == [LAST_SEQ + 1]


def test_a_poller_beyond_the_last_turn_misses_no_turn_after_a_removal(bundle: Bundle) -> None:
    send(Request(POST, "a", body={"messages": [turn("1"), turn("2"), turn("3")]}))
    send(Request(REMOVE, "a", query={"after": 1}))
    assert send(Request(GET, "a", query={"after": 3})).json["page"]["after"] == 3
    send(Request(POST, "a", body=turn("4")))
    assert seqs(send(Request(GET, "a", query={"after": 3})).json) == [4]


def test_a_walk_back_goes_on_although_the_turn_at_its_cursor_was_removed(bundle: Bundle) -> None:
    send(Request(POST, "a", body={"messages": [turn(str(n)) for n in range(6)]}))
    page = send(Request(GET, "a", query={"limit": 2})).json
    assert page["page"]["before"] == 5
    send(Request(REMOVE, "a", query={"after": 2}))
    page = send(Request(GET, "a", query={"limit": 2, "before": 5})).json
    assert (seqs(page), page["page"]) == ([1, 2], {"before": None, "after": 2})
