"""Write a backup of Robot Brain into a file: an archive of PostgreSQL's pg_dump, of one moment.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops backup --file brain.dump [--force]

The archive has the schemas of Robot Brain and nothing else of the database. Requests go on meanwhile.
The file appears under its name when it is whole. Until then it is beside it, under a name of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psycopg

from ops.archive import SCHEMAS, file_named, read_archive
from ops.direct import connect, refuse_pooler, url_from_environment
from ops.errors import MigrationError, UsageError
from ops.only_one import refuse_shared
from ops.pg_tools import Tools, connection_arguments, tools_for_dump
from ops.progress import Progress, progress, short, size
from ops.stopping import stoppable

# While a migration changes a table, the dump waits for its lock.
_LOCK_WAIT = "60s"
_DUMPS = re.compile(r'dumping contents of table "(.+)"')
_STOPPED = "The backup was stopped. Its unfinished file was removed, and no other file was changed."

# Row-level security leaves nothing out of the backup only for such a role.
_SEES_ALL = (
    "select current_user, r.rolsuper or r.rolbypassrls from pg_catalog.pg_roles r where r.rolname = current_user"
)
_TABLES = """
select
  n.nspname || '.' || c.relname,
  c.relkind,
  -- As the last vacuum saw it: to ask for the size itself would wait for a migration's lock.
  8192 * (greatest(c.relpages, 0)::bigint + coalesce(
    (select greatest(t.relpages, 0) from pg_catalog.pg_class t where t.oid = c.reltoastrelid), 0)),
  pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select')
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (%s) and c.relkind in ('r', 'p', 'S')
order by 1
"""


def backup(direct_url: str, file: Path, shown: Progress, *, force: bool = False) -> int:
    """Write the backup into `file`, and return its size in bytes. With `force` replace a file of this name.

    Raises UsageError or MigrationError, with what to do. Then no file was written or changed.
    """
    refuse_pooler(direct_url)
    _refuse_file(file, force=force)
    with connect(direct_url, "robot-brain-backup") as connection:
        refuse_shared(connection, direct_url)
        tables = _readable_tables(connection)
        tools = tools_for_dump(connection.info.server_version // 10_000, tls=connection.pgconn.ssl_in_use)
    with _part_of(file) as part:
        _dump(direct_url, tools, part, tables, shown)
        _refuse_unreadable(part, tools, tables)
        _give_name(part, file, force=force)
    return file.stat().st_size


def _refuse_file(file: Path, *, force: bool) -> None:
    if file.is_dir():
        raise UsageError(f"{file} is a folder. FILE= is the name of the backup.")
    if not file.parent.is_dir():
        raise UsageError(f"The folder {file.parent} does not exist. Make it, or choose another name with FILE=.")
    if file.exists() and not file.is_file():
        raise UsageError(f"{file} is no file that a backup can replace. Choose another name with FILE=.")
    if file.exists() and not force:
        raise UsageError(f"{file} exists and was not changed. Choose another name, or replace it with FORCE=1.")


def _readable_tables(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return the tables with rows and their sizes. Raises MigrationError if the role would leave something out."""
    role, sees_all = connection.execute(_SEES_ALL).fetchone() or ("", False)
    if not sees_all:
        raise MigrationError(
            f"{role} is no superuser and has no BYPASSRLS, so row-level security would keep rows out of the backup. "
            "Nothing was written. Use the role of Neon's console, or a superuser. "
            f"Or let a superuser run: alter role {role} bypassrls"
        )
    rows = connection.execute(_TABLES, [list(SCHEMAS)]).fetchall()
    if not rows:
        raise MigrationError(
            f"The database {connection.info.dbname} has no schema of Robot Brain. Nothing was written. Check the "
            "database in DIRECT_DATABASE_URL."
        )
    if unreadable := [name for name, *_, may_read in rows if not may_read]:
        raise MigrationError(
            f"{role} may not read {', '.join(unreadable[:3])}{' and others' if unreadable[3:] else ''}. Nothing was "
            f"written. Use the role that ran `make migrate`, or let a superuser run: grant pg_read_all_data to {role}"
        )
    return {name: count for name, kind, count, _ in rows if kind == "r"}


@contextmanager
def _part_of(file: Path) -> Iterator[Path]:
    """Make a file beside `file` that only its owner may read. It is removed at the end, unless it was renamed."""
    try:
        # Its name cannot be guessed, and its mode is 0600.
        descriptor, name = tempfile.mkstemp(prefix=f"{file.name}.part-", dir=file.parent)
    except OSError as error:
        raise MigrationError(f"{file.parent} cannot be written: {error.strerror}. Nothing was written.") from error
    os.close(descriptor)
    try:
        yield Path(name)
    except OSError as error:
        raise MigrationError(f"{file} cannot be written: {error.strerror}. Nothing was kept.") from error
    finally:
        Path(name).unlink(missing_ok=True)


def _dump(direct_url: str, tools: Tools, part: Path, tables: Mapping[str, int], shown: Progress) -> None:
    conninfo, environment = connection_arguments(direct_url, "robot-brain-backup")
    options = [
        "--no-publications",
        "--no-subscriptions",
        "--no-password",
        "--verbose",
        "--encoding=UTF8",
        f"--lock-wait-timeout={_LOCK_WAIT}",
    ]
    schemas = [f"--schema={schema}" for schema in SCHEMAS]
    process = subprocess.Popen(
        [tools.program("pg_dump"), "--format=custom", *schemas, *options, f"--file={part}", f"--dbname={conninfo}"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # Ctrl-C of a terminal reaches this command alone, which then ends pg_dump.
        process_group=0,
    )
    try:
        assert process.stderr is not None
        errors = _follow(process.stderr, part, tables, shown)
        status = process.wait()
    finally:
        if process.poll() is None:
            # It cancels its statement in the server.
            process.terminate()
        process.communicate()
    if status < 0:
        errors = errors or f"pg_dump was ended by signal {-status}"
    if status:
        raise MigrationError(f"pg_dump failed, and its unfinished file was removed. It says:\n{errors}")


def _follow(messages: IO[bytes], part: Path, tables: Mapping[str, int], shown: Progress) -> str:
    """Show the progress until pg_dump closes `messages`, and return the messages of its error."""
    whole = sum(tables.values())
    begun: list[str] = []
    errors: list[str] = []
    rest = b""
    while True:
        if select.select([messages], [], [], 0.2)[0]:
            data = os.read(messages.fileno(), 65_536)
            if not data:
                return "\n".join(errors)
            *lines, rest = (rest + data).split(b"\n")
            for line in (each.decode(errors="replace") for each in lines):
                if match := _DUMPS.search(line):
                    begun.append(match[1])
                elif errors or "error:" in line or "FATAL" in line:
                    errors.append(line)
        read = sum(tables.get(name, 0) for name in begun[:-1])
        shown.show(
            f"Backup: {max(0, len(begun) - 1)} of {len(tables)} tables, {size(read)} of about {size(whole)} read, "
            f"{size(part.stat().st_size)} written{short(begun[-1]) if begun else ''}"
        )


def _refuse_unreadable(part: Path, tools: Tools, tables: Mapping[str, int]) -> None:
    """Read the archive's list, and raise MigrationError if it lacks a table of the database."""
    missing = sorted(set(tables) - set(read_archive(part, tools).tables))
    if missing:
        raise MigrationError(
            f"The backup lacks {', '.join(missing[:3])}{' and others' if missing[3:] else ''}, and was removed. If a "
            "migration ran meanwhile, run it again after its end."
        )


def _give_name(part: Path, file: Path, *, force: bool) -> None:
    if force:
        os.replace(part, file)
    else:
        try:
            # Unlike a rename, a link never replaces a file that appeared meanwhile.
            os.link(part, file)
        except FileExistsError:
            raise UsageError(f"{file} was made by another program meanwhile, and was not changed.") from None
        except OSError:
            # This file system has no links.
            os.rename(part, file)
    with suppress(OSError):
        # Some file systems cannot flush a folder.
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def main(arguments: Sequence[str]) -> int:
    """Back DIRECT_DATABASE_URL up and print what was written. Raises OperatorError if that fails."""
    parser = argparse.ArgumentParser(prog="python -m ops backup", description="Back Robot Brain up into a file.")
    parser.add_argument("--file", default="", help="the name of the backup")
    parser.add_argument("--force", action="store_true", help="replace a file of this name")
    options = parser.parse_args(arguments)
    url = url_from_environment()
    file = file_named(options.file, "backup")
    with stoppable(_STOPPED), progress() as shown:
        written = backup(url, file, shown, force=options.force)
    print(f"Wrote {file}: {size(written)}. It holds every text, so keep it as safe as the database.")
    return 0
