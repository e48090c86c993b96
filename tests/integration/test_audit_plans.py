"""Pages of the audit trail and the chaining read by an index, and no more rows than they need."""

import psycopg
import pytest

from tests.support.plans import indexes_scanned, rows_read
from tests.support.servers.databases import Database

ENTRIES = 100_000
PAGE = 20
# Of two tenants in turn. Each hundredth is of the record and each fiftieth of the caller that the test asks for.
FILL = f"""
insert into robot_brain.audit_logs (
  tenant_id, table_name, record_id, action, user_id, created_at, n, hash, chained_at
)
select t.tenant, 'users', 'r' || n % 100, 'UPDATE', 'u' || n % 50, v.at, n, sha256('x'), v.at
from generate_series(1, {ENTRIES} / 2) n, (values ('local'), ('other')) t (tenant),
  lateral (select '2026-01-01Z'::timestamptz + n * interval '1 second') v (at);
insert into robot_brain.audit_heads select tenant_id, max(n), sha256('x') from robot_brain.audit_logs
where tenant_id <> '*' group by 1;
"""
READ = "select body from robot_brain_api.read_audit('local', %s, %s, %s, %s, %s, %s)"
CHAIN = "select body from robot_brain_api.chain_audit()"
FROM, TO = "2026-01-01T06:00:00Z", "2026-01-01T07:00:00Z"
# The record, the caller, from and to, with the index that finds them.
FILTERS: dict[str, tuple[tuple[str | None, ...], str]] = {
    "all": ((None, None, None, None), "audit_logs_pkey"),
    "a record": (("r7", None, None, None), "audit_logs_record_idx"),
    "a record between two times": (("r7", None, FROM, TO), "audit_logs_record_idx"),
    "a caller": ((None, "u7", None, None), "audit_logs_user_idx"),
    "a caller before a time": ((None, "u7", None, TO), "audit_logs_user_idx"),
    "from a time": ((None, None, FROM, None), "audit_logs_pkey"),
    "before a time": ((None, None, None, TO), "audit_logs_pkey"),
    "between two times": ((None, None, FROM, TO), "audit_logs_pkey"),
    "an unknown record": (("unknown", None, None, None), "audit_logs_record_idx"),
    "an unknown caller": ((None, "unknown", None, None), "audit_logs_user_idx"),
}

kinds = pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
analyzed = pytest.mark.parametrize("analyzed", [False, True], ids=["no statistics", "statistics"])


def fill(admin: psycopg.Connection, analyzed: bool) -> None:
    """Store many chained entries. Without statistics, as on a server that slept before autovacuum came."""
    admin.execute("alter table robot_brain.audit_logs set (autovacuum_enabled = off)")
    admin.execute(FILL.encode())
    if analyzed:
        admin.execute("vacuum analyze robot_brain.audit_logs, robot_brain.audit_heads")


def cursor_of(admin: psycopg.Connection, filters: tuple[str | None, ...], page: int) -> str | None:
    """Return the cursor of a page of 20 entries."""
    cursor = None
    for _ in range(page):
        row = admin.execute(READ.replace("body", "body::json #>> '{page,cursor}'"), [PAGE, cursor, *filters]).fetchone()
        assert row is not None
        cursor = row[0]
    return cursor


@kinds
@analyzed
def test_a_page_of_the_audit_trail_reads_its_entries_by_the_index_of_its_filter(
    database: Database, analyzed: bool
) -> None:
    with database.admin() as admin:
        fill(admin, analyzed)
        found = {}
        for name, (filters, index) in FILTERS.items():
            for cursor in {cursor_of(admin, filters, 0), cursor_of(admin, filters, 3)}:
                parameters = (PAGE, cursor, *filters)
                # The first calls of a connection and the later ones may have other plans.
                for _ in range(7):
                    read = rows_read(admin, READ, parameters, "audit_logs")
                    scanned = indexes_scanned(admin, READ, parameters)
                    if read > PAGE + 1 or scanned != {index: 1}:
                        found[name, cursor] = (read, scanned)
        assert found == {}


@kinds
def test_plans_of_an_empty_audit_trail_still_use_the_indexes_after_it_has_grown(database: Database) -> None:
    with database.admin() as admin, database.admin() as connection:
        admin.execute("alter table robot_brain.audit_logs set (autovacuum_enabled = off)")
        admin.execute("vacuum analyze robot_brain.audit_logs")
        for _ in range(8):
            for filters, _ in FILTERS.values():
                connection.execute(READ.encode(), (PAGE, None, *filters))
            connection.execute(CHAIN.encode())
        admin.execute(FILL.encode())
        read = {
            name: rows_read(connection, READ, (PAGE, None, *filters), "audit_logs")
            for name, (filters, _) in FILTERS.items()
        }
        assert {name: rows for name, rows in read.items() if rows > PAGE + 1} == {}
        assert rows_read(connection, CHAIN, (), "audit_logs") == 0


@kinds
@analyzed
def test_chaining_one_entry_among_many_reads_that_one_alone(database: Database, analyzed: bool) -> None:
    with database.admin() as admin:
        admin.execute(CHAIN.encode())
        fill(admin, analyzed)
        for number in range(8):
            admin.execute("select robot_brain.append_audit('local', 'users', 'x', 'ERASE', null, null, null, null)")
            # It is read to find its tenant, to chain it, and to update it.
            assert rows_read(admin, CHAIN, (), "audit_logs") == 3, number
            assert rows_read(admin, CHAIN, (), "audit_logs") == 0, number
        assert admin.execute("select n from robot_brain.audit_heads where tenant_id = 'local'").fetchone() == (
            ENTRIES // 2 + 8,
        )


@kinds
def test_an_append_reads_no_entry_and_a_verification_reads_each_entry_once(database: Database) -> None:
    with database.admin() as admin:
        admin.execute(CHAIN.encode())
        fill(admin, analyzed=False)
        append = "select robot_brain.append_audit('local', 'users', 'x', 'ERASE', null, null, null, null)"
        assert rows_read(admin, append, (), "audit_logs") == 0
        # The hashes are made up, so it ends at the first entry.
        with admin.transaction():
            admin.execute("set local role robot_brain_audit")
            admin.execute("set local enable_seqscan = off")
            admin.execute("set local enable_sort = off")
            verify = "select broken from robot_brain.verify_audit('local', 40000, '', null, 10000)"
            assert rows_read(admin, verify, (), "audit_logs") <= 100, "PL/pgSQL fetches rows in portions"
