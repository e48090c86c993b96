"""What `make migrate` says about the settings of the login roles."""

import psycopg
import pytest

from ops.migrate import migrate
from tests.support.servers.postgres import Postgres

PASSWORD = "a-password-of-a-test"


def test_a_first_migration_sets_the_logins_up_and_only_a_later_one_corrects_them(
    admin: psycopg.Connection, empty_cluster: Postgres, direct_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "robot_brain.migrate"):
        migrate(direct_url)
    assert "setting up a login role: " in caplog.text
    assert "correcting" not in caplog.text
    caplog.clear()

    admin.execute(f"alter role robot_brain_app_a login password '{PASSWORD}'".encode())
    url = empty_cluster.address.url("robot_brain_app_a", PASSWORD, admin.info.dbname)
    with psycopg.connect(url, autocommit=True) as login:
        login.execute("alter role current_user reset all")
    with caplog.at_level("INFO", "robot_brain.migrate"):
        migrate(direct_url)
    assert "correcting a login role: " in caplog.text
    assert "setting up" not in caplog.text
