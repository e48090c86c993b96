"""Open the policies of all tables, so that only the conditions of the SQL functions separate the tenants."""

import psycopg

_OPEN_POLICIES = """
select format('alter policy tenant on %I.%I using (true)', schemaname, tablename)
from pg_policies
where policyname = 'tenant'
"""


def open_policies(admin: psycopg.Connection) -> None:
    """Let every row pass row-level security."""
    for (statement,) in admin.execute(_OPEN_POLICIES).fetchall():
        admin.execute(statement.encode())
