"""`make ops DO=restore` refuses what it cannot restore as a whole, and has then changed nothing."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.errors import OperatorError
from ops.migrate import migrate
from ops.pg_tools import tools_for_dump
from tests.integration.backups import (
    OWNERS,
    Source,
    filled,
    kinds_of_roles,
    new_database,
    restored,
    rows_of,
    share_roles,
    url_of,
)
from tests.integration.yoyo import migrate_with_yoyo
from tests.support.bundle import deployed
from tests.support.servers.databases import Template
from tests.support.servers.postgres import MIGRATOR, SUPERUSER, Postgres, start_embedded

SCHEMAS = "select count(*) from pg_namespace where nspname like 'robot%'"


@pytest.fixture(scope="module")
def source(embedded_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """A database with rows, and its backups."""
    with kinds_of_roles(embedded_template.postgres):
        share_roles(embedded_template.postgres)
        with filled(embedded_template, "embedded", tmp_path_factory.mktemp("backups")) as made:
            yield made


@pytest.fixture
def target(source: Source) -> Iterator[str]:
    """An empty database on the same server, of the role made in SQL."""
    with new_database(source.postgres, MIGRATOR) as name:
        yield name


@pytest.fixture
def filled_target(source: Source) -> Iterator[str]:
    """A database with the rows of the source."""
    with new_database(source.postgres, MIGRATOR, source.database.name) as name:
        yield name


def assert_refused(postgres: Postgres, name: str, archive: Path, sentence: str, kind: str = "sql") -> None:
    """Assert that a restore with REPLACE=1 raises this sentence and leaves each row as it was."""
    before = rows_of(postgres, name)
    with pytest.raises(OperatorError, match=sentence):
        restored(postgres, kind, name, archive, replace=True)
    assert rows_of(postgres, name) == before
    with postgres.admin(name) as admin:
        assert admin.execute(SCHEMAS).fetchone() == (3 if before else 0,)


def cut(archive: Path, copy: Path) -> None:
    """Write the first half of the archive."""
    content = archive.read_bytes()
    copy.write_bytes(content[: len(content) // 2])


def cut_at_the_end(archive: Path, copy: Path) -> None:
    """Write the archive without its last bytes."""
    copy.write_bytes(archive.read_bytes()[:-100])


def cut_in_the_list(archive: Path, copy: Path) -> None:
    """Write the first bytes of the archive."""
    copy.write_bytes(archive.read_bytes()[:1000])


def changed_in_the_rows(archive: Path, copy: Path) -> None:
    """Write the archive with other bytes among its rows."""
    content = bytearray(archive.read_bytes())
    content[-600:-500] = bytes(100)
    copy.write_bytes(content)


def empty(archive: Path, copy: Path) -> None:
    """Write an empty file."""
    copy.write_bytes(b"")


def text(archive: Path, copy: Path) -> None:
    """Write SQL in place of an archive."""
    copy.write_text("drop schema robot_brain cascade;\n")


@pytest.mark.parametrize(
    "damage", [cut, cut_at_the_end, cut_in_the_list, changed_in_the_rows, empty, text], ids=lambda each: each.__name__
)
def test_a_damaged_archive_changes_nothing(
    source: Source, filled_target: str, target: str, tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    copy = tmp_path / "damaged.dump"
    damage(source.archive("console"), copy)
    for name in (filled_target, target):
        assert_refused(source.postgres, name, copy, r"damaged\.dump is (no backup, or it is )?damaged")


def test_a_database_that_has_robot_brain_is_replaced_only_if_asked(source: Source, filled_target: str) -> None:
    before = rows_of(source.postgres, filled_target)
    with pytest.raises(
        OperatorError, match=rf"^The database {filled_target} on \S+:\d+ has Robot Brain already.* REPLACE=1"
    ):
        restored(source.postgres, "sql", filled_target, source.archive("sql"))
    assert rows_of(source.postgres, filled_target) == before


def test_a_database_with_another_encoding_is_refused(source: Source) -> None:
    with source.postgres.admin() as admin:
        admin.execute("create database latin encoding 'LATIN1' locale 'C' template template0")
        try:
            assert_refused(
                source.postgres, "latin", source.archive("sql"), r"^The database latin on \S+ has the encoding LATIN1"
            )
        finally:
            admin.execute("drop database latin with (force)")


def test_a_role_that_may_not_create_schemas_is_refused(source: Source) -> None:
    with new_database(source.postgres, SUPERUSER) as name:
        assert_refused(
            source.postgres, name, source.archive("sql"), rf"^{MIGRATOR} may not create schemas in {name} on \S+:\d"
        )


def test_an_archive_of_another_database_is_refused(source: Source, target: str, tmp_path: Path) -> None:
    dump(source.postgres, "superuser", "postgres", tmp_path / "other.dump")
    assert_refused(source.postgres, target, tmp_path / "other.dump", "but no backup of Robot Brain")
    assert_refused(source.postgres, target, tmp_path / "absent.dump", "absent.dump cannot be read: No such file")


def test_an_archive_without_the_turns_that_its_role_could_not_read_is_refused(
    source: Source, target: str, tmp_path: Path
) -> None:
    dump(source.postgres, "sql", source.database.name, tmp_path / "blind.dump", "--enable-row-security")
    assert_refused(
        source.postgres,
        target,
        tmp_path / "blind.dump",
        r"The sessions count \d+ turns, and \d+ of them can be read\. Nothing was changed\. Either the role .* may not "
        r"read all rows: .*\. Or somebody changed rows by hand before the backup: .* FORCE=1, and run .*DO=recount",
    )
    said = restored(source.postgres, "sql", target, tmp_path / "blind.dump", force=True)
    assert said[1].endswith("Run `make ops DO=recount` afterwards.")


def test_an_archive_that_is_newer_than_this_checkout_is_refused(
    source: Source, filled_target: str, target: str, tmp_path: Path
) -> None:
    with source.postgres.admin(filled_target) as admin:
        admin.execute("insert into robot_brain_migrations.files values ('migrations/9999_later', 'x')")
    dump(source.postgres, "superuser", filled_target, tmp_path / "newer.dump")
    assert_refused(source.postgres, target, tmp_path / "newer.dump", "does not fit this checkout, and nothing was")


def test_an_archive_of_the_whole_database_restores_our_schemas_alone(
    source: Source, filled_target: str, target: str, tmp_path: Path
) -> None:
    with source.postgres.admin(filled_target) as admin:
        admin.execute("create role analyst")
        admin.execute("select lo_create(0)")
        admin.execute("create table public.others (id int); create view public.view as select 1 from public.others")
        admin.execute("create publication ours for table robot_brain.sessions")
        admin.execute("grant select on robot_brain.sessions to analyst")
        admin.execute("alter default privileges in schema robot_brain grant select on tables to analyst")
        dump(source.postgres, "superuser", filled_target, tmp_path / "whole.dump")
        admin.execute("drop owned by analyst; drop role analyst")

    said = restored(source.postgres, "sql", target, tmp_path / "whole.dump")

    assert said[1:] == [
        'Left out, because the role "analyst" does not exist: GRANT SELECT ON TABLE robot_brain.sessions TO analyst;'
    ]
    rows = rows_of(source.postgres, target)
    assert {table: rows[table] for table in rows if "audit_logs" not in table} == {
        table: source.rows[table] for table in rows if "audit_logs" not in table
    }
    assert migrate(url_of(source.postgres, "sql", target)) == []
    with source.postgres.admin(target) as admin:
        assert admin.execute("select to_regclass('public.others'), count(*) from pg_publication").fetchone() == (
            None,
            0,
        )
        assert admin.execute("select count(*) from pg_largeobject_metadata").fetchone() == (0,)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("create view public.report as select id from robot_brain.sessions", "rule _RETURN on view report"),
        ("create publication ours for table robot_brain.users", "publication of table robot_brain.users"),
        ("create function public.f(robot_brain.users) returns int return 1", "function f"),
        (
            "create table public.t (tenant_id varchar(128), id varchar(255), "
            "foreign key (tenant_id, id) references robot_brain.users)",
            "constraint t_tenant_id_id_fkey",
        ),
    ],
    ids=["view", "publication", "function", "foreign key"],
)
def test_a_replacement_drops_no_object_of_another_program(
    source: Source, filled_target: str, statement: str, named: str
) -> None:
    with source.postgres.admin(filled_target) as admin:
        admin.execute(statement.encode())
    assert_refused(
        source.postgres, filled_target, source.archive("sql"), f"^Other objects depend on what .*{named}", "superuser"
    )


def test_a_server_without_room_for_the_locks_is_named_and_left_unchanged(source: Source) -> None:
    small = start_embedded(settings={"max_locks_per_transaction": "12", "max_connections": "10"})
    try:
        with new_database(small, MIGRATOR) as name:
            restored(small, "sql", name, source.archive("sql"))
            sentence = "^out of shared memory: the server has no room .* max_locks_per_transaction"
            assert_refused(small, name, source.archive("sql"), sentence)
    finally:
        small.stop()


def test_a_backup_of_an_older_schema_is_restored_and_then_migrated(source: Source, tmp_path: Path) -> None:
    postgres = source.postgres
    with new_database(postgres, MIGRATOR) as old, new_database(postgres, OWNERS["console"]) as name:
        migrate_with_yoyo(url_of(postgres, "sql", old))
        with postgres.admin(old) as admin:
            admin.execute(
                "select robot_brain_api.write_message('local', 'one', "
                """'[{"robot_personality": "barista", "user_message": "a", "robot_response": "b", "metadata": {}}]')"""
            )
        dump(postgres, "superuser", old, tmp_path / "old.dump")

        restored(postgres, "console", name, tmp_path / "old.dump")
        assert migrate(url_of(postgres, "console", name)) != []

        with deployed({"DATABASE_URL": source.database.app_url.replace(source.database.name, name)}) as bundle:
            assert bundle.read("one").json["messages"][0]["user_message"] == "a"
            assert bundle.stats().json["totals"]["messages"] == 1


def dump(postgres: Postgres, kind: str, dbname: str, file: Path, *options: str) -> None:
    """Run pg_dump of the whole database, as somebody without our command does."""
    tools = tools_for_dump(postgres.version, tls=False)
    subprocess.run(
        [tools.program("pg_dump"), "-Fc", "-f", file, *options, "-d", url_of(postgres, kind, dbname)], check=True
    )
