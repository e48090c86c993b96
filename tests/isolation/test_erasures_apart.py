"""The erasure of a user blocks no other user, empties no answer of another and shows nothing, whatever both share."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from tests.isolation.asking import ask
from tests.isolation.calling import by_token, everything
from tests.isolation.function_cases import TURN
from tests.isolation.parties import Party
from tests.isolation.people import People
from tests.isolation.world import rows_of, tables_of
from tests.support.bundle import deployed
from tests.support.servers.databases import Database

# Equal users of two tenants, and tenants whose ids, put together with those of their users, look alike.
PAIRS = [
    (Party("a", "b:c"), Party("a:b", "c")),
    (Party("a:b", "c"), Party("a", "b:c")),
    (Party("acme", "tom"), Party("globex", "tom")),
]
# A call that needs the lock of the other tenant fails after this time. No other call waits for a lock at all.
_NO_WAIT = "set lock_timeout = '5s'"


@pytest.fixture
def admin(embedded_database: Database) -> Iterator[psycopg.Connection]:
    with embedded_database.admin() as connection:
        yield connection


@pytest.fixture
def app(embedded_database: Database) -> Iterator[psycopg.Connection]:
    with embedded_database.app() as connection:
        connection.execute(_NO_WAIT)
        yield connection


@pytest.mark.parametrize(("erased", "other"), PAIRS)
def test_an_erasure_takes_no_lock_of_a_user_of_another_tenant(
    admin: psycopg.Connection, app: psycopg.Connection, erased: Party, other: Party
) -> None:
    service, named = Party(other.tenant), {"p_user_id": other.user}
    turn = {"p_messages": json.dumps([TURN])}
    ask(app, "write_message", erased, {"p_session_id": "s", **turn})
    with admin.transaction(force_rollback=True):
        assert ask(admin, "erase_user", Party(erased.tenant), {"p_user_id": erased.user}).row == ("erased",)
        for function, party, arguments in (
            ("save_user", service, {**named, "p_user": "{}"}),
            ("write_message", other, {"p_session_id": "of the other", **turn}),
            ("patch_session", other, {"p_session_id": "another"}),
            ("patch_session", service, {"p_session_id": "given", "p_sets_user_id": True, **named}),
            ("erase_user", service, named),
            ("create_user", service, {**named, "p_user": "{}"}),
        ):
            found = ask(app, function, party, arguments)
            # The other user of this id was erased by the call before.
            assert found.sqlstate == ("RB409" if function == "create_user" else None), (function, found)


@pytest.mark.parametrize(("shared", "other"), PAIRS)
def test_a_request_of_a_user_keeps_no_user_of_another_tenant_from_being_erased(
    admin: psycopg.Connection, app: psycopg.Connection, shared: Party, other: Party
) -> None:
    ask(app, "write_message", other, {"p_session_id": "s", "p_messages": json.dumps([TURN])})
    with admin.transaction(force_rollback=True):
        ask(admin, "save_user", Party(shared.tenant), {"p_user_id": shared.user, "p_user": "{}"})
        assert ask(app, "erase_user", Party(other.tenant), {"p_user_id": other.user}).row == ("erased",)


def test_the_erasures_and_refreshes_of_a_tenant_go_on_beside_the_erasure_of_another(
    embedded_database: Database, admin: psycopg.Connection, app: psycopg.Connection
) -> None:
    globex, tables = People(app, admin, Party("globex")), tables_of(admin)
    erasing = globex.make("erasing")
    twin = Party("acme", erasing.id)
    variables = {"DATABASE_URL": embedded_database.app_url, "AUTH": "jwt", "TENANT_FROM": "claim:tenant"}
    # No reader refreshes, however old the database is. Only the schedule does.
    with deployed({**variables, "STATS_MAX_AGE": "0"}):
        acme, tom = by_token(Party("acme")), by_token(twin)
        before = rows_of(admin, tables, "globex")
        # The twin is known, begins sessions, and is erased as if the other tenant had no such user.
        assert tom.write(erasing.session_id, {"robot_personality": "p", "user_message": "", "robot_response": ""})
        assert tom.user("PUT", erasing.id, {"email": erasing.email}).status == 201
        replies = [acme.stats(), acme.users(), tom.export(erasing.id), tom.count_user(erasing.id)]
        assert [each.status for each in replies] == [200] * 4
        assert acme.user("DELETE", erasing.id).status == 204
        assert rows_of(admin, tables, "globex") == before
        # The schedule's refresh belongs to no tenant. So it goes on with the oldest erasure of all.
        assert acme.user("PUT", "own", {"email": erasing.email}).status == 201
        mine = rows_of(admin, tables, "acme")
        while admin.execute("select from robot_brain.user_erasures where user_id is not null").fetchall():
            refreshed = acme.refresh()
            assert not any(word in json.dumps(refreshed) for word in erasing.canaries)
        assert not any(word in everything(acme.stats()) for word in erasing.canaries)
        assert {row for row in mine if row[0] in OF_PEOPLE} == {
            row for row in rows_of(admin, tables, "acme") if row[0] in OF_PEOPLE
        }
    left = {table for table, _ in rows_of(admin, tables, "globex")}
    assert left.isdisjoint({"sessions", "conversations", "users", "user_profiles"})


OF_PEOPLE = ("users", "user_profiles", "sessions", "user_erasures")


def test_the_step_of_an_erasure_of_any_tenant_leaves_no_tenant_on_the_connection(
    admin: psycopg.Connection, app: psycopg.Connection
) -> None:
    People(app, admin, Party("globex")).make("erasing")
    body = app.execute("select body from robot_brain_api.continue_erasure()").fetchone()
    assert body is not None
    assert set(json.loads(body[0])) == {"turns_erased"}
    assert app.execute("select current_setting('robot_brain.tenant_id', true)").fetchone() in [("",), (None,)]


@pytest.mark.parametrize("later", ["a turn", "a user"])
def test_the_erasure_of_a_user_empties_no_answer_of_a_later_request_with_the_same_key(
    admin: psycopg.Connection, app: psycopg.Connection, later: str
) -> None:
    service = Party("acme")
    ask(app, "create_user", service, {"p_user_id": "first", "p_user": "{}", "p_key": "k"})
    # A day later the key has expired, and another request may use it.
    admin.execute("update robot_brain.idempotency_keys set expires_at = now() - interval '1 hour'")
    function, sent = {
        "a turn": ("write_message", {"p_session_id": "s", "p_messages": json.dumps([TURN]), "p_key": "k"}),
        "a user": ("create_user", {"p_user_id": "second", "p_user": "{}", "p_key": "k"}),
    }[later]
    answer = ask(app, function, service, sent)
    assert ask(app, "erase_user", service, {"p_user_id": "first"}).row == ("erased",)
    assert ask(app, function, service, sent).row[:2] == (answer.row[0], "True")
