"""`make app-password` gives one of two roles a password in turn, and RETIRE= ends the other."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from ops.app_password import rotate
from ops.app_url import app_url
from ops.errors import MigrationError
from tests.integration.logins_state import (
    FIRST,
    SECOND,
    can_log_in,
    logins_put_back,
    only,
    refused,
    retired,
    run,
    who,
)
from tests.support.marks import over_tls
from tests.support.servers.databases import Database, Template


@pytest.fixture(autouse=True)
def logins(tls_template: Template) -> Iterator[None]:
    """Leave the logins as other tests expect them."""
    with logins_put_back(tls_template):
        yield


@over_tls
def test_the_first_password_has_128_bits_and_logs_in_over_verified_tls(database: Database) -> None:
    only(database)

    role, before, url = rotate(database.direct_url)

    assert (role, before) == (FIRST, None)
    password = urlsplit(url).password
    assert password is not None
    # In the URL-safe base64 alphabet each character holds six bits.
    assert len(password) * 6 >= 128
    assert parse_qs(urlsplit(url).query)["sslmode"] == ["verify-full"]
    assert who(url) == (FIRST, True)
    with database.admin() as admin:
        row = admin.execute("select rolpassword from pg_authid where rolname = %s", [FIRST]).fetchone()
    assert row is not None
    assert row[0].startswith("SCRAM-SHA-256$")
    assert password not in row[0]


@over_tls
def test_the_logins_take_turns_and_the_old_one_works_until_it_is_retired(database: Database) -> None:
    # As before there were two logins.
    only(database, "robot_brain_app")
    old = app_url(database.direct_url, "robot_brain_app", "of-a-test")
    for expected in (FIRST, SECOND, FIRST, SECOND):
        before = urlsplit(old).username
        role, active, url = rotate(database.direct_url)
        assert (role, active and active.name) == (expected, before)
        assert who(old) == (before, True)
        assert who(url) == (expected, True)

        retired(database)

        assert can_log_in(database) == [expected]
        assert refused(old)
        assert who(url) == (expected, True)
        old = url


@over_tls
def test_a_third_login_is_refused_with_both_ways_on(database: Database) -> None:
    _, _, url = rotate(database.direct_url)
    with pytest.raises(MigrationError) as caught:
        rotate(database.direct_url)
    assert "functions use robot_brain_app_b by now, run: make app-password RETIRE=old" in str(caught.value)
    assert "lost and never used, run: make app-password RETIRE=new" in str(caught.value)
    assert who(url) == (SECOND, True)
    assert who(database.app_url) == (FIRST, True)


@over_tls
def test_a_password_that_was_lost_is_taken_back_with_retire_new(database: Database) -> None:
    _, _, lost = rotate(database.direct_url)
    retired(database, "new")
    assert refused(lost)
    assert who(database.app_url) == (FIRST, True)
    role, _, url = rotate(database.direct_url)
    assert who(url) == (role, True) == (SECOND, True)


@over_tls
def test_two_passwords_without_a_date_are_distinguished_by_the_name_of_a_role(database: Database) -> None:
    only(database, FIRST, SECOND)
    for which in ("old", "new"):
        with pytest.raises(MigrationError, match=r"RETIRE=robot_brain_app_[ab]"):
            retired(database, which)
    retired(database, FIRST)
    assert can_log_in(database) == [SECOND]
    with pytest.raises(MigrationError, match="Only robot_brain_app_b can log in"):
        retired(database, SECOND)
    with pytest.raises(MigrationError, match="RETIRE= is old, new or one of"):
        retired(database, "both")


@over_tls
def test_retiring_ends_idle_connections_and_those_in_use_and_a_second_run_has_nothing_to_do(
    database: Database,
) -> None:
    rotate(database.direct_url)
    with psycopg.connect(database.app_url, autocommit=True) as idle, psycopg.connect(database.app_url) as used:
        idle.execute("select 1")
        used.execute("select 1")  # in a transaction
        said = retired(database)
        assert said[-1] == "Connections ended: 1 idle, 1 in use."
        for connection in (idle, used):
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
    assert retired(database) == ["Only robot_brain_app_b can log in. Nothing to retire."]
    assert can_log_in(database) == [SECOND]


@over_tls
def test_a_role_that_was_used_in_the_last_minute_is_not_retired_without_force(database: Database) -> None:
    _, _, url = rotate(database.direct_url)
    with psycopg.connect(url), psycopg.connect(database.app_url, autocommit=True) as used:
        used.execute("select 1")
        with pytest.raises(MigrationError, match=r"robot_brain_app_a is in use \(connections: 1\).*\n.*open now"):
            retired(database, force=False)
        assert can_log_in(database) == [FIRST, SECOND]
        used.execute("select 1")
    with psycopg.connect(url):
        retired(database, force=False)
    assert can_log_in(database) == [SECOND]


@over_tls
def test_each_change_of_a_login_is_an_entry_of_the_audit_trail(database: Database) -> None:
    rotate(database.direct_url)
    retired(database)
    with database.admin() as admin:
        found = admin.execute(
            "select tenant_id, table_name, record_id, action, new_data, user_id from robot_brain.audit_logs"
            " where table_name = 'pg_authid' order by id"
        ).fetchall()
    assert found == [
        ("*", "pg_authid", SECOND, "UPDATE", {"login": True}, "robot_brain_migrator"),
        ("*", "pg_authid", FIRST, "UPDATE", {"login": False}, "robot_brain_migrator"),
    ]


@over_tls
def test_a_login_that_cannot_connect_is_taken_back_and_the_next_run_succeeds(database: Database) -> None:
    with database.admin() as admin:
        admin.execute(f"revoke connect on database {database.name} from public, robot_brain_app".encode())
    done = run(database)
    assert done.returncode == 1
    assert "could not connect with it" in done.stderr
    assert "permission denied for database" in done.stderr
    assert done.stdout == ""
    assert can_log_in(database) == [FIRST]
    with database.admin() as admin:
        admin.execute(f"grant connect on database {database.name} to robot_brain_app".encode())
    _, _, url = rotate(database.direct_url)
    assert who(url) == (SECOND, True)
