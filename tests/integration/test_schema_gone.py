"""`make migrate` names a database without our schemas before it makes them, and refuses one that lost a part."""

import psycopg
import pytest

from ops.errors import MigrationError
from ops.migrate import migrate, plan
from tests.integration.migrations import FILES, migrating, recorded
from tests.support.waiting import outputs_of

NEW = "this database has no schema of Robot Brain yet: making a new, empty one\n"
DROP = "drop schema robot_brain, robot_brain_api, robot_brain_migrations cascade"


def log_of(direct_url: str) -> str:
    """Migrate in a process of its own, and return what it writes to standard error."""
    with migrating(direct_url) as process:
        _, log = outputs_of(process)
    assert process.returncode == 0, log
    return log


def test_a_new_database_is_named_as_new_before_the_first_file_and_later_not_again(direct_url: str) -> None:
    log = log_of(direct_url)
    assert log.startswith(NEW)
    assert "docs/backup.md" not in log
    assert NEW not in log_of(direct_url)


def test_an_empty_database_whose_logins_were_in_use_gets_a_warning_that_names_the_backups(
    admin: psycopg.Connection, direct_url: str
) -> None:
    migrate(direct_url)
    admin.execute("alter role robot_brain_app_a login password 'a-password-of-a-test'")
    admin.execute(DROP)
    log = log_of(direct_url)
    assert log.startswith(NEW)
    warning = log.splitlines()[1]
    assert "robot_brain_app_a can log in already" in warning
    assert "docs/backup.md" in warning


def test_the_plan_of_a_new_database_says_that_it_is_new(direct_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "robot_brain.migrate"):
        assert plan(direct_url) == FILES
    assert caplog.messages == ["this database has no schema of Robot Brain yet"]


@pytest.mark.parametrize("gone", ["robot_brain", "robot_brain, robot_brain_api"])
def test_a_database_whose_schema_is_gone_while_its_records_stay_is_refused_with_both_ways_out(
    admin: psycopg.Connection, direct_url: str, gone: str
) -> None:
    migrate(direct_url)
    admin.execute(f"drop schema {gone} cascade".encode())
    for work in (plan, migrate):
        with pytest.raises(MigrationError, match="the schema robot_brain is gone") as raised:
            work(direct_url)
        assert "docs/backup.md" in str(raised.value)
    assert recorded(admin) == FILES

    # The message names this way to begin with an empty one.
    statement = str(raised.value).partition("with an empty one: ")[2]
    with psycopg.connect(direct_url, autocommit=True) as owner:
        owner.execute(statement.encode())
    assert migrate(direct_url) == FILES


def test_a_database_that_lost_only_its_functions_gets_them_again_after_the_statement_of_the_message(
    admin: psycopg.Connection, direct_url: str
) -> None:
    migrate(direct_url)
    admin.execute("drop schema robot_brain_api cascade")
    with pytest.raises(MigrationError) as raised:
        plan(direct_url)
    statement = str(raised.value).partition("Run this: ")[2].partition(";")[0]
    with psycopg.connect(direct_url, autocommit=True) as owner:
        owner.execute(statement.encode())
    assert [name for name in migrate(direct_url) if name.startswith("migrations/")] == []
    assert plan(direct_url) == []


def test_a_database_that_lost_only_its_records_is_refused_and_its_data_stays(
    admin: psycopg.Connection, direct_url: str
) -> None:
    migrate(direct_url)
    admin.execute("drop schema robot_brain_migrations cascade")
    for work in (plan, migrate):
        with pytest.raises(MigrationError, match="the records of its migrations are gone") as raised:
            work(direct_url)
        assert "docs/backup.md" in str(raised.value)
    assert admin.execute("select to_regclass('robot_brain.sessions') is null").fetchone() == (False,)
