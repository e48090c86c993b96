"""A repeated or late write without a key never writes again what was removed or erased in between."""

import json
import uuid
from typing import LiteralString

import psycopg
import pytest

from tests.model.states import stored
from tests.model.states_of_users import OTHER, USER, give_many_sessions
from tests.model.tables import answers
from tests.support.servers.databases import Database

TURNS = [{"robot_personality": "p", "user_message": "u", "robot_response": "r", "metadata": {}}]
_WRITE = """
select body, replayed from robot_brain_api.write_message(
  p_tenant_id => 'local', p_session_id => %s, p_messages => %s, p_first_id => %s, p_repeated => %s, p_as_user => %s)
"""
_MOVE = "select from robot_brain_api.patch_session('local', 's', p_user_id => %s, p_sets_user_id => true)"
_PATCH = "select from robot_brain_api.patch_session('local', 's', '{}', p_as_user => %s)"
_REMOVE: LiteralString = "select from robot_brain_api.remove_turns('local', 's', {after})"
_ERASE = "select state from robot_brain_api.erase_session('local', 's')"
_ERASE_USER = "select state from robot_brain_api.erase_user('local', %s)"
# What happened to the session `s` after the write, and what its retry and its late original get.
WRITTEN_BEFORE = """
then                             | its retry | a retry of a write that never came | the late original after its retry
---------------------------------+-----------+------------------------------------+----------------------------------
nothing                          | replayed  | written                            | RB409
removed                          | RB409     | RB409                              | RB409
removed, an hour ago             | written   | written                            | RB409
removed below the write          | RB409     | RB409                              | RB409
another write removed            | replayed  | RB409                              | RB409
removed, and more turns          | RB409     | RB409                              | RB409
erased                           | RB409     | RB409                              | RB409
erased, an hour ago              | written   | written                            | written
erased, and a namesake           | RB409     | RB409                              | RB409
erased, and patched              | RB409     | RB409                              | RB409
removed, then erased             | RB409     | RB409                              | RB409
erased, namesake erased          | RB409     | RB409                              | RB409
"""
# The same of an end user's write. What is refused as another caller's is not written either.
WRITTEN_BY_A_USER = """
then                             | its retry | a retry of a write that never came | the late original after its retry
---------------------------------+-----------+------------------------------------+----------------------------------
nothing                          | replayed  | written                            | RB409
moved                            | RB404     | RB404                              | RB404
moved to no user                 | RB404     | RB404                              | RB404
moved and back                   | replayed  | written                            | RB409
moved, and more turns            | RB404     | RB404                              | RB404
removed, and moved               | RB404     | RB404                              | RB404
removed, moved and back          | RB409     | RB409                              | RB409
erased                           | RB409     | RB409                              | RB409
erased, and another's namesake   | RB404     | RB404                              | RB404
erased, and patched by another   | RB404     | RB404                              | RB404
moved, then erased               | RB409     | RB409                              | RB409
moved, then erased, an hour ago  | written   | written                            | written
with its user                    | RB409     | RB409                              | RB409
with its user, an hour ago       | written   | written                            | written
with its user, and its namesake  | RB409     | RB409                              | RB409
with its user, another's namesake| RB404     | RB404                              | RB404
with its user, moved before      | RB404     | RB404                              | RB404
with its user, moved and back    | RB409     | RB409                              | RB409
being erased with its user       | replayed  | RB419                              | RB409
"""


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
@pytest.mark.parametrize(
    ("user", "table"), [(None, WRITTEN_BEFORE), (USER, WRITTEN_BY_A_USER)], ids=["service", "end user"]
)
def test_the_table_says_what_a_repeated_or_late_write_without_a_key_does(
    database: Database, user: str | None, table: str
) -> None:
    wrong = []
    with database.app() as app, database.admin() as admin:
        for then, attempt, outcome in answers(table):
            found = attempted(app, admin, then, attempt, user)
            if found != outcome:
                wrong.append(f"{then}, {attempt}: {found} instead of {outcome}")
    assert wrong == []


def attempted(app: psycopg.Connection, admin: psycopg.Connection, then: str, attempt: str, user: str | None) -> str:
    """Write, let happen what a row says, and return the outcome of the attempt. A refused attempt changes no row."""
    for table in ("sessions", "conversations", "erasures", "user_erasures"):
        admin.execute(f"delete from robot_brain.{table}".encode())
    write(app, uuid.uuid4(), False, user)
    first_id = uuid.uuid4()
    # A late original comes after its retry, which has written the turns.
    assert write(app, first_id, attempt.startswith("the late"), user) == "written"
    happen(app, admin, then)
    before = stored(admin, "local")
    if attempt == "a retry of a write that never came":
        first_id = uuid.uuid4()
    found = write(app, first_id, not attempt.startswith("the late"), user)
    assert (stored(admin, "local") != before) == (found == "written")
    return found


def happen(app: psycopg.Connection, admin: psycopg.Connection, then: str) -> None:
    """Change the session, in which the write has the seq 2, as a row of the table says."""
    if then == "another write removed":
        write(app, uuid.uuid4(), False, None)
        app.execute(_REMOVE.format(after=2))
    elif then == "removed below the write":
        app.execute(_REMOVE.format(after=0))
    elif then.startswith("removed"):
        app.execute(_REMOVE.format(after=1))
    if then == "being erased with its user":
        give_many_sessions(admin, "local", USER)
    if "moved" in then.removeprefix("removed"):
        app.execute(_MOVE, [None if then.endswith("no user") else OTHER])
    if then.endswith("back"):
        app.execute(_MOVE, [USER])
    if "with its user" in then:
        state = {"being erased with its user": "erasing", "with its user, moved before": "unknown"}.get(then, "erased")
        assert app.execute(_ERASE_USER, [USER]).fetchone() == (state,)
    elif "erased" in then:
        assert app.execute(_ERASE).fetchone() == ("erased",)
    if "patched" in then:
        app.execute(_PATCH, [OTHER if then.endswith("another") else None])
    if "namesake" in then or "more turns" in then:
        writer = OTHER if "another's" in then else USER if "its namesake" in then else None
        assert write(app, uuid.uuid4(), False, writer) == "written"
    if then.endswith("namesake erased"):
        assert app.execute(_ERASE).fetchone() == ("erased",)
    if then.endswith("an hour ago"):
        admin.execute("update robot_brain.sessions set removed_at = removed_at - interval '61 minutes'")
        admin.execute("update robot_brain.erasures set erased_at = erased_at - interval '61 minutes'")


def write(app: psycopg.Connection, first_id: uuid.UUID, repeated: bool, user: str | None) -> str:
    """Make an attempt of a write of a caller. Return `written`, `replayed` or the SQLSTATE of its refusal."""
    try:
        row = app.execute(_WRITE, ["s", json.dumps(TURNS), first_id, repeated, user]).fetchone()
    except psycopg.Error as error:
        return str(error.sqlstate)
    assert row is not None
    if row[1]:
        assert json.loads(row[0])["messages"][0]["id"] == str(first_id)
    return "replayed" if row[1] else "written"
