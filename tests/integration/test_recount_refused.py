"""If `make ops DO=recount` is killed, waits too long or has the wrong role, the figures stay unchanged."""

import pytest
from psycopg import sql

from ops.errors import MigrationError
from ops.recount import recount
from tests.integration.held_locks import wait_for_waiter
from tests.integration.migrations import PROCESS_ENDED
from tests.integration.recounting import command, finished, recounted, stored, sums
from tests.integration.refresh_state import REFRESH_LOCK
from tests.support.bundle import Bundle, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database, create_database, drop_database
from tests.support.servers.gate import wait_for_pid

pytestmark = without_pooler


@pytest.fixture
def wrong(bundle: Bundle, database: Database) -> Database:
    """A database whose figures differ from the stored rows."""
    bundle.write("s", {"messages": [turn(n) for n in range(3)]})
    bundle.refresh()
    with database.admin() as admin:
        admin.execute("update robot_brain.tenant_stats set messages = 7")
        admin.execute("delete from robot_brain.daily_stats")
    return database


@pytest.mark.parametrize(
    "lock", [REFRESH_LOCK, "lock table robot_brain.daily_stats in access exclusive mode"], ids=["mending", "counting"]
)
def test_a_recount_killed_in_the_middle_leaves_the_figures_as_they_were(wrong: Database, lock: str) -> None:
    before = sums(wrong)
    with wrong.admin() as admin:
        with admin.transaction():
            admin.execute(lock.encode())
            process = command(wrong.direct_url)
            pid = wait_for_waiter(admin)
            process.kill()
            process.communicate()
        # Its server process works until it sends its answer.
        wait_for_pid(admin, PROCESS_ENDED, [pid])
    assert sums(wrong) == before
    assert len(recounted(wrong)) == 3
    assert sums(wrong) == stored(wrong)


def test_a_recount_that_waits_too_long_for_a_refresh_names_it_and_changes_nothing(wrong: Database) -> None:
    before = sums(wrong)
    with wrong.admin() as admin, admin.transaction():
        admin.execute(REFRESH_LOCK)
        with pytest.raises(
            MigrationError, match=r"A refresh or a migration did not end within 0.2 s. Run `make ops DO=recount`"
        ):
            list(recount(wrong.direct_url, lock_seconds=0.2))
        # Only the correction needs the lock.
        assert len(recounted(wrong, dry_run=True)) == 3
    assert sums(wrong) == before


def test_a_correction_waits_for_a_refresh_and_adds_to_its_figures(wrong: Database, bundle: Bundle) -> None:
    with wrong.admin() as admin:
        admin.execute(f"alter database {wrong.name} set default_transaction_isolation = 'serializable'".encode())
        bundle.write("s", turn())
        with admin.transaction():
            admin.execute("select robot_brain.count_uncounted(null)")
            process = command(wrong.direct_url)
            wait_for_waiter(admin)
    status, lines, errors = finished(process)
    assert (status, errors) == (0, "")
    # The recount read before the refresh committed. So the turn was uncounted, and the day had no row.
    assert lines[0] == "'local': messages was 8, counted 4"
    assert sums(wrong) == stored(wrong)


def test_a_second_recount_is_refused_while_one_runs(wrong: Database) -> None:
    first = recount(wrong.direct_url)
    next(first)
    with pytest.raises(MigrationError, match="Another recount of this database is running"):
        list(recount(wrong.direct_url))
    assert list(first) == []
    assert recounted(wrong) == []


def test_the_app_cannot_recount(wrong: Database) -> None:
    before = sums(wrong)
    status, lines, errors = finished(command(wrong.app_url))
    assert (status, lines) == (1, [])
    assert errors == ('permission denied to set role "robot_brain_stats": run it as the role that ran `make migrate`\n')
    assert sums(wrong) == before


def test_neither_the_app_nor_public_may_execute_a_step_of_a_recount(database: Database) -> None:
    with database.admin() as admin:
        admin.execute("create role nobody_special")
        try:
            rows = admin.execute(
                """
                select p.proname, p.prosecdef,
                  has_function_privilege('robot_brain_app', p.oid, 'execute'),
                  has_function_privilege('robot_brain_owner', p.oid, 'execute'),
                  has_function_privilege('nobody_special', p.oid, 'execute'),
                  p.proowner::regrole::text
                from pg_proc p
                where p.pronamespace = 'robot_brain'::regnamespace and p.proname ~ '^recount|^next_tenant'
                order by 1
                """
            ).fetchall()
        finally:
            admin.execute("drop role nobody_special")
    names = ("alone", "begin", "compare", "end", "mend", "part", "parts", "turns")
    assert [row[0] for row in rows] == ["next_tenant", *(f"recount_{name}" for name in names)]
    assert {row[1:] for row in rows} == {(False, False, False, False, "robot_brain_stats")}


def test_the_error_about_a_database_that_was_not_migrated_says_so(database: Database) -> None:
    name = f"{database.name}_bare"
    with database.admin() as admin:
        create_database(admin, name)
        try:
            with pytest.raises(MigrationError, match="run `make migrate` first"):
                list(recount(database.postgres.direct_url(name)))
        finally:
            drop_database(admin, name)


def test_the_error_about_a_schema_without_the_steps_says_to_migrate(database: Database) -> None:
    with database.admin() as admin:
        admin.execute(sql.SQL("drop function robot_brain.recount_alone()"))
    with pytest.raises(MigrationError, match=r"recount_alone\(\) does not exist: run `make migrate` first"):
        list(recount(database.direct_url))


def test_a_connection_that_is_lost_is_reported_and_changes_nothing(wrong: Database) -> None:
    before = sums(wrong)

    def cut(line: str) -> None:
        if line.endswith("correcting"):
            with wrong.admin() as admin:
                admin.execute(
                    "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
                    " where application_name = 'robot-brain-recount' and datname = current_database()"
                )

    with pytest.raises(MigrationError, match=r"terminating connection|closed the connection|SSL"):
        list(recount(wrong.direct_url, progress=cut))
    assert sums(wrong) == before


def test_neons_pooler_and_a_missing_url_are_refused_with_a_reason(database: Database) -> None:
    with pytest.raises(MigrationError, match="leads to Neon's pooler"):
        list(recount("postgresql://owner:o@ep-quiet-sun-a1b2c3d4-pooler.eu-central-1.aws.neon.tech/brain"))
    status, lines, errors = finished(command(""))
    assert (status, lines) == (2, [])
    assert errors.startswith("Set DIRECT_DATABASE_URL")
