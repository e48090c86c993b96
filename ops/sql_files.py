"""The files of sql/ in the order in which they are applied."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from ops.errors import MigrationError

SQL = Path(__file__).resolve().parent.parent / "sql"

_OUTSIDE = "-- outside a transaction"
_COMMENT = re.compile(r"--[^\n]*")
_FUNCTION = re.compile(r"\b(robot_brain(?:_api)?\.\w+)\s*\(")
# A semicolon ends a statement, unless it is in a string, a quoted name, a dollar-quoted body or a comment.
_STATEMENT = re.compile(r"""(?:'[^']*'|"[^"]*"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/|[^;])+""", re.DOTALL)


@dataclass(frozen=True)
class SqlFile:
    """A file of sql/. `name` is its path without the suffix, such as `functions/robot_brain_api/write_message`."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def function(self) -> str:
        """Return the qualified name of the function in this file, which must be one of functions/."""
        _, schema, name = self.name.split("/")
        return f"{schema}.{name}"

    @property
    def runs_outside(self) -> bool:
        """Return whether a line of the comment at the file's head is `-- outside a transaction`."""
        for line in self.text.splitlines():
            if line.strip() == _OUTSIDE:
                return True
            if line.strip() and not line.startswith("--"):
                break
        return False

    def statements(self) -> list[str]:
        """Return the statements one by one, because PostgreSQL runs all statements of a message in one transaction."""
        parts = (match.group().strip() for match in _STATEMENT.finditer(self.text))
        return [part for part in parts if _COMMENT.sub("", part).strip()]


@dataclass(frozen=True)
class SqlFiles:
    """The migrations in order of their numbers, and the functions, each after the functions that it calls."""

    migrations: list[SqlFile]
    functions: list[SqlFile]


def read_sql(sql: Path = SQL) -> SqlFiles:
    """Read the files of the folder `sql`. Raises MigrationError if functions call each other in a circle."""
    migrations = [_read(path, sql) for path in sorted(sql.glob("migrations/*.sql"))]
    return SqlFiles(migrations, _ordered([_read(path, sql) for path in sorted(sql.glob("functions/*/*.sql"))]))


def _read(path: Path, sql: Path) -> SqlFile:
    return SqlFile(path.relative_to(sql).with_suffix("").as_posix(), path.read_text(encoding="utf-8"))


def _ordered(functions: list[SqlFile]) -> list[SqlFile]:
    # When PostgreSQL creates a function written in SQL, the functions that it calls must exist.
    files = {file.function: file for file in functions}
    sorter = TopologicalSorter(
        {
            name: sorted(set(_FUNCTION.findall(_COMMENT.sub("", file.text))) & files.keys() - {name})
            for name, file in files.items()
        }
    )
    try:
        return [files[name] for name in sorter.static_order()]
    except CycleError as error:
        raise MigrationError(f"these functions call each other: {', '.join(error.args[1])}") from None
