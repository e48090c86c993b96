"""The other databases of the cluster whose functions have the same logins, because roles belong to the cluster.

They are found without a connection to them. A migration gives our roles rights to its database, which every database
of the cluster shows. And a connection of a login shows the database that its functions use.
"""

from __future__ import annotations

from typing import Any

import psycopg

from ops.errors import MigrationError

PAGE = "docs/operate.md#two-databases-of-one-cluster"

_READ = """
select d.datname
from pg_catalog.pg_database d
where d.datname <> pg_catalog.current_database()
  and d.datallowconn
  and exists (
    select
    from pg_catalog.aclexplode(d.datacl) r
    where (r.grantee, r.privilege_type) in (
      (pg_catalog.to_regrole('robot_brain_app'), 'CONNECT'),
      (pg_catalog.to_regrole('robot_brain_stats'), 'TEMPORARY')
    )
  )
order by d.datname
"""
_OPEN = """
select a.datname, count(*),
  extract(epoch from clock_timestamp() - max(
    case when a.state = 'idle' then a.state_change else clock_timestamp() end)),
  a.datname = pg_catalog.current_database()
from pg_catalog.pg_stat_activity a
where a.usename = %s and a.backend_type = 'client backend'
group by a.datname
order by a.datname
"""


def sharing_databases(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the names of the other databases that have the rights of Robot Brain and accept connections."""
    return [name for (name,) in connection.execute(_READ.encode()).fetchall()]


def refuse_shared_login(connection: psycopg.Connection[Any], role: str) -> None:
    """Raise MigrationError, with what to do, if the functions of another database may use the login `role`."""
    rows = connection.execute(_OPEN.encode(), [role]).fetchall()
    others = sorted({*sharing_databases(connection), *(name for name, _, _, is_this in rows if not is_this)})
    if not others:
        return
    used = "; ".join(f"{name} {count}, last call {seconds:.0f} s ago" for name, count, seconds, _ in rows)
    raise MigrationError(
        f"{role} is also a login for other databases of this cluster: {', '.join(others)}. Nothing was changed.\n"
        f"Its open connections: {used or 'none'}.\n"
        "If the functions of one of these databases still have its URL, they could not connect any more. Give them the "
        "URL of the other login first, with the name of their own database.\n"
        f"If no function has the URL of {role} any more, add FORCE=1, which does not look for calls. See {PAGE}."
    )
