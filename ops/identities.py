"""The next ids of tables whose rows another database made. Logical replication copies rows, and no next id.

The audit trail would then give ids a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

# The owner of such a table must see all its rows by a policy.
_COLUMNS = """
select c.relname, a.attname, pg_catalog.pg_get_userbyid(c.relowner),
  pg_catalog.pg_get_serial_sequence(c.oid::regclass::text, a.attname)
from pg_catalog.pg_class c
join pg_catalog.pg_attribute a on a.attrelid = c.oid
where c.relnamespace = 'robot_brain'::regnamespace and a.attidentity <> '' and not a.attisdropped
order by 1, 2
"""


@dataclass(frozen=True)
class Behind:
    """A table whose next id is not above its last stored id."""

    table: str
    last: int

    def __str__(self) -> str:
        return f"{self.table}: the next id was not above the last stored one, {self.last}"


def advance_identities(connection: psycopg.Connection[Any], dry_run: bool = False) -> list[Behind]:
    """Set each next id that is behind its table's rows, and return those tables; with `dry_run` set nothing.

    Reads each such table once. The connection must be in autocommit mode, and its role a member of the tables' owners.
    """
    found = []
    for table, column, owner, sequence in connection.execute(_COLUMNS).fetchall():
        with connection.transaction():
            connection.execute(sql.SQL("set local role {}").format(sql.Identifier(owner)))
            connection.execute("set local row_security = on")
            place, name = sql.Identifier("robot_brain", table), sql.Identifier(*sequence.split("."))
            last = _value(connection, sql.SQL("select max({}) from {}").format(sql.Identifier(column), place))
            given = _value(
                connection, sql.SQL("select case when is_called then last_value else 0 end from {}").format(name)
            )
            if last is not None and last > given:
                found.append(Behind(table, last))
                if not dry_run:
                    connection.execute(
                        "select setval(%(s)s, greatest(%(n)s, nextval(%(s)s)))", {"s": sequence, "n": last}
                    )
    return found


def _value(connection: psycopg.Connection[Any], question: sql.Composed) -> Any:
    row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]
