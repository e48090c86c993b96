"""Migrations run as the role that Neon gives, on every PostgreSQL version, and apply all files or no file."""

import re
import secrets
from collections.abc import Callable

import psycopg
import pytest

from ops.errors import MigrationError
from ops.migrate import migrate, plan
from tests.integration.catalogue import catalogue
from tests.integration.migrations import (
    FILES,
    PROCESS_ENDED,
    WAITS_FOR_MIGRATION,
    committed,
    empty,
    finish,
    killed_at,
    migrating,
    recorded,
)
from tests.support.marks import every_version
from tests.support.servers.databases import create_database, drop_database
from tests.support.servers.failing import never_answers
from tests.support.servers.gate import gate_in, wait_for_pid
from tests.support.servers.postgres import Postgres
from tests.support.waiting import outputs_of

WAITS_FOR_TRANSACTION = """
select l.pid from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'transactionid' and not l.granted and a.datname = %s
"""


@pytest.fixture(scope="session")
def whole(cluster: Postgres) -> tuple[list[tuple[int, int]], list[str]]:
    """Run one migration to its end. Return its statements and the catalogue that it makes.

    Each statement is (its number, the number of files applied before it).
    """
    name = f"whole_{secrets.token_hex(6)}"
    with cluster.admin() as main:
        create_database(main, name)
        try:
            with cluster.admin(name) as admin, gate_in(admin) as gate:
                migrate(cluster.direct_url(name))
                statements = gate.seen()
            with cluster.admin(name) as admin:
                return statements, catalogue(admin)
        finally:
            drop_database(main, name)


@every_version
def test_an_empty_database_gets_every_file_and_a_second_migration_applies_no_file(
    admin: psycopg.Connection, direct_url: str
) -> None:
    assert migrate(direct_url) == FILES
    before = catalogue(admin)

    assert migrate(direct_url) == []

    assert recorded(admin) == FILES
    assert catalogue(admin) == before


def test_the_command_prints_the_applied_files_and_then_that_it_has_nothing_to_do(direct_url: str) -> None:
    with migrating(direct_url) as process:
        assert finish(process) == FILES
    with migrating(direct_url) as process:
        assert finish(process) == []


@every_version
def test_two_processes_at_once_apply_each_file_once_and_both_succeed(
    admin: psycopg.Connection, direct_url: str
) -> None:
    with gate_in(admin) as gate:
        gate.close(at_statement=3)
        with migrating(direct_url) as one, migrating(direct_url) as other:
            gate.wait_for_arrival(one, other)
            wait_for_pid(admin, WAITS_FOR_MIGRATION, [], one, other)
            gate.open()
            applied = [finish(one), finish(other)]

    assert sorted(applied) == [[], FILES]
    assert recorded(admin) == FILES


def test_two_databases_of_one_cluster_can_be_migrated_at_the_same_moment(
    empty_cluster: Postgres, make_database: Callable[[], str], subtests: pytest.Subtests
) -> None:
    # Chance decides which one is first at each shared row, so the test repeats this.
    for attempt in range(3):
        names = [make_database(), make_database()]
        urls = [empty_cluster.direct_url(name) for name in names]
        with subtests.test(f"attempt {attempt}"), migrating(urls[0]) as one, migrating(urls[1]) as other:
            assert [finish(one), finish(other)] == [FILES, FILES]
            for name in names:
                with empty_cluster.admin(name) as admin:
                    assert recorded(admin) == FILES
        empty(empty_cluster)


@pytest.mark.parametrize("end_of_the_first", ["succeeds", "is killed"])
def test_a_database_can_migrate_while_another_one_makes_the_shared_roles(
    empty_cluster: Postgres,
    admin: psycopg.Connection,
    direct_url: str,
    make_database: Callable[[], str],
    whole: tuple[list[tuple[int, int]], list[str]],
    end_of_the_first: str,
) -> None:
    statements, _ = whole
    after_the_roles = max(statement for statement, applied in statements if applied == 0)
    second = make_database()
    with gate_in(admin) as gate:
        gate.close(after_the_roles)
        with migrating(direct_url) as one:
            gate.wait_for_arrival(one)
            with migrating(empty_cluster.direct_url(second)) as other:
                # It finds the roles of the first one, which are not committed yet.
                wait_for_pid(admin, WAITS_FOR_TRANSACTION, [second], other)
                if end_of_the_first == "is killed":
                    one.kill()
                gate.open()
                assert finish(other) == FILES
            if end_of_the_first == "succeeds":
                assert finish(one) == FILES

    with empty_cluster.admin(second) as looking:
        assert recorded(looking) == FILES
    assert migrate(direct_url) == (FILES if end_of_the_first == "is killed" else [])


@every_version
# The fraction of the statements after which the kill comes.
@pytest.mark.parametrize("moment", [0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
def test_a_killed_migration_leaves_whole_transactions_and_no_work_for_an_operator(
    admin: psycopg.Connection,
    direct_url: str,
    whole: tuple[list[tuple[int, int]], list[str]],
    moment: float,
) -> None:
    statements, undisturbed = whole
    chosen, applied = statements[round(moment * (len(statements) - 1))]
    with gate_in(admin) as gate:
        with killed_at(gate, direct_url, chosen) as backend:
            gate.open()
            wait_for_pid(admin, PROCESS_ENDED, [backend])
        done = committed(applied)
        assert recorded(admin) == done
        schemas = "select to_regnamespace('robot_brain') is null, to_regnamespace('robot_brain_migrations') is null"
        assert admin.execute(schemas).fetchone() == (done == [], done == [])

        assert migrate(direct_url) == FILES[len(done) :]

    assert recorded(admin) == FILES
    assert catalogue(admin) == undisturbed


def test_the_next_migration_waits_for_the_server_process_of_a_killed_one(
    admin: psycopg.Connection, direct_url: str, whole: tuple[list[tuple[int, int]], list[str]]
) -> None:
    statements, undisturbed = whole
    midway, _ = statements[len(statements) // 2]
    with (
        gate_in(admin) as gate,
        killed_at(gate, direct_url, midway),
        migrating(direct_url) as second,
    ):
        # The server has not noticed the kill. Its process still holds the locks and the transaction.
        wait_for_pid(admin, WAITS_FOR_MIGRATION, [], second)
        gate.open()
        finish(second)

    assert recorded(admin) == FILES
    assert catalogue(admin) == undisturbed


def test_the_error_for_a_role_without_createrole_names_this_right(
    empty_cluster: Postgres, admin: psycopg.Connection
) -> None:
    admin.execute("create role poor login nosuperuser nocreaterole password 'poor'")
    admin.execute(f"alter database {admin.info.dbname} owner to poor")
    url = empty_cluster.address.url("poor", "poor", admin.info.dbname)

    with pytest.raises(MigrationError, match="CREATEROLE"):
        migrate(url)

    assert recorded(admin) == []
    with migrating(url) as process:
        _, log = outputs_of(process)
    assert process.returncode == 1
    assert "CREATEROLE" in log
    assert "Traceback" not in log


def test_the_error_for_a_role_that_does_not_own_the_database_says_so(
    empty_cluster: Postgres, admin: psycopg.Connection
) -> None:
    admin.execute("create role stranger login createrole password 'stranger'")

    with pytest.raises(MigrationError, match="owns the database"):
        migrate(empty_cluster.address.url("stranger", "stranger", admin.info.dbname))


def test_the_plan_for_a_role_without_rights_on_the_records_is_an_error_without_a_traceback(
    empty_cluster: Postgres, admin: psycopg.Connection, direct_url: str
) -> None:
    migrate(direct_url)
    admin.execute("create role stranger login password 'stranger'")

    with pytest.raises(MigrationError, match="permission denied for schema robot_brain_migrations"):
        plan(empty_cluster.address.url("stranger", "stranger", admin.info.dbname))


def test_the_error_about_a_server_that_is_away_has_no_password(empty_cluster: Postgres) -> None:
    with pytest.raises(MigrationError, match=r"cannot connect to 127\.0\.0\.1 port 1: .*refused") as caught:
        migrate("postgresql://someone:s3cr3t@127.0.0.1:1/nothing?connect_timeout=2")
    assert "server is running" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_the_error_about_a_silent_server_has_no_password() -> None:
    with (
        never_answers() as port,
        migrating(f"postgresql://someone:s3cr3t@127.0.0.1:{port}/nothing?connect_timeout=2") as process,
    ):
        _, log = outputs_of(process)
    assert process.returncode == 1
    assert f"cannot connect to 127.0.0.1 port {port}: " in log
    assert "direct host" in log
    assert "s3cr3t" not in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    "password", ["s3cr/3t", "12/s3cr3t", "12@s3cr3t", "s3cr@3t", "s3?cr/3t", "s3#cr/3t", "%s3cr3t"]
)
def test_the_error_about_a_password_that_needs_escaping_does_not_quote_the_password(password: str) -> None:
    with pytest.raises(MigrationError, match="%25") as caught:
        migrate(f"postgresql://someone:{password}@127.0.0.1:1/nothing?connect_timeout=2")
    assert not [part for part in re.findall("[a-z0-9]+", password) if part in str(caught.value)]


def test_the_pooled_host_of_neon_is_refused() -> None:
    with pytest.raises(MigrationError, match="direct"):
        migrate("postgresql://someone:secret@ep-quiet-sun-123456-pooler.eu-central-1.aws.neon.tech/neondb")
