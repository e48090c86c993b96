"""Migrations of two databases of a cluster correct the same logins at the same time."""

import threading
from collections.abc import Callable

import psycopg
import pytest

from ops.errors import MigrationError
from ops.logins import LOGINS
from ops.migrate import migrate
from tests.integration.logins_made import WANTED, assert_as_made
from tests.support.servers.postgres import Postgres
from tests.support.waiting import wait_until


@pytest.fixture
def two_urls(empty_cluster: Postgres, make_database: Callable[[], str]) -> list[str]:
    """The migrating role's URLs of two databases of one cluster."""
    return [empty_cluster.direct_url(make_database()) for _ in range(2)]


def test_two_databases_of_a_cluster_correct_the_logins_at_the_same_time(
    empty_cluster: Postgres, two_urls: list[str]
) -> None:
    for url in two_urls:
        migrate(url)
    with empty_cluster.admin() as admin:
        for _ in range(5):
            for role in LOGINS:
                admin.execute(f"alter role {role} set search_path = ''".encode())
            failures: list[Exception] = []
            threads = [threading.Thread(target=_migrate, args=(url, failures)) for url in two_urls]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert failures == []
            assert_as_made(admin)


def _migrate(url: str, failures: list[Exception]) -> None:
    try:
        migrate(url)
    except MigrationError as error:
        failures.append(error)


def test_a_migration_waits_for_another_one_that_corrects_the_same_login_and_then_succeeds(
    empty_cluster: Postgres, two_urls: list[str]
) -> None:
    for url in two_urls:
        migrate(url)
    with empty_cluster.admin() as admin, psycopg.connect(two_urls[0]) as first:
        admin.execute("alter role robot_brain_app set search_path = ''")
        first.execute("alter role robot_brain_app reset all")
        failures: list[Exception] = []
        thread = threading.Thread(target=_migrate, args=(two_urls[1], failures))
        thread.start()
        wait_until(lambda: _waits(admin))
        for setting, value in WANTED.items():
            first.execute(f"alter role robot_brain_app set {setting} = '{value}'".encode())
        first.commit()
        thread.join()
        assert failures == []
        assert_as_made(admin)


def _waits(admin: psycopg.Connection) -> bool:
    found = admin.execute(
        "select 1 from pg_stat_activity where application_name = 'robot-brain-migrate' and wait_event_type = 'Lock'"
    ).fetchone()
    return found is not None
