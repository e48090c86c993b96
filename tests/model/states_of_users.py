"""Users in each state that the contract knows, made through the API, and sessions in the states that erasures make.

The user is USER, and OTHER is another one. Both may sign in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import LiteralString

import psycopg

from tests.model.request import ERASE_USER, PATCH, POST, PUT_USER, Request, send
from tests.model.states import Tags, live
from tests.model.store import Json
from tests.support.servers.databases import Database

USER, OTHER = "guest-7", "guest-8"
EMAIL = "Ann@example.com"
HASH = "$2b$12$abcdefghijklmnopqrstuv"
DOCUMENT: Json = {"email": EMAIL, "password_hash": HASH, "profile": {"first_name": "Ann"}}
# A user that has the e-mail `taken@example.com` in each state.
TAKER = Request(PUT_USER, user_id="taker", body={"email": "taken@example.com"})
# A step that marks more than 100 sessions erases none of them.
SESSIONS_OF_A_STEP = 101
_MANY: LiteralString = """
insert into robot_brain.sessions (
  tenant_id, id, user_id, created_at, last_active, active_hour, message_count, response_length, answer_bytes
)
select %s, 'many ' || n, %s, now(), now(), date_bin('1 hour', now(), to_timestamp(0)), 0, 0, 0
from generate_series(1, %s) n
"""
_COUNT_MANY: LiteralString = """
insert into robot_brain.uncounted (
  tenant_id, robot_personality, messages, response_length, sessions, opened, interactions
)
values (%s, '', 0, 0, %s, 0, 0)
"""
_ERASE = "select state from robot_brain_api.erase_user(%s, %s)"
_GO_ON = "select state from robot_brain_api.erase_user(%s, %s, p_continue => true)"


def unknown(database: Database, tenant: str) -> Tags:
    """Make no user. The tags are of no user."""
    return Tags('"1f"', '"1e"')


def without_row(database: Database, tenant: str) -> Tags:
    """Make a session of the user, and no user."""
    live(database, tenant, "s", USER)
    return Tags('"1f"', '"1e"')


def present(database: Database, tenant: str) -> Tags:
    """Make a user with a session."""
    first = send(Request(PUT_USER, user_id=USER, body={}))
    second = send(Request(PUT_USER, user_id=USER, body=DOCUMENT))
    live(database, tenant, "s", USER)
    return Tags(second.headers["etag"], first.headers["etag"])


def being_erased(database: Database, tenant: str) -> Tags:
    """Make a user with a session, and do the first step of its erasure."""
    tags = present(database, tenant)
    begin_erasure(database, tenant)
    return tags


def erased(database: Database, tenant: str) -> Tags:
    """Make a user with a session, and erase it."""
    tags = present(database, tenant)
    assert send(Request(ERASE_USER, user_id=USER)).status == 204
    return tags


def give_many_sessions(admin: psycopg.Connection, tenant: str, user: str = USER) -> None:
    """Give a user so many sessions that the first step of its erasure only marks them."""
    # Not through the API, because that takes ten times as long.
    admin.execute(_MANY, [tenant, user, SESSIONS_OF_A_STEP])
    admin.execute(_COUNT_MANY, [tenant, SESSIONS_OF_A_STEP])


def begin_erasure(database: Database, tenant: str, user: str = USER) -> None:
    """Give a user many sessions, and do the first step of its erasure."""
    with database.app() as app, database.admin() as admin:
        give_many_sessions(admin, tenant, user)
        assert app.execute(_ERASE, [tenant, user]).fetchone() == ("erasing",)


def end_erasure(app: psycopg.Connection, tenant: str, user: str = USER) -> None:
    """Do the other steps of an erasure. Each of them erases something, so they are few."""
    for _ in range(3 * SESSIONS_OF_A_STEP):
        if app.execute(_GO_ON, [tenant, user]).fetchone() == ("erased",):
            return
    raise AssertionError(f"the erasure of {user} does not end")


STATES_OF_USERS: dict[str, Callable[[Database, str], Tags]] = {
    "unknown": unknown,
    "without a row": without_row,
    "present": present,
    "erasing": being_erased,
    "erased": erased,
}


def session_marked(database: Database, tenant: str) -> Tags:
    """Make the session `s` of a user that is being erased."""
    tags = live(database, tenant, "s", USER)
    begin_erasure(database, tenant)
    return tags


def session_unknown(database: Database, tenant: str) -> Tags:
    """Make a user that is being erased, and no session `s`."""
    begin_erasure(database, tenant)
    return Tags('"3.1f"', '"2.1f"')


def session_erased(database: Database, tenant: str) -> Tags:
    """Make the session `s`, and erase its user."""
    tags = session_marked(database, tenant)
    with database.app() as app:
        end_erasure(app, tenant)
    return tags


def session_handed_over(database: Database, tenant: str) -> Tags:
    """Make the session `s` of a user, give it to another one, and begin the erasure of the first one."""
    tags = live(database, tenant, "s", USER)
    reply = send(Request(PATCH, "s", body={"user_id": OTHER}))
    begin_erasure(database, tenant)
    return Tags(reply.headers["etag"], tags.now)


def session_of_namesake(database: Database, tenant: str) -> Tags:
    """Make the session `s` of a user, erase the user, and let the same person begin it again."""
    tags = session_erased(database, tenant)
    first = Request(POST, "s", body={"robot_personality": "p", "user_message": "u", "robot_response": "r"}, user=USER)
    return replace(tags, now=send(first).headers["etag"])


STATES_OF_SESSIONS: dict[str, Callable[[Database, str], Tags]] = {
    "marked": session_marked,
    "unknown": session_unknown,
    "erased": session_erased,
    "handed over": session_handed_over,
    "namesake": session_of_namesake,
}
