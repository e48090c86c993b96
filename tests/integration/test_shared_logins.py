"""Two databases of one cluster share the logins, so a rotation for one of them must not end the login of the other."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from ops.app_password import rotate
from ops.errors import MigrationError
from ops.migrate import migrate
from ops.retire import retire
from tests.integration.logins_state import run
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.databases import Database
from tests.support.servers.postgres import Postgres

OLD, NEW = "robot_brain_app_a", "robot_brain_app_b"


@pytest.fixture
def first(empty_cluster: Postgres, make_database: Callable[[], str]) -> Iterator[tuple[Bundle, str]]:
    """The functions of the first database with an open connection, and the name of this database."""
    name = make_database()
    migrate(empty_cluster.direct_url(name))
    _, _, url = rotate(empty_cluster.direct_url(name))
    with deployed({"DATABASE_URL": url}) as functions:
        assert functions.write("s", turn(1)).status == 201
        yield functions, name


@pytest.fixture
def second(first: tuple[Bundle, str], empty_cluster: Postgres, make_database: Callable[[], str]) -> Database:
    """The second database, with a new password that no function of the first one has."""
    name = make_database()
    migrate(empty_cluster.direct_url(name))
    _, before, url = rotate(empty_cluster.direct_url(name))
    assert before is not None
    assert before.name == OLD
    return Database(empty_cluster.kind, name, url, empty_cluster.direct_url(name), empty_cluster)


def refusal(database: Database, which: str = "old") -> str:
    with psycopg.connect(database.app_url), pytest.raises(MigrationError) as caught:
        retire(database.direct_url, which, print, idle_seconds=0, call_seconds=0)
    return str(caught.value)


def make_idle(database: Database) -> None:
    """Let a retirement see no call within the last minute, as an idle function leaves it."""
    with database.admin() as admin:
        admin.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = %s", [OLD])


def test_a_retirement_is_refused_if_the_old_login_is_connected_to_another_database(
    first: tuple[Bundle, str], second: Database
) -> None:
    functions, name = first
    said = refusal(second)
    assert f"{OLD} is also a login for other databases of this cluster: {name}." in said
    assert f"Its open connections: {name} 1, last call " in said
    assert "FORCE=1" in said
    assert functions.write("s", turn(2)).status == 201


@pytest.mark.parametrize("which", ["old", OLD])
def test_a_retirement_is_refused_if_another_database_has_robot_brain_although_its_functions_are_idle(
    first: tuple[Bundle, str], second: Database, which: str
) -> None:
    functions, name = first
    make_idle(second)
    said = refusal(second, which)
    assert f"other databases of this cluster: {name}." in said
    assert "Its open connections: none." in said
    assert functions.write("s", turn(2)).status == 201


def test_a_connection_to_a_database_without_rights_of_its_own_is_named_too(
    first: tuple[Bundle, str], second: Database
) -> None:
    _, name = first
    with second.admin() as admin:
        admin.execute("update pg_database set datacl = null where datname = %s", [name])
    assert f"other databases of this cluster: {name}." in refusal(second)


def test_force_retires_the_old_login_of_two_databases(first: tuple[Bundle, str], second: Database) -> None:
    functions, _ = first
    retire(second.direct_url, "old", print, force=True, idle_seconds=0, call_seconds=0)
    assert functions.write("s", turn(2)).status == 503


def test_a_database_without_robot_brain_or_without_connections_does_not_stop_a_retirement(
    first: tuple[Bundle, str], second: Database, make_database: Callable[[], str]
) -> None:
    make_database()
    make_idle(second)
    with second.admin() as admin:
        admin.execute(f"alter database {first[1]} allow_connections false".encode())
    with psycopg.connect(second.app_url):
        retire(second.direct_url, "old", print, idle_seconds=0, call_seconds=0)


def test_a_new_password_names_the_databases_that_share_it_and_does_not_say_to_retire_now(
    first: tuple[Bundle, str], second: Database
) -> None:
    retire(second.direct_url, "new", print, force=True, idle_seconds=0, call_seconds=0)
    done = run(second)
    assert done.returncode == 0, done.stderr
    assert f"These databases of the cluster have the same logins: {first[1]}." in done.stderr
    assert f"RETIRE=old ends {OLD} for all these databases" in done.stderr
    assert "run: make app-password RETIRE=old" not in done.stderr
    assert "operate.md#two-databases-of-one-cluster" in done.stderr


def test_a_third_login_is_refused_without_force_in_its_advice_if_another_database_shares_the_logins(
    first: tuple[Bundle, str], second: Database
) -> None:
    with second.admin() as admin:
        admin.execute(
            f"comment on role {NEW} is 'Robot Brain: password of 2026-01-01T00:00:00.0Z for a secret'".encode()
        )
    with pytest.raises(MigrationError) as caught:
        rotate(second.direct_url)
    assert "run: make app-password RETIRE=old\n" in str(caught.value)
