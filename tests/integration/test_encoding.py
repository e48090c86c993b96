"""Robot Brain needs a database in UTF8, and chooses the encoding of each connection itself."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from ops.errors import MigrationError
from ops.migrate import migrate, plan
from ops.recount import recount
from tests.integration.migrations import add, recorded
from tests.support.bundle import deployed, turn
from tests.support.marks import over_tls, without_pooler
from tests.support.servers.databases import Database, drop_database
from tests.support.servers.postgres import MIGRATOR, Postgres

TEXT = "Zürich 東京 🤖"
REFUSED = "^The database {} has the encoding {}, and Robot Brain needs UTF8: create another one with `create database "
WRONG = ["LATIN1", "SQL_ASCII", "WIN1252", "EUC_JP"]


@pytest.fixture(params=WRONG)
def encoding(request: pytest.FixtureRequest) -> str:
    """The name of an encoding that is not UTF8."""
    name: str = request.param
    return name


@pytest.fixture
def make_encoded(tls_server: Postgres) -> Iterator[Callable[[str], str]]:
    """A function that makes an empty database of the migrating role in an encoding, and returns its name."""
    made: list[str] = []

    def make(encoding: str) -> str:
        made.append(f"test_{secrets.token_hex(6)}")
        with tls_server.admin() as admin:
            statement = (
                f"create database {made[-1]} template template0 encoding '{encoding}' locale 'C' owner {MIGRATOR}"
            )
            admin.execute(statement.encode())
        return made[-1]

    yield make
    with tls_server.admin() as admin:
        for name in made:
            drop_database(admin, name)


def test_an_empty_database_of_another_encoding_is_refused_before_anything_is_made(
    tls_server: Postgres, make_encoded: Callable[[str], str], encoding: str
) -> None:
    name = make_encoded(encoding)
    with tls_server.admin(name) as admin:
        for command in (plan, migrate):
            with pytest.raises(MigrationError, match=REFUSED.format(name, encoding)):
                command(tls_server.direct_url(name))
        assert recorded(admin) == []
        assert admin.execute("select count(*) from pg_namespace where nspname ~ '^robot_brain'").fetchone() == (0,)


@over_tls
def test_a_migrated_database_that_was_restored_into_another_encoding_is_refused(
    database: Database, make_encoded: Callable[[str], str], encoding: str
) -> None:
    name = make_encoded(encoding)
    with database.admin() as source, database.postgres.admin(name) as target:
        # What a restore leaves of it: the schema with its records, and every file is applied.
        target.execute("create schema robot_brain_migrations")
        target.execute(f"alter schema robot_brain_migrations owner to {MIGRATOR}".encode())
        target.execute("create table robot_brain_migrations.files (name text, sha256 text, applied_at timestamptz)")
        target.execute(f"alter table robot_brain_migrations.files owner to {MIGRATOR}".encode())
        for row in source.execute("select name, sha256, applied_at::text from robot_brain_migrations.files").fetchall():
            target.execute("insert into robot_brain_migrations.files values (%s, %s, %s::timestamptz)", row)
        for command in (plan, migrate):
            with pytest.raises(MigrationError, match=REFUSED.format(name, encoding)):
                command(database.postgres.direct_url(name))


def _with(url: str, **parameters: str) -> str:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    return f"{url}{'&' if '?' in url else '?'}{query}"


# Each place from which libpq or the server takes an encoding, except for the startup packet of the command itself.
WAYS = ["PGCLIENTENCODING", "PGOPTIONS", "the URL", "the URL's options", "the role", "the database"]


@pytest.fixture(params=[f"{encoding} from {way}" for encoding in ("LATIN1", "SQL_ASCII") for way in WAYS])
def encoded(
    request: pytest.FixtureRequest, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], str]]:
    """A function that returns a URL, after an encoding that is not UTF8 was set in one of these ways."""
    encoding, _, way = request.param.partition(" from ")
    options = f"-c client_encoding={encoding}"
    changes = {"the URL": {"client_encoding": encoding}, "the URL's options": {"options": options}}
    if way.startswith("PG"):
        monkeypatch.setenv(way, options if way == "PGOPTIONS" else encoding)
    roles = [MIGRATOR, "robot_brain_app_a"] if way == "the role" else []
    with database.admin() as admin:
        for role in roles:
            admin.execute(f"alter role {role} set client_encoding = '{encoding}'".encode())
        if way == "the database":
            admin.execute(f"alter database {database.name} set client_encoding = '{encoding}'".encode())
        yield lambda url: _with(url, **changes.get(way, {}))
        admin.execute(f"alter role {MIGRATOR} reset client_encoding".encode())
        admin.execute("alter role robot_brain_app_a set client_encoding = 'UTF8'")


@without_pooler
def test_no_encoding_of_the_environment_or_the_url_or_a_setting_changes_a_text_of_the_functions(
    database: Database, encoded: Callable[[str], str]
) -> None:
    with deployed({"DATABASE_URL": encoded(database.app_url)}) as bundle:
        assert bundle.write(TEXT, turn(user_message=TEXT, robot_response=TEXT, metadata={TEXT: TEXT})).status == 201
        (read,) = bundle.read(TEXT).json["messages"]
    assert (read["user_message"], read["robot_response"], read["metadata"]) == (TEXT, TEXT, {TEXT: TEXT})
    with psycopg.connect(database.postgres.admin_url(database.name), client_encoding="UTF8") as admin:
        row = admin.execute("select user_message, octet_length(user_message) from robot_brain.conversations").fetchone()
    assert row == (TEXT, len(TEXT.encode()))


@without_pooler
def test_no_encoding_of_the_environment_or_the_url_or_a_setting_changes_a_text_of_a_command(
    database: Database, encoded: Callable[[str], str], sql: Path
) -> None:
    comment = f"set local role robot_brain_owner;\ncomment on table robot_brain.sessions is '{TEXT}';\n"
    name = add(sql, "migrations/9002_comment", comment)
    outside = comment.replace("set local", "-- outside a transaction\n\nset").replace("sessions", "conversations")
    last = add(sql, "migrations/9003_comment", outside)
    url = encoded(database.direct_url)
    assert plan(url, sql) == [name, last]
    assert migrate(url, sql) == [name, last]
    assert list(recount(url)) == []
    with psycopg.connect(database.postgres.admin_url(database.name), client_encoding="UTF8") as admin:
        for table in ("sessions", "conversations"):
            row = admin.execute(f"select obj_description('robot_brain.{table}'::regclass)".encode()).fetchone()
            assert row == (TEXT,)
