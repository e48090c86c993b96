"""Read and change the rows of the audit trail as a superuser, and chain and verify them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from psycopg.rows import dict_row

from local.settings import ROOT
from ops.audit_chains import Result, verify_chains
from ops.audit_heads import Heads
from tests.integration.user_rows import left_of
from tests.support.servers.databases import Database
from tests.support.waiting import outputs_of

CHAIN = "select robot_brain_api.chain_audit()"
# Makes an entry without a request, as the SQL functions do.
APPEND = "select robot_brain.append_audit(%s, 'sessions', %s, 'UPDATE', %s, %s, %s, %s)"
# No trigger and no policy stops these changes, and no constraint if a test drops it first.
_UNGUARDED = "set session_replication_role = replica"


def entries(database: Database, tenant: str = "local") -> list[dict[str, Any]]:
    """Return the entries of a tenant in the order in which they were made, without what a clock or a chain decides."""
    with database.admin() as admin:
        cursor = admin.cursor(row_factory=dict_row)
        return cursor.execute(
            "select table_name, record_id, action, old_data, new_data, user_id, request_id"
            " from robot_brain.audit_logs where tenant_id = %s order by id",
            [tenant],
        ).fetchall()


def left_in_trail(database: Database, record_id: str) -> list[str]:
    """Return the action of each entry about a user or a session. Fails if anything else that is stored has the id."""
    found = [(table, row.count(record_id)) for table, row in left_of(database, record_id)]
    about = [entry["action"] for entry in entries(database) if entry["record_id"] == record_id]
    assert found == [("robot_brain.audit_logs", 1)] * len(about)
    return about


def fill(database: Database, tenants: Sequence[str], each: int) -> None:
    """Append `each` entries to each of the tenants, in turn."""
    with database.admin() as admin:
        admin.execute(
            "select robot_brain.append_audit("
            "  t.tenant, 'sessions', 's' || n, 'UPDATE', null, jsonb_build_object('n', n), 'ann', 'r' || n)"
            " from generate_series(1, %s) n, unnest(%s::text[]) t (tenant)",
            [each, list(tenants)],
        )


def chained(database: Database) -> int:
    """Chain all entries as refreshes do, and return how many."""
    with database.app() as app:
        chained: int = 0
        while True:
            row = app.execute("select body::json from robot_brain_api.chain_audit()").fetchone()
            assert row is not None
            chained += row[0]["audit_chained"]
            if not row[0]["has_more"]:
                return chained


def tamper(database: Database, *statements: str) -> None:
    """Run statements as a superuser that no rule of the tables stops."""
    with database.admin() as admin:
        admin.execute(_UNGUARDED)
        for statement in statements:
            admin.execute(statement.encode())


def verified(database: Database, kept: Heads | None = None) -> dict[str, Result]:
    """Verify all tenants, and return the result of each."""
    return {result.tenant: result for result in verify_chains(database.direct_url, kept)}


def broken(database: Database, kept: Heads | None = None) -> dict[str, str]:
    """Verify all tenants, and return what is broken."""
    return {tenant: result.broken for tenant, result in verified(database, kept).items() if result.broken}


def heads(database: Database) -> Heads:
    """Return the head of each chain."""
    return {tenant: result.head for tenant, result in verified(database).items() if result.head.n}


def command(direct_url: str, *arguments: str) -> tuple[int, list[str], str]:
    """Run `python -m ops audit-verify`. Return its exit status, the lines of its stdout, and its stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", "audit-verify", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", os.defpath), "DIRECT_DATABASE_URL": direct_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, errors = outputs_of(process)
    return process.returncode, out.splitlines(), errors
