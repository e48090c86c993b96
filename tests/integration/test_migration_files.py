"""`make migrate` with files that are new, changed, missing or wrong."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from local.settings import ROOT
from ops.errors import MigrationError
from ops.migrate import migrate, plan
from robot_brain.database.api import SCHEMA_VERSION
from tests.integration.catalogue import catalogue
from tests.integration.migrations import FILES, TABLE, add, recorded

NOW, NEXT = (f"return {version};" for version in (SCHEMA_VERSION, SCHEMA_VERSION + 1))

ONE = """
set local role robot_brain_owner;
create or replace function robot_brain.{}(p_number integer)
returns integer
language sql
return {};
"""


def remove(sql: Path, name: str) -> None:
    (sql / f"{name}.sql").unlink()


def test_a_new_migration_and_a_changed_function_are_applied_and_nothing_else(
    admin: psycopg.Connection, direct_url: str, sql: Path
) -> None:
    migrate(direct_url, sql)
    new = add(sql, "migrations/9002_more", TABLE.format("more"))
    changed = "functions/robot_brain/most_uncounted"
    add(sql, changed, (sql / f"{changed}.sql").read_text().replace("10000", "20000"))

    assert plan(direct_url, sql) == [new, changed]
    assert admin.execute("select robot_brain.most_uncounted(), to_regclass('robot_brain.more')").fetchone() == (
        10000,
        None,
    )

    assert migrate(direct_url, sql) == [new, changed]
    assert admin.execute("select robot_brain.most_uncounted(), to_regclass('robot_brain.more') is null").fetchone() == (
        20000,
        False,
    )
    assert migrate(direct_url, sql) == plan(direct_url, sql) == []


def test_the_plan_for_an_empty_database_names_every_file_and_changes_nothing(
    admin: psycopg.Connection, direct_url: str
) -> None:
    before = catalogue(admin)
    assert plan(direct_url) == FILES
    assert catalogue(admin) == before
    assert admin.execute("select to_regnamespace('robot_brain_migrations')").fetchone() == (None,)


def test_the_command_prints_its_plan_and_after_the_migration_an_empty_plan(direct_url: str) -> None:
    def printed() -> list[str]:
        return subprocess.run(
            [sys.executable, "-m", "ops", "migrate", "--plan"],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath), "DIRECT_DATABASE_URL": direct_url},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()

    assert printed() == [f"would apply {name}" for name in FILES]
    migrate(direct_url)
    assert printed() == ["Nothing to do: the database is up to date."]


def test_the_failure_of_one_file_leaves_none_of_them(admin: psycopg.Connection, direct_url: str, sql: Path) -> None:
    migrate(direct_url, sql)
    before = catalogue(admin)
    add(sql, "migrations/9002_good", TABLE.format("good"))
    add(sql, "functions/robot_brain/zzz", "select nonsense;")

    with pytest.raises(MigrationError, match='functions/robot_brain/zzz: column "nonsense" does not exist'):
        migrate(direct_url, sql)

    assert catalogue(admin) == before
    assert recorded(admin) == FILES


def test_a_migration_that_was_changed_after_it_was_applied_is_refused(
    admin: psycopg.Connection, direct_url: str, sql: Path
) -> None:
    name = add(sql, "migrations/9002_more", TABLE.format("more"))
    migrate(direct_url, sql)
    add(sql, name, TABLE.format("other"))

    for command in (migrate, plan):
        with pytest.raises(
            MigrationError, match=r"sql/migrations/9002_more\.sql was changed after it was applied: undo"
        ):
            command(direct_url, sql)
    assert admin.execute("select to_regclass('robot_brain.other')").fetchone() == (None,)

    # A checkout may change the ends of lines.
    (sql / f"{name}.sql").write_bytes(TABLE.format("more").replace("\n", "\r\n").encode())
    assert migrate(direct_url, sql) == []


def test_a_migration_that_was_applied_and_is_missing_is_refused(direct_url: str, sql: Path) -> None:
    gone = add(sql, "migrations/9002_more", TABLE.format("more"))
    add(sql, "migrations/9003_last", TABLE.format("last"))
    migrate(direct_url, sql)
    remove(sql, gone)

    for command in (migrate, plan):
        with pytest.raises(MigrationError, match=r"sql/migrations/9002_more\.sql was applied and is missing"):
            command(direct_url, sql)


def test_a_new_migration_with_a_number_before_an_applied_one_is_refused(direct_url: str, sql: Path) -> None:
    add(sql, "migrations/9003_last", TABLE.format("last"))
    migrate(direct_url, sql)
    add(sql, "migrations/9002_late", TABLE.format("late"))

    for command in (migrate, plan):
        with pytest.raises(MigrationError, match=r"9002_late\.sql comes before .*9003_last.* renumber it"):
            command(direct_url, sql)


def test_a_database_with_a_migration_that_the_checkout_lacks_is_refused_as_newer(direct_url: str, sql: Path) -> None:
    add(sql, "migrations/9002_more", TABLE.format("more"))
    migrate(direct_url, sql)

    for command in (migrate, plan):
        with pytest.raises(MigrationError, match=r"newer than this checkout: it has migrations/9002_more"):
            command(direct_url)


def test_a_database_with_a_higher_schema_version_is_refused_as_newer(
    admin: psycopg.Connection, direct_url: str, sql: Path
) -> None:
    version = "functions/robot_brain/schema_version"
    add(sql, version, (sql / f"{version}.sql").read_text().replace(NOW, NEXT))
    migrate(direct_url, sql)

    with pytest.raises(
        MigrationError, match=f"newer than this checkout: its schema has version {SCHEMA_VERSION + 1}, and would"
    ):
        migrate(direct_url)

    assert admin.execute("select robot_brain.schema_version()").fetchone() == (SCHEMA_VERSION + 1,)


def test_a_changed_function_alone_can_raise_the_schema_version(
    admin: psycopg.Connection, direct_url: str, sql: Path
) -> None:
    migrate(direct_url, sql)
    version = "functions/robot_brain/schema_version"
    add(sql, version, (sql / f"{version}.sql").read_text().replace(NOW, NEXT))

    assert migrate(direct_url, sql) == [version]

    assert admin.execute("select robot_brain.schema_version()").fetchone() == (SCHEMA_VERSION + 1,)


def test_a_missing_function_file_is_refused_until_a_migration_drops_the_function(
    admin: psycopg.Connection, direct_url: str, sql: Path
) -> None:
    gone = add(sql, "functions/robot_brain/gone", ONE.format("gone", "p_number"))
    migrate(direct_url, sql)
    remove(sql, gone)
    for command in (migrate, plan):
        with pytest.raises(
            MigrationError, match=r"robot_brain\.gone, and this checkout does not have .* in a migration"
        ):
            command(direct_url, sql)

    drop = add(
        sql, "migrations/9002_drop", "set local role robot_brain_owner;\ndrop function robot_brain.gone(integer);"
    )
    assert migrate(direct_url, sql) == [drop]

    assert recorded(admin) == [*FILES, drop]
    assert migrate(direct_url, sql) == []


def test_a_function_that_was_dropped_is_made_again(admin: psycopg.Connection, direct_url: str) -> None:
    migrate(direct_url)
    whole = catalogue(admin)
    admin.execute("drop function robot_brain.etag(integer, bigint)")

    assert migrate(direct_url) == ["functions/robot_brain/etag"]

    assert catalogue(admin) == whole


def test_functions_in_sql_are_applied_after_the_functions_that_they_call(
    admin: psycopg.Connection, direct_url: str, sql: Path
) -> None:
    first = add(sql, "functions/robot_brain/zzz", ONE.format("zzz", "p_number + 1"))
    second = add(
        sql, "functions/robot_brain/aaa", ONE.format("aaa", "robot_brain.zzz(p_number) + 1 -- robot_brain.aaa()\n")
    )

    applied = migrate(direct_url, sql)

    assert applied.index(first) < applied.index(second)
    assert admin.execute("select robot_brain.aaa(1)").fetchone() == (3,)


def test_functions_that_call_each_other_in_a_circle_are_refused(direct_url: str, sql: Path) -> None:
    add(sql, "functions/robot_brain/aaa", ONE.format("aaa", "robot_brain.zzz(p_number)"))
    add(sql, "functions/robot_brain/zzz", ONE.format("zzz", "robot_brain.aaa(p_number)"))

    with pytest.raises(MigrationError, match=r"call each other: .*robot_brain\.aaa"):
        migrate(direct_url, sql)


def test_a_second_form_of_a_function_is_refused_unless_its_file_drops_the_older_form(
    admin: psycopg.Connection, direct_url: str, sql: Path
) -> None:
    name = add(sql, "functions/robot_brain/one", ONE.format("one", "p_number"))
    migrate(direct_url, sql)
    other = ONE.format("one", "p_number").replace("p_number integer", "p_number integer, p_more integer default 0")
    add(sql, name, other)
    with pytest.raises(MigrationError, match=r"2 forms: .*drop function if exists robot_brain\.one;"):
        migrate(direct_url, sql)

    drop = "set local role robot_brain_owner;\ndrop function if exists robot_brain.one;"
    add(sql, name, drop + other)
    assert migrate(direct_url, sql) == [name]

    assert admin.execute("select robot_brain.one(p_number => 7)").fetchone() == (7,)


def test_a_file_that_makes_a_function_of_another_name_is_refused(direct_url: str, sql: Path) -> None:
    add(sql, "functions/robot_brain/one", ONE.format("other", "p_number"))
    with pytest.raises(MigrationError, match=r"one\.sql does not create robot_brain\.one"):
        migrate(direct_url, sql)
