"""The functions of a restored database: those of this checkout, whatever text the archive has."""

from __future__ import annotations

from typing import Any

import psycopg

from ops.errors import MigrationError
from ops.records import read_records
from ops.sql_files import SqlFiles


def apply_functions(connection: psycopg.Connection[Any], files: SqlFiles) -> None:
    """Make each function of the checkout again, in this transaction. No migration and no function may be pending.

    The records say that the functions are those of the checkout. Yet nothing protects the text in an archive.
    Raises MigrationError if a file cannot be applied, or if the archive has a second form of a function.
    """
    # With row_security off, PostgreSQL refuses functions whose statements it parses.
    connection.execute("set local row_security = on")
    for file in files.functions:
        try:
            connection.execute(f"{file.text}\n;reset role".encode())
        except psycopg.Error as error:
            raise MigrationError(f"sql/{file.name}.sql cannot be applied: {error}Nothing was changed.") from error
    read_records(connection, files).refuse_other_forms(files)
