"""The plan of a statement in one of our PL/pgSQL functions, and the tables that a call of the function scanned.

We read the statement from the function's source in the database, so the plan is never that of a copy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

# The statement of a session's page. Then the variables of read_session that it uses, with their types, in this order.
PAGE = "into v_messages"
PAGE_TYPES: Mapping[str, str] = {
    "p_tenant_id": "text",
    "p_session_id": "text",
    "v_session.created_at": "timestamptz",
    "v_session.last_active": "timestamptz",
    "v_first": "bigint",
    "v_last": "bigint",
}


@dataclass(frozen=True)
class Plan:
    """A plan as EXPLAIN's JSON."""

    root: dict[str, Any]

    def scans(self) -> list[tuple[str, str]]:
        """Return (partition, kind of scan) of each table that was scanned. Pruned partitions are left out."""
        found = []
        nodes = [self.root["Plan"]]
        while nodes:
            node = nodes.pop()
            nodes.extend(node.get("Plans", []))
            if "Relation Name" in node and node.get("Actual Loops", 1) > 0:
                found.append((node["Relation Name"], node["Node Type"]))
        return sorted(found)


def own_statement(connection: psycopg.Connection, function: str, marker: str) -> str:
    """Return the statement whose text holds `marker`, of a function in robot_brain_api, without its INTO clause."""
    row = connection.execute(
        "select prosrc from pg_proc where pronamespace = 'robot_brain_api'::regnamespace and proname = %s", [function]
    ).fetchone()
    assert row is not None, f"there is no function {function}"
    statements = [re.sub(r"--[^\n]*", "", part).strip() for part in row[0].split(";")]
    (statement,) = [part for part in statements if marker in part]
    return str(statement.replace(marker, ""))


def explain(
    connection: psycopg.Connection, statement: str, types: Mapping[str, str], values: Mapping[str, object], mode: str
) -> Plan:
    """Execute `statement` in the connection's transaction and return its plan.

    `types` has the types of PL/pgSQL's variables, and `mode` is the plan_cache_mode. The transaction must see the
    tenant's rows.
    """
    for number, name in enumerate(types, start=1):
        statement = re.sub(rf"(?<![\w.]){re.escape(name)}(?![\w.])", f"${number}", statement)
    connection.execute(sql.SQL("set local plan_cache_mode = {}").format(mode))
    prepared = sql.SQL("prepare own_statement ({}) as {}").format(
        sql.SQL(", ").join(sql.SQL(name) for name in types.values()),
        sql.SQL(statement),
    )
    connection.execute(prepared)
    literals = sql.SQL(", ").join(sql.Literal(values[name]) for name in types)
    row = connection.execute(
        sql.SQL("explain (analyze, timing off, format json) execute own_statement ({})").format(literals)
    ).fetchone()
    connection.execute("deallocate own_statement")
    assert row is not None
    return Plan(row[0][0])


def explain_page(connection: psycopg.Connection, session_id: str, first: int, last: int, mode: str) -> Plan:
    """Return the plan of read_session's statement for the turns `first` to `last` of a session of the tenant local."""
    with connection.transaction():
        connection.execute("set local role robot_brain_owner")
        connection.execute("set local datestyle = 'iso'")  # the only format that psycopg reads
        connection.execute("select set_config('robot_brain.tenant_id', 'local', true)")
        row = connection.execute(
            "select created_at, last_active from robot_brain.sessions where tenant_id = 'local' and id = %s",
            [session_id],
        ).fetchone()
        assert row is not None, f"there is no session {session_id}"
        values = dict(zip(PAGE_TYPES, ("local", session_id, row[0], row[1], first, last), strict=True))
        return explain(connection, own_statement(connection, "read_session", PAGE), PAGE_TYPES, values, mode)


def touched(connection: psycopg.Connection, call: str, parameters: tuple[object, ...]) -> dict[str, tuple[int, int]]:
    """Call a function. Return (index scans, sequential scans) of each month of turns that the call scanned."""
    with connection.transaction():
        connection.execute(call, parameters)
        rows = connection.execute(
            "select relname, coalesce(idx_scan, 0), coalesce(seq_scan, 0) from pg_stat_xact_all_tables"
            " where relname like 'conversations%%' and coalesce(idx_scan, 0) + coalesce(seq_scan, 0) > 0",
            [],
        ).fetchall()
    return {name: (index_scans, sequential_scans) for name, index_scans, sequential_scans in rows}


def rows_read(connection: psycopg.Connection, call: str, parameters: tuple[object, ...], table: str) -> int:
    """Call a function. Return how many rows of one of our tables the call read, by any kind of scan."""
    query = (
        "select seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_xact_all_tables"
        " where schemaname = 'robot_brain' and relname = %s"
    )
    with connection.transaction():
        # The server's counters continue from one transaction to the next.
        before = connection.execute(query, [table]).fetchone()
        connection.execute(call, parameters)
        after = connection.execute(query, [table]).fetchone()
    assert before is not None, f"there is no table {table}"
    assert after is not None
    return int(after[0]) - int(before[0])


def indexes_scanned(connection: psycopg.Connection, call: str, parameters: tuple[object, ...]) -> dict[str, int]:
    """Call a function. Return how often the call scanned each of our indexes, without those it did not scan."""
    query = (
        "select c.relname, pg_stat_get_xact_numscans(c.oid) from pg_class c"
        " where c.relkind = 'i' and c.relnamespace = 'robot_brain'::regnamespace"
    )
    with connection.transaction():
        # The server's counters continue from one transaction to the next.
        before: dict[str, int] = dict(connection.execute(query, []).fetchall())
        connection.execute(call, parameters)
        after: dict[str, int] = dict(connection.execute(query, []).fetchall())
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}
