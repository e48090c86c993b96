"""The audit trail's entries of an operator's commands. Their tenant is `*`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

_TENANT = "*"
_APPEND = "select robot_brain.append_audit(%s, %s, %s, 'UPDATE', null, %s, session_user, null)"


def append(connection: psycopg.Connection[Any], table: str, record: str, new: Mapping[str, object]) -> None:
    """Append an entry in the connection's transaction. Its role must be a member of robot_brain_owner.

    Does nothing if the schema is from before the audit trail.
    """
    row = connection.execute("select to_regproc('robot_brain.append_audit') is not null").fetchone()
    if row is None or not row[0]:
        return
    connection.execute("set local role robot_brain_owner")
    connection.execute(_APPEND, (_TENANT, table, record, Jsonb(new)))
    connection.execute("reset role")
