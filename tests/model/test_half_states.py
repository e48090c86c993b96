"""A reader sees a change as a whole or not at all, at whatever moment the change is committed.

The reader stops at a lock after it has begun. The change is committed, and only then the reader goes on.
"""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
import pytest

from tests.model.request import KNOWS_CALLERS, POST, Request, send
from tests.model.states import turn
from tests.support.bundle import deployed
from tests.support.servers.databases import Database
from tests.support.waiting import wait_until

_NEW: LiteralString = """
select from robot_brain_api.write_message(%(tenant)s, 's',
  '[{"robot_personality": "p", "user_message": "new", "robot_response": "new", "metadata": {}}]')
"""
_REPLACE: LiteralString = """
select from robot_brain_api.replace_turn(%(tenant)s, 's', 2,
  '{"user_message": "new", "robot_response": "new", "metadata": {}}')
"""
_PATCH: LiteralString = "select from robot_brain_api.patch_session(%(tenant)s, 's', '{\"a\": 1}', 'guest-7', true)"
_ERASE: LiteralString = "select from robot_brain_api.erase_session(%(tenant)s, 's')"
_MOVE: LiteralString = "select from robot_brain_api.patch_session(%(tenant)s, 's', null, 'guest-8', true)"
_ERASE_USER: LiteralString = "select from robot_brain_api.erase_user(%(tenant)s, 'guest-7')"
# As the first step of the erasure of a large session does it.
_MARK: LiteralString = """
update robot_brain.sessions set erasing_at = clock_timestamp(), user_metadata = '{}'
where tenant_id = %(tenant)s and id = 's'
"""
_NEW_OF_OTHER: LiteralString = """
select from robot_brain_api.write_message(%(tenant)s, 's',
  '[{"robot_personality": "p", "user_message": "new", "robot_response": "new", "metadata": {}}]',
  p_as_user => 'guest-8')
"""
CHANGES: dict[str, tuple[LiteralString, ...]] = {
    "a write": (_NEW,),
    "a replacement": (_REPLACE,),
    "a removal of some turns": ("select from robot_brain_api.remove_turns(%(tenant)s, 's', 1)",),
    "a removal of all turns": ("select from robot_brain_api.remove_turns(%(tenant)s, 's', 0)",),
    "an erasure": (_ERASE,),
    "an erasure and a namesake": (_ERASE, _NEW),
    "a patch": (_PATCH,),
}
READS: dict[str, LiteralString] = {
    "a page": "select body, etag from robot_brain_api.read_session(%(tenant)s, 's')",
    "a page by size": "select body, etag from robot_brain_api.read_session(%(tenant)s, 's', p_max_chars => 30)",
    "a page after a seq": "select body, etag from robot_brain_api.read_session(%(tenant)s, 's', p_after => 1)",
    "a list with previews": "select body, null from robot_brain_api.list_sessions(%(tenant)s, p_preview => true)",
    "a list by metadata": "select body, null from robot_brain_api.list_sessions("
    "%(tenant)s, p_preview => true, p_path => '$.a == 1 || $.b == 1')",
    "the figures": "select body, null from robot_brain_api.stats(%(tenant)s)",
    "the session's figures": "select body, null from robot_brain_api.stats(%(tenant)s, 's')",
}
# Changes of a session of guest-7 that take it from this user, and what the user reads.
TAKEN: dict[str, tuple[LiteralString, ...]] = {
    "a move": (_MOVE,),
    "a move and a write": (_MOVE, _NEW_OF_OTHER),
    "an erasure and another's namesake": (_ERASE, _NEW_OF_OTHER),
    "a first step of an erasure": (_MARK,),
    "an erasure of its user": (_ERASE_USER,),
    "an erasure of its user and another's namesake": (_ERASE_USER, _NEW_OF_OTHER),
}
READS_OF_USER: dict[str, LiteralString] = {
    "a page": "select body, etag from robot_brain_api.read_session(%(tenant)s, 's', p_as_user => 'guest-7')",
    "a page by size": "select body, etag from robot_brain_api.read_session("
    "%(tenant)s, 's', p_max_chars => 30, p_as_user => 'guest-7')",
    "a list with previews": "select body, null from robot_brain_api.list_sessions("
    "%(tenant)s, p_user_id => 'guest-7', p_preview => true)",
    "the session's figures": "select body, null from robot_brain_api.stats(%(tenant)s, 's', p_as_user => 'guest-7')",
    "a dry run": "select body, null from robot_brain_api.count_user(%(tenant)s, 'guest-7')",
    "an export": "select body, null from robot_brain_api.export_user(%(tenant)s, 'guest-7')",
}
# The reader stops at the first query of this table.
TABLES = ("conversations", "sessions", "uncounted")
_WAITS = "select from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"


class Readers:
    """Connections of one test, and a thread for the reader."""

    def __init__(self, database: Database) -> None:
        """Open the connections. Use `with`."""
        self._connections = (database.admin(), database.app(), database.admin())
        self._threads = ThreadPoolExecutor(1)

    def __enter__(self) -> "Readers":
        return self

    def __exit__(self, *exception: object) -> None:
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()

    def read(self, read: LiteralString, tenant: str) -> Any:
        """Return what a read answers now."""
        return plain(self._connections[1].execute(read, {"tenant": tenant}).fetchone())

    @contextmanager
    def stopped(self, table: str, read: LiteralString, tenant: str) -> Iterator[psycopg.Connection]:
        """Start a read that stops at `table`. Yield a connection whose commit lets it go on. `found` is the answer."""
        holder, reader, observer = self._connections
        with holder.transaction():
            holder.execute(f"lock table robot_brain.{table} in access exclusive mode".encode())
            reading: Future[Any] = self._threads.submit(self.read, read, tenant)
            pid = [reader.info.backend_pid]
            wait_until(lambda: reading.done() or bool(observer.execute(_WAITS, pid).fetchall()))
            yield holder
        self.found = reading.result(60)


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("change", CHANGES)
def test_a_read_shows_the_state_before_or_after(database: Database, change: str) -> None:
    check_reads(database, READS, CHANGES[change], None)


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("change", TAKEN)
def test_a_user_reads_its_session_whole_or_not_at_all_while_another_gets_it(database: Database, change: str) -> None:
    check_reads(database, READS_OF_USER, TAKEN[change], "guest-7")


def check_reads(
    database: Database, reads: dict[str, LiteralString], change: tuple[LiteralString, ...], user: str | None
) -> None:
    """Assert that each read of a session that `user` made shows the state before or after the change."""
    with Readers(database) as readers:
        for name, read in reads.items():
            for table in TABLES:
                tenant = f"{name}-{table}".replace(" ", "_").replace("'", "")
                with deployed({**KNOWS_CALLERS, "DATABASE_URL": database.app_url, "TENANT_ID": tenant}):
                    sent = send(Request(POST, "s", body={"messages": [turn("1"), turn("2"), turn("3")]}, user=user))
                    assert sent.status == 201, sent.body
                before = readers.read(read, tenant)
                with readers.stopped(table, read, tenant) as changing:
                    for statement in change:
                        changing.execute(statement, {"tenant": tenant})
                after = readers.read(read, tenant)
                assert readers.found in (before, after), (name, table)
                if user is not None:
                    # A dry run counts marked sessions, too.
                    assert before != after or name == "a dry run", name


def plain(row: Any) -> Any:
    """Return a row with its body parsed, without the age of the figures."""
    body = json.loads(row[0]) if row[0] else {}
    return {name: value for name, value in body.items() if name not in ("as_of", "age_seconds")}, row[1]
