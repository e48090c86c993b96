"""The dry run of a restore: look at the database, read the whole archive, and change nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ops.contents import amounts
from ops.loading import count_rows
from ops.progress import Progress
from ops.replacing import refuse_others
from ops.restore_target import describe, found_schemas, target_of

_TURNS = re.compile(r"robot_brain\.conversations(_\w+)?")


def check(direct_url: str, file: Path, shown: Progress, say: Callable[[str], None], *, replace: bool) -> str:
    """Return what the archive `file` has, after pg_restore has read all of it.

    Calls `say` with the line that a restore into this database begins with. Raises UsageError or MigrationError, with
    what to do, if the file is damaged or the database cannot take it.
    """
    with target_of(direct_url, file) as (connection, archive):
        found = found_schemas(connection)
        say(describe(connection, archive, found))
        if replace:
            refuse_others(connection)
    rows = count_rows(archive, shown)
    turns = sum(count for table, count in rows.items() if _TURNS.fullmatch(table))
    needs = "" if replace or not found else "\nA restore needs REPLACE=1, which drops what is there now."
    return f"{file} is whole: {amounts(rows['robot_brain.sessions'], turns)}. Nothing was changed.{needs}"
