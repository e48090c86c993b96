"""No advisory lock that a login of the functions may hold stops a refresh or an operator's command."""

from collections.abc import Iterator

import psycopg
import pytest

from ops.apply_files import LOCK
from ops.errors import MigrationError
from ops.migrate import migrate
from ops.recount import recount
from robot_brain.errors import ConflictError
from tests.integration.logins import LOGINS, login
from tests.integration.months import drop_month, is_month
from tests.integration.recounting import stored, sums
from tests.integration.refresh_state import make_old, uncounted
from tests.support.bundle import Bundle, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import APP, Database

pytestmark = without_pooler

# Each key that a function or a command takes, or took in an earlier release.
KEYS = {
    "refresh": "hashtextextended('robot_brain.refresh_stats', 0)",
    "month": "hashtextextended('robot_brain.make_month', 0)",
    "recount": "hashtextextended('robot_brain.recount', 0)",
    "migration": str(LOCK),
    "idempotency key": "hashtextextended('local:other', 0)",
    "user": "hashtextextended(e'local\\nother', 1)",
}
_END = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and usename = any (%s) and pid <> pg_backend_pid()
"""


@pytest.fixture(params=LOGINS)
def thief(request: pytest.FixtureRequest, database: Database) -> Iterator[psycopg.Connection]:
    """A connection of a login that holds every key. Both modes of each, so that a shared lock would wait as well."""
    role: str = request.param
    with login(database, role) as connection:
        for key in KEYS.values():
            connection.execute(f"select pg_advisory_lock({key}), pg_advisory_lock_shared({key})".encode())
        yield connection
        connection.close()  # the test may have ended it


def wait_briefly(database: Database) -> None:
    """Let the next connections of the functions wait 0.5 s for a lock, and not 5 s."""
    with database.admin() as admin:
        admin.execute(f"alter role {APP} in database {database.name} set lock_timeout = '500ms'".encode())


def test_a_refresh_counts_and_rebuilds_the_view_beside_a_login_that_holds_every_key(
    thief: psycopg.Connection, bundle: Bundle, database: Database
) -> None:
    bundle.write("s", turn(), {"idempotency-key": "mine"})
    done = bundle.refresh()
    assert (done["counted"], uncounted(database)) == (1, 0)
    assert len(bundle.stats().json["top_sessions"]) == 1


def test_a_reader_refreshes_beside_a_login_that_holds_every_key(
    thief: psycopg.Connection, bundle: Bundle, database: Database
) -> None:
    make_old(database)
    bundle.write("s", turn())
    assert len(bundle.stats().json["top_sessions"]) == 1
    assert uncounted(database) == 0


def test_a_month_is_made_beside_a_login_that_holds_every_key(
    thief: psycopg.Connection, bundle: Bundle, database: Database
) -> None:
    name = drop_month(database, 2)
    assert bundle.refresh()["months_made"] == 1
    with database.admin() as admin:
        assert is_month(admin, name)


def test_a_migration_ends_a_login_that_holds_its_lock_and_warns(
    thief: psycopg.Connection, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    pid, role = thief.info.backend_pid, thief.info.user
    with database.admin() as admin:
        admin.execute("drop function robot_brain_api.health")
    assert migrate(database.direct_url) == ["functions/robot_brain_api/health"]
    assert f"ended process {pid} of {role}, which held the lock" in caplog.text
    with pytest.raises(psycopg.OperationalError):
        thief.execute("select 1")


def test_a_recount_ends_a_login_that_holds_its_lock_and_warns(
    thief: psycopg.Connection, bundle: Bundle, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    pid, role = thief.info.backend_pid, thief.info.user
    bundle.write("s", turn())
    bundle.refresh()
    with database.admin() as admin:
        admin.execute("update robot_brain.tenant_stats set messages = 7")
    assert len(list(recount(database.direct_url))) == 1
    assert sums(database) == stored(database)
    assert f"ended process {pid} of {role}, which held the lock" in caplog.text


def test_a_command_that_may_not_end_a_login_names_the_process_and_the_role(
    database: Database,
) -> None:
    with database.admin() as admin, login(database, "robot_brain_app_a") as thief:
        thief.execute("select pg_advisory_lock(%s)", (LOCK,))
        # Only a superuser may end a connection of a superuser.
        admin.execute("alter role robot_brain_app_a superuser")
        try:
            with pytest.raises(
                MigrationError,
                match=rf"^robot_brain_app_a holds .* select pg_terminate_backend\({thief.info.backend_pid}\)$",
            ):
                migrate(database.direct_url)
        finally:
            admin.execute("alter role robot_brain_app_a nosuperuser")


def test_an_open_transaction_of_a_login_holds_what_its_calls_locked_and_a_reader_still_gets_exact_figures(
    bundle: Bundle, database: Database
) -> None:
    """The functions cannot prevent it: a transaction keeps the locks of each statement until its end."""
    make_old(database)
    wait_briefly(database)
    bundle.write("s", turn())
    with login(database, LOGINS[0]) as thief:
        thief.execute("begin")
        thief.execute("select robot_brain_api.refresh_stats(), robot_brain_api.make_month()")
        answer = bundle.stats()
        assert (answer.status, answer.json["totals"]["messages"], answer.json["top_sessions"]) == (200, 1, [])
        with pytest.raises(ConflictError, match="lock timeout"):
            bundle.refresh()
        with database.admin() as admin:
            admin.execute(_END, (list(LOGINS),))
        thief.close()
    assert bundle.refresh()["counted"] == 1


def test_a_lock_of_a_key_or_of_a_user_delays_only_requests_with_that_key_or_user(
    bundle: Bundle, database: Database
) -> None:
    wait_briefly(database)
    with login(database, LOGINS[0]) as thief:
        thief.execute("select pg_advisory_lock(hashtextextended('local:mine', 0))")
        thief.execute("select pg_advisory_lock(hashtextextended(e'local\\nkim', 1))")
        assert bundle.write("s", turn(), {"idempotency-key": "mine"}).status == 409
        assert bundle.user("DELETE", "kim").status == 409
        assert bundle.write("s", turn(), {"idempotency-key": "other"}).status == 201
        assert bundle.user("PUT", "lee", {"email": "lee@example.com"}).status == 201
