"""Make, drop and count months of turns and interactions, and call SQL functions with the retries of the layer."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from robot_brain.database.failures import while_calling
from tests.support.servers.databases import Database

WRITE = "select body, etag from robot_brain_api.write_message(p_tenant_id => %s, p_session_id => %s, p_messages => %s)"
READ = "select body, etag from robot_brain_api.read_session(p_tenant_id => 'local', p_session_id => %s, p_limit => %s)"
# The layer's number of attempts.
_ATTEMPTS = 3
_TURN = {"robot_personality": "barista", "user_message": "q", "robot_response": "answer", "metadata": {}}
# A month is a partition of each of these tables.
TABLES = ("conversations", "robot_interactions")
INTERACTING: dict[str, Any] = {
    "interaction": {"robot_id": "r", "interaction_type": "order", "duration_ms": 1, "success": True}
}


def turns(number: int, **fields: Any) -> str:
    """Return `number` turns as JSON."""
    return json.dumps([_TURN | fields] * number)


def repeated(connection: psycopg.Connection, call: str, parameters: tuple[object, ...]) -> tuple[Any, ...]:
    """Call an SQL function with as many attempts as the layer makes. Raises the error of the last attempt."""
    attempt = 1
    while True:
        try:
            row = connection.execute(call, parameters).fetchone()
        except psycopg.Error as error:
            if attempt == _ATTEMPTS or not while_calling(error).repeat:
                raise
            attempt += 1
        else:
            assert row is not None
            return row


def write(
    connection: psycopg.Connection, session_id: str, number: int = 1, tenant: str = "local", **fields: Any
) -> tuple[Any, ...]:
    """Write turns. Return the answer as JSON, and the entity tag."""
    body, etag = repeated(connection, WRITE, (tenant, session_id, turns(number, **fields)))
    return json.loads(body), etag


def check_page(connection: psycopg.Connection, session_id: str, limit: int = 200) -> int:
    """Read a page, assert that it has every turn and that its entity tag fits, and return its message_count."""
    body, etag = repeated(connection, READ, (session_id, limit))
    page = json.loads(body)
    count = page["session"]["message_count"]
    first = max(1, count - limit + 1)
    assert [message["seq"] for message in page["messages"]] == list(range(first, count + 1))
    assert etag.startswith(f'"{count}.')
    return int(count)


def month_name(admin: psycopg.Connection, months_from_now: int = 0, table: str = "conversations") -> str:
    """Return the name of a month's partition of `table`."""
    row = admin.execute(
        "select %s || to_char((now() at time zone 'UTC') + make_interval(months => %s), '_YYYY_MM')",
        [table, months_from_now],
    ).fetchone()
    assert row is not None
    return str(row[0])


def drop_month(database: Database, months_from_now: int = 0, table: str = "conversations") -> str:
    """Drop the partition of a month of `table` and return its name."""
    with database.admin() as admin:
        name = month_name(admin, months_from_now, table)
        admin.execute(f"drop table robot_brain.{name}".encode())
    return name


def move_to(database: Database, session_id: str, moment: str) -> None:
    """Set the time of the session's turns and interactions to `moment`, an expression of SQL."""
    # One transaction, so that now() has one value.
    with database.admin() as admin, admin.transaction():
        for table in TABLES:
            admin.execute(
                f"update robot_brain.{table} set created_at = {moment} where session_id = %s".encode(), [session_id]
            )
        admin.execute(
            f"update robot_brain.sessions set created_at = {moment}, last_active = {moment} where id = %s".encode(),
            [session_id],
        )


def places(database: Database, table: str = "conversations") -> dict[str, int]:
    """Return the number of rows in each partition of `table` that holds rows."""
    with database.admin() as admin:
        return dict(
            admin.execute(
                f"select c.relname, count(*) from robot_brain.{table} t join pg_class c on c.oid = t.tableoid"
                " group by 1".encode()
            ).fetchall()
        )


def is_month(admin: psycopg.Connection, name: str) -> bool:
    """Return whether a partition of the turns or interactions has this name."""
    found = admin.execute(
        "select 1 from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where c.relname = %s and i.inhparent in ("
        "   'robot_brain.conversations'::regclass, 'robot_brain.robot_interactions'::regclass)",
        [name],
    )
    return found.fetchone() is not None


def make_months(connection: psycopg.Connection) -> tuple[list[str], list[str]]:
    """Call make_month until it makes no month. Return the months made, and those that failed in the last call."""
    made: list[str] = []
    while True:
        row = connection.execute("select body::json from robot_brain_api.make_month()").fetchone()
        assert row is not None
        if row[0]["made"] is None:
            return made, row[0]["failed"]
        made.append(row[0]["made"])
