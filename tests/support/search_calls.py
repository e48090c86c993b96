"""Search by the SQL functions, fill the words, and compare the stored words with the turns."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
Place = tuple[str, int]

TENANT = "local"
# Turns whose words differ from what their texts say, words without a turn, and turns without words.
_WRONG_WORDS = """
select coalesce(c.tenant_id, w.tenant_id), coalesce(c.session_id, w.session_id), coalesce(c.seq, w.seq),
  c.seq is not null as has_turn, w.seq is not null as has_words
from robot_brain.conversations c
full join robot_brain.turn_words w
  on w.tenant_id = c.tenant_id and w.session_id = c.session_id and w.seq = c.seq and w.created_at = c.created_at
where w.words is distinct from robot_brain.words_of(
  c.tenant_id, c.session_id, c.created_at, c.robot_personality, c.user_message, c.robot_response, c.metadata
)
"""


@dataclass(frozen=True)
class Found:
    """A page of a search. `hits` is what the answer has of each turn."""

    hits: list[dict[str, Any]]
    cursor: str | None
    complete: bool

    @property
    def places(self) -> list[Place]:
        """The session and the seq of each hit."""
        return [(hit["session_id"], hit["seq"]) for hit in self.hits]


def call(connection: Connection, function: str, *values: object, **parameters: object) -> Any:
    """Call an SQL function of the API for the tenant, and return its body, or None without one."""
    given = [TENANT, *values]
    names = [*["%s"] * len(given), *(f"p_{name} => %s" for name in parameters)]
    statement = f"select body::json from robot_brain_api.{function}({', '.join(names)})"
    row = connection.execute(statement.encode(), [*given, *parameters.values()]).fetchone()
    assert row is not None
    return row[0]


def search(connection: Connection, query: str, **parameters: object) -> Found:
    """Search once. The parameters are those of the SQL function, without their p_."""
    body = call(connection, "search", query, **parameters)
    return Found(body["hits"], body["page"]["cursor"], body["page"]["complete"])


def walk(connection: Connection, query: str, cursor: Any = None, **parameters: object) -> Iterator[Found]:
    """Yield the pages of a search, from a cursor on, until there is no cursor."""
    while True:
        page = search(connection, query, cursor=cursor, **parameters)
        yield page
        if page.cursor is None:
            return
        assert page.cursor != cursor, "the cursor does not go on"
        cursor = page.cursor


def found(connection: Connection, query: str, **parameters: object) -> list[Place]:
    """Return the places of all hits of all pages."""
    return [place for page in walk(connection, query, **parameters) for place in page.places]


def turn(user: str, robot: str = "", personality: str = "barista", **metadata: object) -> dict[str, Any]:
    """Return a turn as write_message takes it."""
    return {
        "robot_personality": personality, "user_message": user, "robot_response": robot, "metadata": metadata
    }  # fmt: skip


def write(connection: Connection, session: str, *turns: dict[str, Any], **parameters: object) -> list[dict[str, Any]]:
    """Write turns, and return what the answer has of each."""
    messages: list[dict[str, Any]] = call(connection, "write_message", session, json.dumps(turns), **parameters)[
        "messages"
    ]
    return messages


def replace(connection: Connection, session: str, seq: int, changed: dict[str, Any]) -> None:
    """Replace the texts and the metadata of a turn."""
    replaced = {name: value for name, value in changed.items() if name != "robot_personality"}
    assert call(connection, "replace_turn", session, seq, json.dumps(replaced)) is not None


def remove(connection: Connection, session: str, after: int) -> None:
    """Remove the turns of a session above a seq."""
    assert call(connection, "remove_turns", session, after) is not None


def erase(connection: Connection, session: str) -> str:
    """Take a step of the erasure of a session, and return its state."""
    row = connection.execute("select state from robot_brain_api.erase_session(%s, %s)", [TENANT, session]).fetchone()
    assert row is not None
    return str(row[0])


def refresh(connection: Connection) -> None:
    """Queue the turns that were written since the last refresh."""
    connection.execute("select robot_brain_api.refresh_stats()")


def fill(connection: Connection, *, wait: bool = True) -> dict[str, Any] | None:
    """Make the words of some turns. None if another call does and `wait` is false."""
    row = connection.execute("select body::json from robot_brain_api.fill_search(%s)", [wait]).fetchone()
    assert row is not None
    done: dict[str, Any] | None = row[0]
    return done


def fill_all(connection: Connection) -> int:
    """Refresh, make the words of all turns, and return their number."""
    refresh(connection)
    made = 0
    while (done := fill(connection)) is None or done["has_more"]:
        made += done["words_made"] if done else 0
    return made


def wrong_words(admin: Connection) -> Sequence[tuple[Any, ...]]:
    """Return turns without words, words without a turn, and words that are not those of their turn."""
    return admin.execute(_WRONG_WORDS).fetchall()


def queued(admin: Connection) -> int:
    """Return the number of rows whose turns have no words yet."""
    row = admin.execute(
        "select (select count(*) from robot_brain.search_queue)"
        " + (select count(*) from robot_brain.uncounted where session_id is not null)"
    ).fetchone()
    assert row is not None
    return int(row[0])
