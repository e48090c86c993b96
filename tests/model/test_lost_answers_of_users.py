"""The answer to a change of a user is lost, after its commit or before. What the layer answers is true, or 504."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import LiteralString

import pytest

from tests.model.relayed import relayed
from tests.model.request import (
    DRY_RUN,
    ERASE_USER,
    GET_USER,
    LIST_USERS,
    PATCH_USER,
    POST_USER,
    PUT_USER,
    Request,
    send,
)
from tests.model.states_of_users import USER, give_many_sessions
from tests.model.tables import answers
from tests.model.trail import stored_trail
from tests.support.bundle import Reply
from tests.support.neon.relay import FaultRelay
from tests.support.servers.databases import Database
from tests.support.waiting import wait_until

# The layer sent a first attempt, and got no answer: `before` its commit, or `after` it. Then something happened to the
# user that the attempt changed or made, and the layer may have tried again. A 504 says that the outcome is unknown.
# `done` says that the change is there, once. For a DELETE it says that nothing is left of the person.
TABLE = """
lost                   | POST     | POST, key | PUT      | PUT, tag | PATCH    | PATCH, tag | DELETE   | DELETE, tag
-----------------------+----------+-----------+----------+----------+----------+------------+----------+------------
before                 | 201 done | 201 done  | 504      | 200 done | 504      | 200 done   | 504      | 204 done
after                  | 201 done | 201 done  | 504 done | 504 done | 504 done | 504 done   | 504 done | 504 done
after, then changed    | 201      | 201       | 504      | 504      | 504      | 504        |          |
after, then erased     | 504      | 504       | 504      | 504      | 504      | 504        |          |
after, then made again |          |           | 504      | 504      | 504      | 504        | 504      | 504
after its first step   |          |           |          |          |          |            | 504      | 204 done
"""
NEW = {"email": "new@example.com"}
REQUESTS: dict[str, Callable[[str], Request]] = {
    "POST": lambda _: Request(POST_USER, body=NEW),
    "POST, key": lambda _: Request(POST_USER, body=NEW, key="k"),
    "PUT": lambda _: Request(PUT_USER, user_id=USER, body=NEW),
    "PUT, tag": lambda tag: Request(PUT_USER, user_id=USER, body=NEW, if_match=tag),
    "PATCH": lambda _: Request(PATCH_USER, user_id=USER, body=NEW),
    "PATCH, tag": lambda tag: Request(PATCH_USER, user_id=USER, body=NEW, if_match=tag),
    "DELETE": lambda _: Request(ERASE_USER, user_id=USER),
    "DELETE, tag": lambda tag: Request(ERASE_USER, user_id=USER, if_match=tag),
}
REQUEST_ID = "the request whose answer is lost"
ACTIONS = {"POST": "INSERT", "PUT": "UPDATE", "PATCH": "UPDATE", "DELETE": "ERASE"}
ROWS = [row for row in answers(TABLE) if row[2]]
# What happens between the first attempt and the retry, to the user that the first attempt changed or made.
_CHANGED = "robot_brain_api.save_user('{tenant}', {id}, '{{\"email\": \"changed@x.com\"}}', 'changed@x.com')"
_ERASED = "robot_brain_api.erase_user('{tenant}', {id})"
_WAITING: LiteralString = """
select pid from pg_stat_activity where datname = %s and usename = 'robot_brain_app_a' and wait_event_type = 'Lock'
"""


def between(tenant: str, lost: str, name: str) -> list[str]:
    """Return the calls of a row of TABLE, which run before the layer's retry."""
    calls = [_ERASED] if lost.endswith(("erased", "again")) and not name.startswith("DELETE") else []
    calls += [_CHANGED] if lost.endswith(("changed", "again")) else []
    made = f"""(
      select body::json #>> '{{users,0,id}}'
      from robot_brain_api.list_users('{tenant}', p_email_key => 'new@example.com')
    )"""
    id = made if name.startswith("POST") else f"'{USER}'"
    return [f"select from {call.format(tenant=tenant, id=id)}" for call in calls]


def send_and_lose(database: Database, relay: FaultRelay, request: Request, before: bool) -> Reply:
    """Send a request whose first answer is lost. If `before`, the server ends the attempt before its commit."""
    relay.lose_answers()
    if not before:
        return send(request, REQUEST_ID)
    with database.admin() as holder, database.admin() as admin, ThreadPoolExecutor(1) as threads:
        with holder.transaction():
            holder.execute("lock table robot_brain.users in share mode")
            sending = threads.submit(send, request, REQUEST_ID)
            wait_until(lambda: bool(admin.execute(_WAITING, [database.name]).fetchall()))
            ((pid,),) = admin.execute(_WAITING, [database.name]).fetchall()
            admin.execute("select pg_terminate_backend(%s)", [pid])
            wait_until(lambda: not admin.execute("select from pg_stat_activity where pid = %s", [pid]).fetchall())
        return sending.result(60)


@pytest.mark.parametrize(("lost", "name", "answer"), ROWS)
def test_the_table_says_what_a_change_of_a_user_answers_whose_first_answer_was_lost(
    one_database: Database, lost: str, name: str, answer: str
) -> None:
    tenant = f"lost-{ROWS.index((lost, name, answer))}"
    with relayed(one_database, tenant) as (relay, waiting):
        tag = send(Request(PUT_USER, user_id=USER, body={"email": "old@example.com"})).headers["etag"]
        if lost == "after its first step":
            with one_database.admin() as admin:
                give_many_sessions(admin, tenant)
        waiting.statements = between(tenant, lost, name)
        reply = send_and_lose(one_database, relay, REQUESTS[name](tag), lost == "before")
        waiting.run()
        status, *marks = answer.split()
        assert (reply.status, "retry-after" in reply.headers) == (int(status), False), reply.body
        # A retry of the layer is never announced as a replay of the client's.
        assert "idempotent-replayed" not in reply.headers
        assert is_done(name) == ("done" in marks)
        # The audit trail has one entry of what was done, by whichever attempt, and none of what was not.
        with one_database.admin() as admin:
            trail = stored_trail(admin, tenant).get(REQUEST_ID, [])
        is_recorded = lost != "before" or "done" in marks
        assert [entry.action for entry in trail] == [ACTIONS[name.partition(",")[0]]] * is_recorded
        if reply.status == 201 and lost != "after, then changed":
            assert send(Request(GET_USER, user_id=reply.json["id"])).json == reply.json
        if lost.endswith(("changed", "again")) and not name.startswith("POST"):
            # The change of another client stays.
            assert send(Request(GET_USER, user_id=USER)).json["email"] == "changed@x.com"


def is_done(name: str) -> bool:
    """Return whether a change is there, once."""
    if name.startswith("DELETE"):
        return send(Request(ERASE_USER, user_id=USER, query=DRY_RUN)).status == 404
    found = send(Request(LIST_USERS, query={"limit": 100})).json["users"]
    return [user["email"] for user in found].count(NEW["email"]) == 1
