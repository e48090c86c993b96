"""Turns that tests search for: written, filled, and found by calls of the SQL functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from ops.migrate import migrate
from ops.sql_files import SQL
from tests.support.servers.databases import Database, create_database, drop_database
from tests.support.servers.postgres import Postgres

Json = dict[str, Any]
NO_WORD = "RB430"


@dataclass(frozen=True)
class Searching:
    """Writes, fills and searches as tenant `local` over an autocommit connection that may call every function."""

    connection: psycopg.Connection

    def write(self, session_id: str, *texts: tuple[str, str], **more: object) -> None:
        """Write a turn for each (user message, robot response)."""
        turns = [
            {"robot_personality": "p", "user_message": user, "robot_response": robot, "metadata": {}, **more}
            for user, robot in texts
        ]
        self.connection.execute(
            "select robot_brain_api.write_message(p_tenant_id => 'local', p_session_id => %s, p_messages => %s)",
            [session_id, json.dumps(turns)],
        )

    def fill(self) -> int:
        """Make the words of all turns. Returns the number of turns whose words were made."""
        made = 0
        self.connection.execute("select robot_brain_api.refresh_stats(0)")
        while True:
            (body,) = self.one("select robot_brain_api.fill_search()")
            step = json.loads(body)
            made += int(step["words_made"])
            if not step["has_more"]:
                return made

    def search(self, query: str, **filters: object) -> Json:
        """Return the first page of a search as its body."""
        named = {"p_tenant_id": "local", "p_query": query, **filters}
        given = ", ".join(f"{name} => %({name})s" for name in named)
        (body,) = self.one(f"select body from robot_brain_api.search({given})", named)
        page: Json = json.loads(body)
        return page

    def found(self, query: str, **filters: object) -> set[tuple[str, int]]:
        """Return (session, seq) of each hit of a search's first page, whose limit is 50."""
        return {(hit["session_id"], hit["seq"]) for hit in self.search(query, p_limit=50, **filters)["hits"]}

    def one(self, call: str, parameters: Sequence[object] | Json = ()) -> tuple[Any, ...]:
        """Return the one row of a statement."""
        row = self.connection.execute(call.encode(), parameters or None).fetchone()
        assert row is not None
        return row


def use_language(admin: psycopg.Connection, language: str) -> None:
    """Make the words of an empty database by another text search configuration."""
    with admin.transaction():
        admin.execute("update robot_brain.search_state set language = %s", [language])
        admin.execute((SQL / "functions/robot_brain/search_language.sql").read_bytes())
        admin.execute("reset role")


@contextmanager
def unicode_database(server: Postgres, name: str) -> Iterator[Database]:
    """Migrate a database of the locale C.UTF-8. The server must be PostgreSQL 17 or later."""
    with server.admin() as admin:
        create_database(admin, name, "locale_provider builtin builtin_locale 'C.UTF-8'")
    try:
        migrate(server.direct_url(name))
        yield Database("embedded", name, "", server.direct_url(name), server)
    finally:
        drop_database(server.kept_admin(), name)
