"""The requests of bench-hot: each as our whole handler, and as its floor, the bare psycopg call of the function.

Both sides have their own connection, opened with the same parameters, and write to their own sessions.
With AUTH=jwt in the environment the requests are of an end user, except for those of a list and of the statistics.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import psycopg

import read_session
import stats
import write_message
from robot_brain.bodies.write import Replacement, Write
from robot_brain.database import api as database
from robot_brain.database import changes, session_list, steps
from robot_brain.database.api import SCHEMA_VERSION
from robot_brain.database.connection_string import connection_parameters
from robot_brain.http.json_body import parse
from robot_brain.settings import settings
from tests.bench import texts
from tests.support.bundle import Context, Json, copied, deployed, event
from tests.support.servers.databases import Database

TITLES = {
    "write": "write one turn",
    "write50": "write 50 turns",
    "write_items": "write a turn with 4 items",
    "put": "replace a turn with 4 items",
    "replay": "replay a write",
    "read": "read 50 of 1,000 turns",
    "list": "list 20 of 100,000 sessions",
    "stats": "stats",
}
ROWS = tuple(TITLES)
READ_TURNS = 1000
OTHER_SESSIONS = 100
LISTED_SESSIONS = 100_000
# Who replaces a turn: both sides here, and both processes whose memory is measured.
WRITERS = ("ours", "floor", "resident", "bare", "profiled")
AUTH = os.environ.get("AUTH") or "none"
# The end user whose requests are measured.
USER = "ann" if AUTH == "jwt" else None
# The default of the handlers.
STATS_MAX_AGE = 3600

_LISTED = """
insert into robot_brain.sessions (
  tenant_id, id, created_at, last_active, active_hour, previous_active, message_count, response_length, answer_bytes
)
select 'local', 'listed-' || n, t.at, t.at, date_bin('1 hour', t.at, to_timestamp(0)), t.at, 20, 2000, 30000
from generate_series(1, %s) n, lateral (select {last_active} as at) t
order by sha256(n::text::bytea)
"""

_HANDLERS: dict[str, Callable[..., Json]] = {
    "write_message": write_message.handler,
    "read_session": read_session.handler,
    "stats": stats.handler,
}

Request = Callable[[], object]


class UnexpectedStatusError(Exception):
    """A handler answered with an unexpected status, so the figures would mean nothing."""


@dataclass(frozen=True)
class Contenders:
    """Both sides, by row. A call is one request: from event to answer, or from parameters to the database row."""

    ours: dict[str, Request]
    floor: dict[str, Request]


def fill(bench: Database) -> None:
    """Write a session of 1,000 turns to read, some others for the statistics, and many to list. Then refresh."""
    with bench.admin() as admin:
        listed_sessions(admin, LISTED_SESSIONS, "now() - n * interval '1 day' / 100000")
    with bench.app() as connection:
        for number in range(OTHER_SESSIONS + 1):
            turns = READ_TURNS if number == 0 else 10
            name = "long" if number == 0 else f"other {number}"
            for start in range(0, turns, 100):
                batch = [texts.turn(number + start + each) for each in range(min(100, turns - start))]
                messages = Write({"messages": batch}).arguments["messages"]
                connection.execute(database._WRITE, _written(name, messages))
        for writer in WRITERS:
            messages = Write({"messages": [exchange()]}).arguments["messages"]
            connection.execute(database._WRITE, _written(f"{writer} put", messages))
    refresh(bench.app_url)


def refresh(database_url: str) -> None:
    """Refresh the statistics, as the schedule does."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(steps._REFRESH, {"if_older": None, "schema_version": SCHEMA_VERSION})
        connection.execute(steps._VIEW, {"wait": True, "schema_version": SCHEMA_VERSION})


@contextmanager
def contenders(database_url: str) -> Iterator[Contenders]:
    """Start a new execution environment on `database_url`, and a bare connection. Both end with the block."""
    with (
        deployed({"DATABASE_URL": database_url, "TENANT_ID": "local", "AUTH": AUTH}),
        psycopg.connect(
            **connection_parameters(database_url, settings()), autocommit=True, prepare_threshold=None
        ) as connection,
    ):
        yield Contenders(
            {row: _handled(name, requests) for row, (name, requests) in events("ours").items()},
            {row: _called(connection, row, *call) for row, call in calls("floor").items()},
        )


def listed_sessions(admin: psycopg.Connection[Any], number: int, last_active: str) -> None:
    """Insert sessions by SQL. `last_active` is an expression of SQL for the time of the session n, from 1 on.

    Their order in the table is not that of their times.
    """
    admin.execute(_LISTED.format(last_active=last_active).encode(), [number])
    admin.execute("vacuum (analyze) robot_brain.sessions")


def events(writer: str) -> dict[str, tuple[str, list[Json]]]:
    """Return the function's module and its events, which take turns, by row. `writer` begins the names of sessions."""
    read = copied(_event("read_session"), rawPath="/sessions/long", pathParameters={"session_id": "long"})
    return {
        "write": ("write_message", [_write_event(writer, one())]),
        "write50": ("write_message", [_write_event(f"{writer} 50", fifty())]),
        "write_items": ("write_message", [_write_event(f"{writer} items", exchange())]),
        "put": ("write_message", [_put_event(f"{writer} put", body) for body in replacements()]),
        "replay": ("write_message", [_write_event(f"{writer} replay", one(), **{"idempotency-key": writer})]),
        "read": ("read_session", [copied(read, rawQueryString="")]),
        "list": ("read_session", [copied(_event("read_session_list", "robot-brain/all-users"), rawQueryString="")]),
        "stats": ("stats", [copied(_event("stats", "robot-brain/all-users"), rawQueryString="")]),
    }


def calls(writer: str) -> dict[str, tuple[str, list[Json]]]:
    """Return the SQL and its parameters by row, with which our handlers call the database for `events`."""
    single, many, items = (
        Write(parse(json.dumps(body), False)).arguments["messages"] for body in (one(), fifty(), exchange())
    )
    tenant = {"tenant_id": "local", "as_user": USER, "schema_version": SCHEMA_VERSION}
    all_users = tenant | {"as_user": None}
    page = {"session_id": "long", "limit": 50, "before": None, "after": None, "max_chars": None, "known_etags": []}
    listed = {"limit": 20, "cursor": None, "user_id": None, "preview": False, "metadata": None, "path": None}
    audited = tenant | {"actor": USER, "request_id": Context().aws_request_id}
    put = audited | {"session_id": f"{writer} put", "seq": 1, "if_match": None}
    return {
        "write": (database._WRITE, [_written(writer, single)]),
        "write50": (database._WRITE, [_written(f"{writer} 50", many)]),
        "write_items": (database._WRITE, [_written(f"{writer} items", items)]),
        "put": (changes._REPLACE, [put | {"turn": Replacement(body).turn} for body in replacements()]),
        "replay": (database._WRITE, [_written(f"{writer} replay", single) | {"key": writer}]),
        "read": (database._READ, [tenant | page]),
        "list": (session_list._LIST, [all_users | listed]),
        "stats": (database._STATS, [all_users | {"session_id": None, "max_age": STATS_MAX_AGE}]),
    }


def _written(session_id: str, messages: str) -> Json:
    """Return the parameters of a write."""
    return {
        "tenant_id": "local",
        "session_id": session_id,
        "messages": messages,
        "user_metadata": None,
        "if_match": None,
        "key": None,
        "first_id": None,
        "repeated": False,
        "as_user": USER,
        "schema_version": SCHEMA_VERSION,
    }


def _event(name: str, scope: str = "openid") -> Json:
    """Return events/<name>.json, with AUTH=jwt as of an end user or of a caller with the scope for all users."""
    request = event(name)
    if AUTH == "jwt":
        claims = {"iss": "https://issuer.example.com", "aud": "robot-brain", "sub": "ann", "scope": scope}
        request["requestContext"]["authorizer"] = {"jwt": {"claims": {**claims, "iat": "1764000000"}, "scopes": None}}
    return request


def one() -> Json:
    """Return the body of a write of one turn."""
    return texts.turn(1)


def fifty() -> Json:
    """Return the body of a write of 50 turns."""
    return {"messages": [texts.turn(number) for number in range(50)]}


def exchange() -> Json:
    """Return the body of a write of one turn with a tool's call and its output, about 3 KB."""
    question, answer = (_long(first, size) for first, size in ((1, 200), (100, 900)))
    output = json.dumps([{"name": said, "price": 3.5, "sizes": ["small", "large"]} for said, _ in texts.pairs()[:12]])
    return {
        "robot_personality": "barista",
        "user_message": question,
        "robot_response": answer,
        "items": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": question}]},
            {"type": "function_call", "call_id": "call_1", "name": "menu", "arguments": '{"drink": "mocha"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": output},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": answer}]},
        ],
    }


def replacements() -> list[Json]:
    """Return two bodies of a PUT that take turns, because a body that changes nothing is not written."""
    body = exchange()
    del body["robot_personality"]
    return [{**body, "metadata": {"edited": edited}} for edited in (1, 2)]


def _long(first: int, characters: int) -> str:
    return " ".join(answer for _, answer in texts.pairs()[first : first + characters])[:characters]


def _put_event(session_id: str, body: Json) -> Json:
    request = _event("write_message_replace")
    request["rawPath"] = f"/sessions/{session_id}/messages/1"
    request["pathParameters"] = {"session_id": session_id, "seq": "1"}
    request["body"] = json.dumps(body)
    return request


def _write_event(session_id: str, body: Json, **headers: str) -> Json:
    request = _event("write_message")
    request["rawPath"], request["pathParameters"] = f"/sessions/{session_id}/messages", {"session_id": session_id}
    request["body"] = json.dumps(body)
    request["headers"].update(headers)
    return request


def _handled(name: str, request_events: list[Json]) -> Request:
    handler, context, turns = _HANDLERS[name], Context(milliseconds=25_000), cycle(request_events)

    def request() -> None:
        answer = handler(next(turns), context)
        if answer["statusCode"] not in (200, 201):
            raise UnexpectedStatusError(f"{answer['statusCode']}: {answer.get('body')}")

    return request


def _called(connection: psycopg.Connection[Any], row: str, query: str, parameters: list[Json]) -> Request:
    execute: Callable[..., Any] = connection.execute  # as Any, because the type demands a literal query
    turns = cycle(parameters)
    if row.startswith("write"):
        # Our handler also makes an id for each write, so the server does the same work.
        return lambda: execute(query, {**next(turns), "first_id": os.urandom(16).hex()}).fetchone()
    return lambda: execute(query, next(turns)).fetchone()
