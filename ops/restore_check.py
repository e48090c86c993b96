"""The dry run of a restore: look at the database, read the whole archive, and change nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ops.archive import read_archive
from ops.contents import amounts
from ops.direct import connect, refuse_pooler
from ops.loading import count_rows
from ops.only_one import refuse_shared
from ops.pg_tools import tools_for_restore
from ops.progress import Progress
from ops.replacing import refuse_others
from ops.restore_target import describe, found_schemas, refuse_target

_TURNS = re.compile(r"robot_brain\.conversations(_\w+)?")


def check(direct_url: str, file: Path, shown: Progress, say: Callable[[str], None], *, replace: bool) -> str:
    """Return what the archive `file` has, after pg_restore has read all of it.

    Calls `say` with the line that a restore into this database begins with. Raises UsageError or MigrationError, with
    what to do, if the file is damaged or the database cannot take it.
    """
    refuse_pooler(direct_url)
    archive = read_archive(file, tools_for_restore())
    with connect(direct_url, "robot-brain-restore") as connection:
        refuse_shared(connection, direct_url)
        refuse_target(connection, archive)
        found = found_schemas(connection)
        say(describe(connection, archive, found))
        if replace:
            refuse_others(connection)
    rows = count_rows(archive, shown)
    turns = sum(count for table, count in rows.items() if _TURNS.fullmatch(table))
    needs = "" if replace or not found else "\nA restore needs REPLACE=1, which drops what is there now."
    return f"{file} is whole: {amounts(rows['robot_brain.sessions'], turns)}. Nothing was changed.{needs}"
