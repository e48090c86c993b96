"""No setting of the server, the database, the role or the connection changes an answer."""

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from ops.migrate import migrate
from tests.integration.transcript import Transcript, administering, bounds, expected_bounds, transcript
from tests.support.bundle import deployed
from tests.support.servers.databases import Database, Template, drop_database
from tests.support.servers.postgres import MIGRATOR

# The months that the migrations make.
MONTHS = 25
# PostgreSQL up to 17 writes IST for the time of India, but reads IST as the time of Israel.
# PostgreSQL 18 prefers abbreviations of the connection's own zone, and there UTC may mean another time.
SETTINGS: dict[str, Mapping[str, str]] = {
    "india": {
        "timezone": "Asia/Kolkata",
        "datestyle": "SQL, DMY",
        "intervalstyle": "sql_standard",
        "bytea_output": "escape",
        "plpgsql.extra_errors": "all",
        "extra_float_digits": "-15",
    },
    "posix zone": {
        "timezone": "UTC+3",
        "datestyle": "German",
        "intervalstyle": "iso_8601",
        "extra_float_digits": "3",
        "xmloption": "document",
    },
    "texts": {
        "standard_conforming_strings": "off",
        "backslash_quote": "on",
        "escape_string_warning": "off",
        "client_encoding": "LATIN1",
        "quote_all_identifiers": "on",
        "array_nulls": "off",
        "transform_null_equals": "on",
        "timezone": "America/New_York",
        "datestyle": "Postgres, MDY",
        "intervalstyle": "postgres_verbose",
    },
    "ascii": {"client_encoding": "SQL_ASCII", "search_path": "", "lc_time": "C", "lc_numeric": "C", "lc_messages": "C"},
    "names": {
        "search_path": "elsewhere, pg_temp",
        "check_function_bodies": "off",
        "timezone": "<UTC>-5:30",
        "jit": "on",
    },
    "rows": {
        "row_security": "off",
        "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on",
    },
    "plans": {
        "plan_cache_mode": "force_generic_plan",
        "enable_partition_pruning": "off",
        "enable_indexscan": "off",
        "enable_indexonlyscan": "off",
        "enable_hashagg": "off",
        "enable_sort": "off",
        "enable_nestloop": "off",
        "jit": "off",
        "work_mem": "64kB",
        "constraint_exclusion": "off",
        "timezone_abbreviations": "Australia",
    },
}
ON_DATABASE, ON_ROLE = "database {}", "role robot_brain_app_a in database {}"
# A session gets the same value from both places. So one server shows that the place does not matter.
PLACES = [("embedded", ON_DATABASE), ("tls", ON_DATABASE), ("pooled", ON_DATABASE), ("pooled", ON_ROLE)]
# Variables of a function's environment that libpq reads. A pooler refuses PGOPTIONS and PGGEQO.
ENVIRONMENT = {
    "PGTZ": "UTC+3",
    "PGDATESTYLE": "SQL, DMY",
    "PGCLIENTENCODING": "LATIN1",
    "PGAPPNAME": "something else",
}
OPTIONS = "-c row_security=off -c intervalstyle=iso_8601 -c search_path= -c standard_conforming_strings=off"


@contextmanager
def cloned(template: Template) -> Iterator[Database]:
    with template.clone("") as database:
        # The servers of the tests have unusual settings.
        with database.admin() as admin:
            _set(admin, "database {}", database.name, {"timezone": "UTC", "datestyle": "ISO, MDY"})
        yield database


def transcript_on(database: Database) -> Transcript:
    """Return the transcript of a new environment, and assert that its times agree with this clock."""
    before = datetime.datetime.now(datetime.UTC)
    with deployed({"DATABASE_URL": database.app_url}) as bundle:
        found = transcript(bundle, database)
    after = datetime.datetime.now(datetime.UTC)
    second = datetime.timedelta(seconds=1)
    # as_of may be that of the template. No time lies in the future, and most are those of this test.
    assert all(time <= after + second for time in found.times)
    assert sum(before - second <= time for time in found.times) > len(found.times) / 2
    assert found.dates[-1] in {before.date().isoformat(), after.date().isoformat()}
    assert len(found.dates) == 31
    return found


@pytest.fixture(scope="session")
def usual() -> dict[int, Transcript]:
    """The transcripts with usual settings, by the hash of the server's address."""
    return {}


def usual_on(template: Template, usual: dict[int, Transcript]) -> Transcript:
    if id(template) not in usual:
        with cloned(template) as database:
            usual[id(template)] = transcript_on(database)
    return usual[id(template)]


def template_of(request: pytest.FixtureRequest, database: Database) -> Template:
    kind = "embedded" if database.kind == "embedded" else "tls"
    template: Template = request.getfixturevalue(f"{kind}_template")
    return template


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(("database", "of"), PLACES, indirect=["database"], ids=lambda each: each.partition(" ")[0])
def test_no_setting_of_the_database_or_the_role_changes_an_answer(
    request: pytest.FixtureRequest,
    database: Database,
    usual: dict[int, Transcript],
    of: str,
    name: str,
) -> None:
    expected = usual_on(template_of(request, database), usual)
    with database.admin() as admin:
        _set(admin, of, database.name, SETTINGS[name])
    found = transcript_on(database).masked
    if of.startswith("role") and "default_transaction_isolation" in SETTINGS[name]:
        # A call that needs another isolation level is repeated, and GET /health/database says so.
        assert '{"status": "degraded", "reasons": ["retries"]' in str(found[-1])
        found[-1] = expected.masked[-1]
    assert found == expected.masked
    with administering(database) as admin:
        assert bounds(admin) == expected_bounds(MONTHS)


def test_no_environment_variable_of_libpq_changes_an_answer(
    request: pytest.FixtureRequest,
    database: Database,
    usual: dict[int, Transcript],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = usual_on(template_of(request, database), usual)
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    if database.kind != "pooled":
        monkeypatch.setenv("PGOPTIONS", OPTIONS)
        monkeypatch.setenv("PGGEQO", "off")
    assert transcript_on(database).masked == expected.masked


@pytest.mark.parametrize("server", ["embedded", "tls"])
@pytest.mark.parametrize("name", SETTINGS)
def test_no_setting_of_the_migrating_connection_changes_months_or_answers(
    request: pytest.FixtureRequest,
    usual: dict[int, Transcript],
    name: str,
    server: str,
) -> None:
    template: Template = request.getfixturevalue(f"{server}_template")
    expected = usual_on(template, usual)
    with migrated_with(template, SETTINGS[name]) as database, administering(database) as admin:
        assert bounds(admin) == expected_bounds(MONTHS)
        assert transcript_on(database).masked == expected.masked
        assert bounds(admin) == expected_bounds(MONTHS)


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_no_setting_of_the_connection_that_makes_months_changes_their_bounds(database: Database) -> None:
    with database.admin() as admin:
        for settings in SETTINGS.values():
            for month in range(MONTHS):
                name = expected_bounds(MONTHS)[month].split()[0]
                admin.execute(sql.SQL("drop table robot_brain.{}").format(sql.Identifier(name)))
            with database.admin() as maker:
                for setting, value in settings.items():
                    if setting != "client_encoding":
                        maker.execute("select set_config(%s, %s, false)", [setting, value])
                while maker.execute("select robot_brain.make_next_month(24) ->> 'made'").fetchone() != (None,):
                    pass
            assert bounds(admin) == expected_bounds(MONTHS)


def test_no_collation_of_the_database_changes_an_answer(tls_template: Template, usual: dict[int, Transcript]) -> None:
    expected = usual_on(tls_template, usual)
    english = "create database {} template template0 owner {} locale_provider icu icu_locale 'en-US'"
    with migrated_with(tls_template, {"timezone": "UTC"}, english) as database:
        assert transcript_on(database).masked == expected.masked


@contextmanager
def migrated_with(
    template: Template, settings: Mapping[str, str], create: str = "create database {} template template0 owner {}"
) -> Iterator[Database]:
    """Migrate a database that `create` makes, over a connection with settings that only this connection has."""
    name = "test_migrated_with_settings"
    postgres = template.postgres
    with postgres.admin() as admin:
        drop_database(admin, name)
        admin.execute(sql.SQL(create).format(sql.Identifier(name), sql.Identifier(MIGRATOR)))
        try:
            _set(admin, "role {} in database {}", name, settings, MIGRATOR)
            migrate(postgres.direct_url(name))
            yield Database(postgres.kind, name, template.app_url(name), postgres.direct_url(name), postgres)
        finally:
            drop_database(admin, name)


def _set(admin: psycopg.Connection, of: str, name: str, settings: Mapping[str, str], *before: str) -> None:
    target = sql.SQL(of).format(*(sql.Identifier(each) for each in (*before, name)))
    for setting, value in settings.items():
        admin.execute(sql.SQL("alter {} set {} = {}").format(target, sql.Identifier(setting), sql.Literal(value)))
