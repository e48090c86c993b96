"""Each migration gives the login roles exactly their settings and rights."""

from collections.abc import Callable
from typing import LiteralString

import psycopg
import pytest

from ops.errors import MigrationError
from ops.logins import LOGINS
from ops.migrate import migrate
from tests.integration.logins_made import WANTED, assert_as_made, settings_of, versions
from tests.support.servers.postgres import Postgres

PASSWORD = "a-password-of-a-test"
# What a login may run about itself. `{}` is the name of its database.
OWN_SETTINGS: dict[str, tuple[LiteralString, ...]] = {
    "no time limit": ("alter role current_user set statement_timeout = 0",),
    "no time limit in the database": ("alter role current_user in database {} set statement_timeout = 0",),
    "another search path": ("alter role current_user set search_path = elsewhere",),
    "read only": (
        "alter role current_user set default_transaction_read_only = on",
        "alter role current_user in database {} set default_transaction_read_only = on",
    ),
    "no row security": ("alter role current_user set row_security = off",),
    "a setting reset": ("alter role current_user reset lock_timeout",),
    "all settings reset": ("alter role current_user reset all",),
    "a role that pg_settings does not list": ("alter role current_user set role = none",),
    "a quoted value": ("alter role current_user set application_name = 'a=b, \"c\"'",),
}

# One function corrects all logins, so one of them tries every setting, and the others one of each place.
OWN_CHANGES = [
    *((LOGINS[0], name) for name in OWN_SETTINGS),
    *((role, name) for role in LOGINS[1:] for name in ("no time limit in the database", "all settings reset")),
]


# 16 has the memberships of 18. It is migrated in test_migrations.
pytestmark = pytest.mark.parametrize("cluster", ["distribution", "embedded18"], indirect=True)


@pytest.fixture(params=["as in SQL", "as Neon's console"])
def owner_url(
    request: pytest.FixtureRequest, empty_cluster: Postgres, admin: psycopg.Connection, direct_url: str
) -> str:
    """The URL of a migrating role that owns the database of `admin`, as each of both ways makes one."""
    if request.param == "as in SQL":
        return direct_url
    # https://neon.com/docs/manage/roles: a role of the console is a member of neon_superuser.
    admin.execute("create role neon_superuser nologin createdb createrole bypassrls replication")
    admin.execute("grant pg_read_all_data, pg_write_all_data to neon_superuser")
    admin.execute(f"create role console login createdb createrole bypassrls replication password '{PASSWORD}'".encode())
    admin.execute("grant neon_superuser to console")
    admin.execute(f"alter database {admin.info.dbname} owner to console".encode())
    return empty_cluster.address.url("console", PASSWORD, admin.info.dbname)


@pytest.fixture
def let_in(empty_cluster: Postgres, admin: psycopg.Connection) -> Callable[[str], str]:
    """A function that gives a login its password, and returns its URL."""

    def let(role: str) -> str:
        admin.execute(f"alter role {role} login password '{PASSWORD}'".encode())
        return empty_cluster.address.url(role, PASSWORD, admin.info.dbname)

    return let


def test_a_migration_gives_each_login_its_settings_attributes_and_memberships(
    admin: psycopg.Connection, owner_url: str
) -> None:
    migrate(owner_url)
    assert_as_made(admin)


def test_a_setting_that_a_login_changed_itself_is_back_after_a_migration_with_nothing_to_apply(
    admin: psycopg.Connection, owner_url: str, let_in: Callable[[str], str], subtests: pytest.Subtests
) -> None:
    migrate(owner_url)
    for role, name in OWN_CHANGES:
        with subtests.test(f"{role}: {name}"):
            with psycopg.connect(let_in(role), autocommit=True) as login:
                for statement in OWN_SETTINGS[name]:
                    login.execute(statement.format(admin.info.dbname).encode())
            assert settings_of(admin, role) != WANTED

            assert migrate(owner_url) == []

            assert_as_made(admin)
            with psycopg.connect(let_in(role)) as login:
                assert login.execute("show statement_timeout").fetchone() == ("10s",)


def test_a_setting_that_only_a_superuser_can_make_stays(admin: psycopg.Connection, owner_url: str) -> None:
    migrate(owner_url)
    admin.execute("alter role robot_brain_app_a set log_min_duration_statement = '1s'")
    admin.execute("alter role robot_brain_app_a set provider.mark = 'x'")
    before = versions(admin)

    migrate(owner_url)

    assert versions(admin) == before
    admin.execute("alter role robot_brain_app_a set statement_timeout = 0")
    admin.execute("alter role robot_brain_app_a set search_path = ''")
    migrate(owner_url)
    expected = WANTED | {"log_min_duration_statement": "1s", "provider.mark": "x"}
    assert settings_of(admin, "robot_brain_app_a") == expected


def test_a_migration_touches_no_row_of_a_role_if_nothing_differs(admin: psycopg.Connection, owner_url: str) -> None:
    migrate(owner_url)
    before = versions(admin)
    migrate(owner_url)
    assert versions(admin) == before


def test_a_migration_takes_away_rights_that_a_login_was_given(admin: psycopg.Connection, owner_url: str) -> None:
    migrate(owner_url)
    with psycopg.connect(owner_url, autocommit=True) as owner:
        # Another role could be given on by a login that may administer it.
        owner.execute("create role foreign_role nologin")
        owner.execute("create role third_role nologin")
        owner.execute("grant foreign_role to robot_brain_app_a with admin option")
        owner.execute("grant robot_brain_owner to robot_brain_app_b")
        owner.execute("grant robot_brain_stats to robot_brain_app")
        owner.execute("grant robot_brain_app to robot_brain_app_b with admin option")
        owner.execute("alter role robot_brain_app_a createdb createrole noinherit")
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("revoke robot_brain_app from robot_brain_app_a")

    assert migrate(owner_url) == []

    assert_as_made(admin)


@pytest.mark.parametrize("right", ["superuser", "replication", "bypassrls"])
def test_a_right_that_the_migrating_role_may_not_take_away_is_an_error_with_the_statement_to_run(
    admin: psycopg.Connection, direct_url: str, right: LiteralString
) -> None:
    migrate(direct_url)
    admin.execute(f"alter role robot_brain_app_b {right}")
    before = versions(admin)

    with pytest.raises(MigrationError) as caught:
        migrate(direct_url)

    statement = f'alter role "robot_brain_app_b" no{right}'
    assert statement in str(caught.value)
    assert versions(admin) == before
    admin.execute(statement.encode())
    migrate(direct_url)
    assert_as_made(admin)


def test_a_membership_of_a_role_that_the_migrating_role_does_not_administer_is_an_error_with_the_statement_to_run(
    admin: psycopg.Connection, direct_url: str, empty_cluster: Postgres
) -> None:
    migrate(direct_url)
    # A role with CREATEROLE may revoke any membership before PostgreSQL 16, but not one of a superuser.
    admin.execute("create role above superuser nologin")
    admin.execute("grant above to robot_brain_app_a")

    with pytest.raises(MigrationError, match='revoke "above" from "robot_brain_app_a"') as caught:
        migrate(direct_url)

    admin.execute(str(caught.value).partition("\n")[2].partition(";  -- ")[0].encode())
    migrate(direct_url)
    assert_as_made(admin)


def test_a_login_that_keeps_its_change_of_a_role_open_does_not_stop_a_migration(
    admin: psycopg.Connection, owner_url: str, let_in: Callable[[str], str]
) -> None:
    migrate(owner_url)
    admin.execute("alter role robot_brain_app_a set search_path = ''")
    with psycopg.connect(let_in("robot_brain_app_a")) as login:
        login.execute("set idle_in_transaction_session_timeout = 0")
        login.execute("alter role current_user set statement_timeout = 0")

        migrate(owner_url)

        with pytest.raises(psycopg.OperationalError):
            login.execute("select 1")
    assert_as_made(admin)


def test_an_operator_that_keeps_a_change_of_a_role_open_makes_a_migration_fail_with_the_reason(
    admin: psycopg.Connection, direct_url: str
) -> None:
    owner_url = direct_url  # the way in which it was made changes no lock
    migrate(owner_url)
    admin.execute("alter role robot_brain_app_a set search_path = ''")
    with psycopg.connect(owner_url) as other:
        other.execute("alter role robot_brain_app_a set statement_timeout = 0")
        with pytest.raises(MigrationError, match="has not ended its transaction"):
            migrate(owner_url)
        other.rollback()
    migrate(owner_url)
    assert_as_made(admin)
