"""What a client of the pooler sets and leaves behind changes no answer of the requests that follow.

PgBouncer in transaction mode does not reset a server connection. Neon's pooler does not either.
"""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from robot_brain.errors import DatabaseReadOnlyError
from tests.integration.held_locks import held, wait_for_waiter
from tests.integration.leaking import answers, end_servers, leak, one_server_connection
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.databases import Database
from tests.support.servers.pgbouncer import PgBouncer

pytestmark = pytest.mark.parametrize("database", ["pooled"], indirect=True)

# Values of the settings that hold text. A setting of this kind that is missing here fails the test.
TEXTS = {
    "application_name": ["x" * 63],
    "client_encoding": ["SQL_ASCII", "LATIN1", "SJIS"],
    "createrole_self_grant": ["set"],
    "DateStyle": ["SQL, DMY", "German", "Postgres, MDY"],
    "default_table_access_method": ["heap"],
    "default_tablespace": ["pg_default"],
    "default_text_search_config": ["pg_catalog.french"],
    "lc_monetary": ["C"],
    "lc_numeric": ["C"],
    "lc_time": ["C"],
    "local_preload_libraries": ["none"],
    "plpgsql.extra_errors": ["all"],
    "plpgsql.extra_warnings": ["all"],
    "restrict_nonsystem_relation_kind": ["view"],
    "search_path": ["robot_brain_api, public", "pg_temp"],
    "temp_tablespaces": ["pg_default"],
    "TimeZone": ["Asia/Kathmandu", "Etc/GMT+12"],
    "timezone_abbreviations": ["Australia"],
}
# These end with their transaction.
OF_A_TRANSACTION = {"transaction_deferrable", "transaction_isolation", "transaction_read_only"}
# Changes no answer, and makes each call some milliseconds to seconds slower: PostgreSQL compiles each statement.
COSTS = ("_cost",)
# More that a session can hold than its settings.
STATES = {
    "a tenant": "select set_config('robot_brain.tenant_id', 'other', false)",
    "a setting of its own": "select set_config('mine.setting', 'x', false)",
    "a prepared statement": "prepare mine as select 1",
    "a prepared statement with a name of psycopg": "prepare _pg3_0 as select 1",
    "a cursor": "begin; declare mine cursor with hold for select 1; commit",
    "a channel": "listen mine",
    "an advisory lock": "select pg_advisory_lock(1)",
    "no role": "set role none",
    "a role": "set role robot_brain_app_a",
    "discarded plans": "discard plans",
}


@pytest.fixture
def shared(database: Database, pooler: PgBouncer) -> Iterator[Bundle]:
    """The functions behind a pooler with one server connection."""
    with one_server_connection(pooler), deployed({"DATABASE_URL": database.app_url}) as bundle:
        yield bundle


def values(database: Database) -> list[dict[str, str]]:
    """Return settings with values, each setting that a login may set with each of its extreme values once.

    A new server connection for each value would take minutes. So the first dictionary has the first value of every
    setting, and so on.
    """
    with database.app() as connection:
        rows: list[Any] = connection.execute(
            "select name, vartype, min_val, max_val, enumvals, setting from pg_settings where context = 'user'"
        ).fetchall()
    rounds: list[dict[str, str]] = []
    for name, kind, least, most, enumerated, now in rows:
        if name in OF_A_TRANSACTION or name.endswith(COSTS):
            continue
        by_kind = {"bool": ["off" if now == "on" else "on"], "enum": enumerated, "string": TEXTS.get(name)}
        found = by_kind.get(kind, [least, most])
        assert found is not None, f"{name}: TEXTS must have a value of it"
        for number, value in enumerate(value for value in found if value != now):
            if number == len(rounds):
                rounds.append({})
            rounds[number][name] = value
    assert len(rounds[0]) > 100
    return rounds


def test_no_value_of_a_setting_changes_an_answer(database: Database, shared: Bundle) -> None:
    expected = answers(shared, "base")
    assert {reply[0] for reply in expected.values()} == {200, 201, 204, 404}
    for number, changed in enumerate(values(database)):
        leak(database, *(f"select set_config('{name}', '{value}', false)".encode() for name, value in changed.items()))
        assert answers(shared, f"n{number}") == expected, changed
        done = shared.refresh()
        assert (done["counted"] > 0, done["audit_chained"] > 0) == (True, True), changed
        end_servers(database)


@pytest.mark.parametrize("statement", STATES.values(), ids=STATES.keys())
def test_no_other_state_of_a_session_changes_an_answer(database: Database, shared: Bundle, statement: str) -> None:
    expected = answers(shared, "base")
    leak(database, *(part.encode() for part in statement.split("; ")))
    assert answers(shared, "next") == expected
    assert shared.refresh()["counted"] > 0


@pytest.mark.parametrize("setting", ["default_transaction_read_only = on", "statement_timeout = '500ms'"])
def test_a_refresh_heeds_no_setting_of_a_former_client(database: Database, shared: Bundle, setting: str) -> None:
    shared.write("s", turn())
    leak(database, f"set {setting}".encode())
    with held(database, "lock table robot_brain.tenant_stats in access exclusive mode", 1.5):
        assert shared.refresh()["counted"] == 1


def test_a_read_only_default_costs_one_attempt_of_one_request_and_is_gone(
    database: Database, shared: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    leak(database, "set default_transaction_read_only = on")
    capsys.readouterr()
    assert shared.write("s", turn()).status == 201
    assert '"ConnectionsRetired":[1]' in capsys.readouterr().out.replace(" ", "")
    assert shared.write("s", turn()).json["message_count"] == 2
    assert "ConnectionsRetired" not in capsys.readouterr().out


def test_a_database_that_allows_no_writes_gets_none(database: Database, shared: Bundle) -> None:
    """A provider sets it if the disk is full, and an operator before a move."""
    with database.admin() as admin:
        admin.execute(f"alter database {database.name} set default_transaction_read_only = on".encode())
        end_servers(database)
        assert shared.write("s", turn()).status == 503
        with pytest.raises(DatabaseReadOnlyError):
            shared.refresh()
        admin.execute(f"alter database {database.name} reset default_transaction_read_only".encode())
    end_servers(database)
    assert shared.write("s", turn()).status == 201


@pytest.mark.parametrize("setting", ["statement_timeout = '500ms'", "lock_timeout = '500ms'"])
def test_a_time_limit_that_is_sooner_than_the_roles_costs_one_attempt(
    database: Database, shared: Bundle, setting: str
) -> None:
    shared.write("s", turn())
    leak(database, f"set {setting}".encode())
    # The first attempt ends at the limit, and the second waits until the lock is free.
    with held(database, "select from robot_brain.sessions where id = 's' for update", 1.5):
        assert shared.write("s", turn()).status == 201
    with database.app() as client:
        row = client.execute("select current_setting('statement_timeout'), current_setting('lock_timeout')").fetchone()
    assert row == ("10s", "5s")


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_an_erasure_marks_a_session_that_a_user_gets_while_the_erasure_waits(
    database: Database, shared: Bundle, level: str
) -> None:
    shared.user("PUT", "kim", {"email": "kim@example.com"})
    shared.write("s", turn())
    leak(database, f"set default_transaction_isolation = '{level}'".encode())
    with database.admin() as admin:
        admin.execute("begin")
        admin.execute(
            "select robot_brain_api.patch_session(p_tenant_id => 'local', p_session_id => 's', p_user_metadata => null,"
            " p_sets_user_id => true, p_user_id => 'kim')"
        )
        replies: list[int] = []
        thread = threading.Thread(target=lambda: replies.append(shared.user("DELETE", "kim").status))
        thread.start()
        wait_for_waiter(admin)
        admin.execute("commit")
        thread.join(120)
    assert replies == [204]
    assert shared.read("s").status == 404


def test_a_database_that_an_operator_made_read_only_takes_no_write(database: Database, shared: Bundle) -> None:
    shared.write("s", turn())
    with database.admin() as admin:
        admin.execute(f"alter database {database.name} set default_transaction_read_only = on".encode())
    end_servers(database)
    assert shared.write("s", turn()).status == 503
    with pytest.raises(DatabaseReadOnlyError):
        shared.refresh()
    assert shared.read("s").json["session"]["message_count"] == 1
