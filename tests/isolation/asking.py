"""Call an SQL function as robot_brain_app, and compare what two calls return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import psycopg
from psycopg import sql

from tests.isolation.counts import ASKED
from tests.isolation.parties import Party
from tests.support.searching import CUT_SHORT

# Functions without p_as_user. The layer refuses an end user that names another, or that asks for the audit trail.
OF_USERS = (
    "create_user",
    "save_user",
    "read_user",
    "list_users",
    "export_user",
    "count_user",
    "erase_user",
    "read_audit",
)


class Knowledge(Protocol):
    """What a caller knows of a session of another caller, or of a person of another tenant."""

    def plain(self, text: str) -> str:
        """Return `text` without what differs between any two of them."""


@dataclass(frozen=True)
class Answer:
    """What a call returned: its row, or the SQLSTATE and all texts of its error. `context` is for the server's log."""

    row: tuple[str | None, ...] = ()
    sqlstate: str | None = None
    error: tuple[str | None, ...] = ()
    context: str = ""

    def plain(self, known: Knowledge) -> tuple[object, ...]:
        """Return the answer without what differs between any two sessions or people."""
        return (
            self.sqlstate,
            *(None if text is None else known.plain(text) for text in (*self.row, *self.error)),
        )

    @property
    def text(self) -> str:
        """All texts of the answer, to look for what must not be in it."""
        return "\n".join(filter(None, (*self.row, *self.error, self.context)))


def ask(connection: psycopg.Connection, function: str, party: Party, arguments: Mapping[str, object]) -> Answer:
    """Call a function of robot_brain_api for a caller, with named parameters."""
    named = {"p_tenant_id": party.tenant, **_user(function, party), **arguments}
    call = sql.SQL("select * from robot_brain_api.{}({})").format(
        sql.Identifier(function),
        sql.SQL(", ").join(sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in named),
    )
    ASKED["calls of an SQL function"] += 1
    try:
        row = connection.execute(call, named).fetchone()
        # A page of a search is cut short if the machine is slow.
        while function == "search" and row is not None and CUT_SHORT in row[0]:
            row = connection.execute(call, named).fetchone()
    except psycopg.Error as error:
        diag = error.diag
        texts = (diag.message_primary, diag.message_detail, diag.message_hint, diag.constraint_name, diag.table_name)
        return Answer(sqlstate=error.sqlstate, error=texts, context=diag.context or "")
    assert row is not None
    return Answer(tuple(None if value is None else str(value) for value in row))


def _user(function: str, party: Party) -> dict[str, object]:
    # The layer gives an end user to the list as its filter. A caller that sees all may name any user there.
    if function == "list_sessions":
        return {} if party.user is None else {"p_user_id": party.user}
    if function in OF_USERS:
        return {}
    return {"p_as_user": party.user}
