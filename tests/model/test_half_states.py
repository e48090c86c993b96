"""A reader sees all of a change or nothing of it, at whatever moment the change is committed.

The reader stops at a lock after it has begun. The change is committed, and only then the reader goes on.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
import pytest

from tests.model.request import POST, Request, send
from tests.model.states import turn
from tests.support.bundle import deployed
from tests.support.servers.databases import Database
from tests.support.waiting import wait_until

TENANT = "local"
CHANGES: dict[str, LiteralString] = {
    "a write": """select from robot_brain_api.write_message('local', 's', '[{"robot_personality": "p",
        "user_message": "new", "robot_response": "new", "metadata": {}}]')""",
    "a replacement": """select from robot_brain_api.replace_turn('local', 's', 2,
        '{"user_message": "new", "robot_response": "new", "metadata": {}}')""",
    "a removal of some turns": "select from robot_brain_api.remove_turns('local', 's', 1)",
    "a removal of all turns": "select from robot_brain_api.remove_turns('local', 's', 0)",
    "an erasure": "select from robot_brain_api.erase_session('local', 's')",
    "an erasure and a namesake": """select from robot_brain_api.erase_session('local', 's');
        select from robot_brain_api.write_message('local', 's', '[{"robot_personality": "p",
        "user_message": "new", "robot_response": "new", "metadata": {}}]')""",
    "a patch": """select from robot_brain_api.patch_session('local', 's', '{"a": 1}', 'guest-7', true)""",
}
READS: dict[str, LiteralString] = {
    "a page": "select body, etag from robot_brain_api.read_session('local', 's')",
    "a page of max_chars": "select body, etag from robot_brain_api.read_session('local', 's', p_max_chars => 30)",
    "a page after a seq": "select body, etag from robot_brain_api.read_session('local', 's', p_after => 1)",
    "a list with previews": "select body, null from robot_brain_api.list_sessions('local', p_preview => true)",
    "the figures": "select body, null from robot_brain_api.stats('local')",
    "the session's figures": "select body, null from robot_brain_api.stats('local', 's')",
}


@contextmanager
def stopped(
    database: Database, table: str, read: LiteralString
) -> Iterator[tuple[psycopg.Connection, Callable[[], Any]]]:
    """Start a read that stops at `table`. Yield a connection whose commit lets it go on, and what it returns."""
    with database.admin() as holder, database.app() as reader, database.admin() as observer:
        pid = reader.info.backend_pid
        with ThreadPoolExecutor(1) as threads, holder.transaction():
            holder.execute(f"lock table robot_brain.{table} in access exclusive mode".encode())
            reading = threads.submit(lambda: reader.execute(read).fetchone())
            waiting = "select from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
            wait_until(lambda: reading.done() or bool(observer.execute(waiting, [pid]).fetchall()))
            yield holder, lambda: reading.result(60)


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
@pytest.mark.parametrize("change", CHANGES)
def test_a_read_shows_the_state_before_or_after(database: Database, change: str) -> None:
    for name, read in READS.items():
        for table in ("conversations", "sessions", "uncounted"):
            with database.admin() as admin:
                admin.execute("truncate robot_brain.sessions, robot_brain.conversations, robot_brain.uncounted cascade")
                admin.execute("truncate robot_brain.robot_interactions, robot_brain.erasures")
            with deployed({"DATABASE_URL": database.app_url}):
                assert send(Request(POST, "s", body={"messages": [turn("1"), turn("2"), turn("3")]})).status == 201
            with database.app() as app:
                before = app.execute(read).fetchone()
                with stopped(database, table, read) as (holder, result):
                    for statement in CHANGES[change].split(";"):
                        holder.execute(statement.encode())
                found = result()
                after = app.execute(read).fetchone()
            assert plain(found) in (plain(before), plain(after)), (name, table)


def plain(row: Any) -> Any:
    """Return a row with its body parsed, without the age of the figures."""
    body = json.loads(row[0]) if row[0] else {}
    return {name: value for name, value in body.items() if name not in ("as_of", "age_seconds")}, row[1]
