"""An Idempotency-Key of an end user is its own, also after the session belongs to another user."""

from dataclasses import replace

import pytest

from tests.model.request import ERASE, ERASE_USER, KNOWS_CALLERS, PATCH, POST, REMOVE, Request, send
from tests.model.states import erasing, stored, turn
from tests.model.states_of_users import OTHER, USER, begin_erasure
from tests.model.tables import answers
from tests.support.bundle import deployed
from tests.support.servers.databases import Database

# The user used the key for FIRST in its session `s`. Then something happened, and a request comes.
# `same` to `new key` are the user's. The other two have the same key and body. `first` is the first answer again, with
# Idempotent-Replayed, `wait` an answer with Retry-After.
TABLE = """
then                            | same      | other body | new key  | another user | service
--------------------------------+-----------+------------+----------+--------------+---------
nothing                         | 201 first | 422        | 201      | 404          | 201
moved to another user           | 201 first | 422        | 404      | 201          | 201
moved to no user                | 201 first | 422        | 404      | 404          | 201
moved to another user and back  | 201 first | 422        | 201      | 404          | 201
moved, and turns removed        | 201 first | 422        | 404      | 201          | 201
erased                          | 410       | 410        | 201      | 201          | 201
being erased                    | 410       | 410        | 409 wait | 404          | 409 wait
moved, and erased               | 410       | 410        | 201      | 201          | 201
moved, and being erased         | 410       | 410        | 404      | 409 wait     | 409 wait
erased, and another's namesake  | 410       | 410        | 404      | 201          | 201
erased with its user            | 410       | 410        | 201      | 201          | 201
being erased with its user      | 410       | 410        | 409 wait | 404          | 409 wait
moved, and its user erased      | 201 first | 422        | 404      | 201          | 201
moved, and its user on the way  | 201 first | 422        | 404      | 201          | 201
"""
FIRST = Request(POST, "s", body={"messages": [turn("1"), turn("2")]}, key="order-4711", user=USER)
REQUESTS = {
    "same": FIRST,
    "other body": replace(FIRST, body=turn("other")),
    "new key": replace(FIRST, key="order-4712"),
    "another user": replace(FIRST, user=OTHER),
    "service": replace(FIRST, user=None),
}
ROWS = answers(TABLE)


@pytest.mark.parametrize(("then", "name", "answer"), ROWS)
def test_the_table_says_what_a_key_of_an_end_user_answers(
    one_database: Database, then: str, name: str, answer: str
) -> None:
    tenant = f"key-{ROWS.index((then, name, answer))}"
    variables = {**KNOWS_CALLERS, "DATABASE_URL": one_database.app_url, "TENANT_ID": tenant}
    with deployed(variables), one_database.admin() as admin:
        first = send(FIRST)
        assert first.status == 201
        happen(one_database, tenant, then)
        before = stored(admin, tenant)
        reply = send(REQUESTS[name])
        status, *marks = answer.split()
        assert reply.status == int(status), reply.body
        assert (stored(admin, tenant) != before) == (answer == "201")
        assert reply.headers.get("idempotent-replayed") == ("true" if "first" in marks else None)
        assert ("etag" in reply.headers) == (answer == "201")
        assert ("retry-after" in reply.headers) == ("wait" in marks)
        if "first" in marks:
            assert reply.json == first.json
        elif answer == "201":
            # The key is the caller's from now on, beside the one of the first user.
            again = send(REQUESTS[name])
            assert (again.status, again.json) == (201, reply.json)
            assert again.headers["idempotent-replayed"] == "true"
        elif answer == "422":
            assert (reply.json["session_id"], reply.json["seq"]) == ("s", 1)


def happen(database: Database, tenant: str, then: str) -> None:
    """Change the session as a row of TABLE says."""
    if then.startswith("moved"):
        move(None if then.endswith("no user") else OTHER)
    if then.endswith("back"):
        move(USER)
    elif then.endswith("removed"):
        assert send(Request(REMOVE, "s", query={"after": 0}, user=OTHER)).json["removed"] == 2
    if then in ("being erased with its user", "moved, and its user on the way"):
        begin_erasure(database, tenant, USER)
    elif then == "erased with its user":
        assert send(Request(ERASE_USER, user_id=USER)).status == 204
    elif then == "moved, and its user erased":
        # The session is the other user's, so nothing is left of this one.
        assert send(Request(ERASE_USER, user_id=USER)).status == 404
    elif then.endswith("being erased"):
        erasing(database, tenant, "s", OTHER if then.startswith("moved") else USER)
    elif "erased" in then:
        assert send(Request(ERASE, "s", user=OTHER if then.startswith("moved") else USER)).status == 204
    if then.endswith("namesake"):
        assert send(Request(POST, "s", body=FIRST.body, user=OTHER)).json["last_seq"] == 2


def move(user: str | None) -> None:
    """Give the session to a user, as a service does."""
    assert send(Request(PATCH, "s", body={"user_id": user})).status == 200
