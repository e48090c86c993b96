"""The hash of an entry depends on no setting, and on no version of PostgreSQL."""

import subprocess
from pathlib import Path

import pytest
from psycopg import sql

from tests.integration.audited import broken, chained, fill, heads, tamper, verified
from tests.support.marks import over_tls, without_pooler
from tests.support.servers.binaries import debian_postgres
from tests.support.servers.databases import Database, Template

ENTRIES = 5
SETTINGS: dict[str, dict[str, str]] = {
    "UTC": {"TimeZone": "UTC"},
    "Tokyo": {"TimeZone": "Asia/Tokyo", "DateStyle": "German, DMY", "bytea_output": "escape"},
    "St. John's": {"TimeZone": "America/St_Johns", "DateStyle": "SQL, MDY", "IntervalStyle": "iso_8601"},
    "digits": {"extra_float_digits": "-15", "IntervalStyle": "postgres_verbose", "DateStyle": "Postgres, YMD"},
    "locale": {"lc_messages": "C", "lc_monetary": "C", "lc_numeric": "C", "lc_time": "C"},
    "encoding": {"client_encoding": "LATIN1", "standard_conforming_strings": "off", "escape_string_warning": "off"},
    "plans": {
        "search_path": "public",
        "enable_indexscan": "off",
        "jit": "on",
        "jit_above_cost": "0",
        "work_mem": "64kB",
    },
}
# Documents whose texts a setting or a version might write in another way.
ODD = """
select robot_brain.append_audit('local', 'users', e'\\u00e9 \\U0001F916 "', 'UPDATE',
  $${"n": 1.10, "e": 1e-7, "big": 12345678901234567890.5, "z": {"b": [], "a": {}}, "t": "\\u00e9 \\u0007"}$$,
  jsonb_build_object('at', '2026-03-08 02:30:00.1Z'::timestamptz at time zone 'UTC', 'f', 0.1::float8 + 0.2),
  e'\\u00e9', null)
"""
# Moments around changes of clocks, long ago and far ahead.
MOMENTS = """
update robot_brain.audit_logs set created_at = (array['1884-01-01 00:00:00.000001Z', '2026-03-08 06:59:59.999999Z',
  '2026-11-01 04:30:00Z', '2026-11-01 05:30:00Z', '9999-12-31 23:59:59.999999Z'])[id % 5 + 1]::timestamptz
where tenant_id = 'local' and n is null
"""


def set_for_all(database: Database, settings: dict[str, str]) -> None:
    """Make settings those of each new connection to the database, and no others."""
    with database.admin() as admin:
        name = sql.Identifier(database.name)
        admin.execute(sql.SQL("alter database {} reset all").format(name))
        for setting, value in settings.items():
            admin.execute(
                sql.SQL("alter database {} set {} to {}").format(name, sql.Identifier(setting), sql.Literal(value))
                if setting != "search_path"
                else sql.SQL("alter database {} set search_path to public").format(name)
            )


@without_pooler
def test_what_is_chained_with_any_settings_is_right_with_any_others(database: Database) -> None:
    for number, settings in enumerate(SETTINGS.values(), 1):
        set_for_all(database, settings)
        fill(database, ["local"], ENTRIES)
        tamper(database, ODD, MOMENTS)
        assert chained(database) >= ENTRIES + 1
        for others in SETTINGS.values():
            set_for_all(database, others)
            assert broken(database) == {}
            assert verified(database)["local"].head.n == number * (ENTRIES + 1)


@without_pooler
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/St_Johns"])
def test_a_changed_entry_is_found_in_each_time_zone(database: Database, zone: str) -> None:
    fill(database, ["local"], ENTRIES)
    chained(database)
    set_for_all(database, {"TimeZone": zone})
    assert broken(database) == {}
    tamper(database, "update robot_brain.audit_logs set user_id = 'eve' where tenant_id = 'local' and n = 3")
    assert broken(database)["local"].startswith("entry 3 (id ")


@over_tls
def test_a_chain_is_right_on_the_newest_server_after_a_dump_of_an_older_one(
    database: Database, embedded_template: Template, tmp_path: Path
) -> None:
    fill(database, ["local", "other"], ENTRIES)
    tamper(database, ODD, MOMENTS)
    chained(database)
    kept = heads(database)
    fill(database, ["local"], 2)
    dump = tmp_path / "dump.sql"
    with dump.open("wb") as output:
        subprocess.run(
            [debian_postgres()[0] / "pg_dump", "--data-only", "--table", "robot_brain.audit_*",
             "--disable-triggers", "--dbname", database.postgres.admin_url(database.name)],
            stdout=output, check=True,
        )  # fmt: skip
    with embedded_template.clone("embedded") as newer:
        tamper(newer, "delete from robot_brain.audit_logs", "delete from robot_brain.audit_heads")
        subprocess.run(
            [debian_postgres()[0] / "psql", "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1",
             "--file", dump, "--dbname", newer.postgres.admin_url(newer.name)],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        assert broken(newer, kept) == {}
        assert heads(newer) == kept == heads(database)
        assert verified(newer)["local"].unchained == 2
        assert chained(newer) == 2
        assert broken(newer, kept) == {}
        # The heads of the newer server are not those of the dump, which is older now.
        assert broken(database, heads(newer)) == {
            "local": f"entry {ENTRIES + 2} is missing, and the kept head is entry {ENTRIES + 3}"
        }
        assert newer.postgres.version > database.postgres.version
