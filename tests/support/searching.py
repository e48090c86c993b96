"""Search in tests. A page is cut short if the machine is slow, so no test looks at one page alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.bundle import Bundle, Json, Reply
from tests.support.search_calls import fill_all
from tests.support.servers.databases import Database
from tests.support.waiting import wait_until

CUT_SHORT = '"complete" : false'


def whole(send: Callable[[], Reply]) -> Reply:
    """Return an answer whose page was not cut short. Send the search again until there is one."""
    replies: list[Reply] = []

    def is_whole() -> bool:
        replies.append(send())
        return CUT_SHORT not in (replies[-1].body or "")

    wait_until(is_whole)
    return replies[-1]


def make_words(database: Database) -> None:
    """Make the words of all turns, as the schedule does."""
    with database.app() as app:
        fill_all(app)


def hits(functions: Bundle, q: str, **query: Any) -> list[Json]:
    """Return all turns that match: follow the cursors until the end."""
    found: list[Json] = []
    reply = functions.search(q, **query)
    while True:
        assert reply.status == 200, reply.body
        found += reply.json["hits"]
        cursor = reply.json["page"]["cursor"]
        if cursor is None:
            return found
        reply = functions.search(q, **query, cursor=cursor)


def places(functions: Bundle, q: str, **query: Any) -> list[tuple[str, int]]:
    """Return the session and the seq of all turns that match, in order."""
    return [(hit["session_id"], hit["seq"]) for hit in hits(functions, q, **query)]
