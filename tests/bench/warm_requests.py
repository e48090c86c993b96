"""The requests of bench-hot: each as our whole handler, and as its floor, the bare psycopg call of the function.

Both sides have their own connection, opened with the same parameters, and write to their own sessions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

import read_session
import stats
import write_message
from robot_brain.bodies.write import Write
from robot_brain.database import api as database
from robot_brain.database.api import SCHEMA_VERSION
from robot_brain.database.connection_string import connection_parameters
from robot_brain.http.json_body import parse
from robot_brain.settings import settings
from tests.bench import texts
from tests.support.bundle import Context, Json, copied, deployed, event

ROWS = ("write", "write50", "replay", "read", "stats")
TITLES = {
    "write": "write one turn",
    "write50": "write 50 turns",
    "replay": "replay a write",
    "read": "read 50 of 1,000 turns",
    "stats": "stats",
}
READ_TURNS = 1000
OTHER_SESSIONS = 100
# The default of the handlers.
STATS_MAX_AGE = 3600

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


def fill(database_url: str) -> None:
    """Write a session of 1,000 turns to read, and some others for the statistics. Then refresh."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for number in range(OTHER_SESSIONS + 1):
            turns = READ_TURNS if number == 0 else 10
            name = "long" if number == 0 else f"other {number}"
            for start in range(0, turns, 100):
                batch = [texts.turn(number + start + each) for each in range(min(100, turns - start))]
                messages = Write({"messages": batch}).messages
                connection.execute(database._WRITE, _written(name, messages))
    refresh(database_url)


def refresh(database_url: str) -> None:
    """Refresh the statistics, as the schedule does."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(database._REFRESH, {"if_older": None, "schema_version": SCHEMA_VERSION})
        connection.execute(database._VIEW, {"wait": True, "schema_version": SCHEMA_VERSION})


@contextmanager
def contenders(database_url: str) -> Iterator[Contenders]:
    """Start a new execution environment on `database_url`, and a bare connection. Both end with the block."""
    with (
        deployed({"DATABASE_URL": database_url, "TENANT_ID": "local"}),
        psycopg.connect(
            **connection_parameters(database_url, settings()), autocommit=True, prepare_threshold=None
        ) as connection,
    ):
        yield Contenders(
            {row: _handled(name, request) for row, (name, request) in events("ours").items()},
            {row: _called(connection, row, *call) for row, call in calls("floor").items()},
        )


def events(writer: str) -> dict[str, tuple[str, Json]]:
    """Return the function's module and the event by row. The names of written sessions begin with `writer`."""
    read = copied(event("read_session"), rawPath="/sessions/long", pathParameters={"session_id": "long"})
    return {
        "write": ("write_message", _write_event(writer, one())),
        "write50": ("write_message", _write_event(f"{writer} 50", fifty())),
        "replay": ("write_message", _write_event(f"{writer} replay", one(), **{"idempotency-key": writer})),
        "read": ("read_session", copied(read, rawQueryString="")),
        "stats": ("stats", copied(event("stats"), rawQueryString="")),
    }


def calls(writer: str) -> dict[str, tuple[str, Json]]:
    """Return the SQL and the parameters by row, with which our handlers call the database for `events`."""
    single, many = (Write(parse(json.dumps(body), False)).messages for body in (one(), fifty()))
    tenant = {"tenant_id": "local", "schema_version": SCHEMA_VERSION}
    page = {"session_id": "long", "limit": 50, "before": None, "after": None, "max_chars": None, "known_etags": []}
    return {
        "write": (database._WRITE, _written(writer, single)),
        "write50": (database._WRITE, _written(f"{writer} 50", many)),
        "replay": (database._WRITE, _written(f"{writer} replay", single) | {"key": writer}),
        "read": (database._READ, tenant | page),
        "stats": (database._STATS, tenant | {"session_id": None, "max_age": STATS_MAX_AGE}),
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
        "schema_version": SCHEMA_VERSION,
    }


def one() -> Json:
    """Return the body of a write of one turn."""
    return texts.turn(1)


def fifty() -> Json:
    """Return the body of a write of 50 turns."""
    return {"messages": [texts.turn(number) for number in range(50)]}


def _write_event(session_id: str, body: Json, **headers: str) -> Json:
    request = event("write_message")
    request["rawPath"], request["pathParameters"] = f"/sessions/{session_id}/messages", {"session_id": session_id}
    request["body"] = json.dumps(body)
    request["headers"].update(headers)
    return request


def _handled(name: str, request_event: Json) -> Request:
    handler, context = _HANDLERS[name], Context(milliseconds=25_000)

    def request() -> None:
        answer = handler(request_event, context)
        if answer["statusCode"] not in (200, 201):
            raise UnexpectedStatusError(f"{answer['statusCode']}: {answer.get('body')}")

    return request


def _called(connection: psycopg.Connection[Any], row: str, query: str, parameters: Json) -> Request:
    execute: Callable[..., Any] = connection.execute  # as Any, because the type demands a literal query
    if row.startswith("write"):
        # Our handler also makes an id for each write, so the server does the same work.
        return lambda: execute(query, {**parameters, "first_id": os.urandom(16).hex()}).fetchone()
    return lambda: execute(query, parameters).fetchone()
