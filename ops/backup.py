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
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from ops.archive import SCHEMAS, file_named, read_archive
from ops.backup_source import LOCK_WAIT, one_moment, readable_tables
from ops.contents import Turns, place_of
from ops.direct import connect, refuse_pooler, url_from_environment
from ops.errors import MigrationError, UsageError
from ops.only_one import refuse_shared_pool
from ops.pg_tools import Tools, connection_arguments, tools_for_dump
from ops.progress import Progress, progress, short, size
from ops.stopping import stoppable

_DUMPS = re.compile(r'dumping contents of table "(.+)"')
_STOPPED = "The backup was stopped. Its unfinished file was removed, and no other file was changed."


class Written(NamedTuple):
    """The size of a backup in bytes, the database on its server, and the sessions and turns."""

    size: int
    place: str
    turns: Turns


def backup(direct_url: str, file: Path, shown: Progress, *, force: bool = False) -> Written:
    """Write the backup into `file`, and return what was written. With `force` replace a file of this name.

    Raises UsageError or MigrationError, with what to do. Then no file was written or changed.
    """
    refuse_pooler(direct_url)
    _refuse_file(file, force=force)
    with connect(direct_url, "robot-brain-backup") as connection:
        refuse_shared_pool(connection, direct_url)
        place, tables = place_of(connection), readable_tables(connection)
        tools = tools_for_dump(connection.info.server_version // 10_000, tls=connection.pgconn.ssl_in_use)
        with _part_of(file) as part:
            shown.show("Backup: counting the turns")
            with one_moment(connection) as (snapshot, turns):
                _dump(direct_url, tools, part, tables, snapshot, shown)
            _refuse_unreadable(part, file, tools, tables)
            _give_name(part, file, force=force)
    return Written(file.stat().st_size, place, turns)


def _refuse_file(file: Path, *, force: bool) -> None:
    if file.is_dir():
        raise UsageError(f"{file} is a folder. FILE= is the name of the backup.")
    if not file.parent.is_dir():
        raise UsageError(f"The folder {file.parent} does not exist. Make it, or choose another name with FILE=.")
    if file.exists() and not file.is_file():
        raise UsageError(f"{file} is no file that a backup can replace. Choose another name with FILE=.")
    if file.exists() and not force:
        raise UsageError(f"{file} exists and was not changed. Choose another name, or replace it with FORCE=1.")


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


def _dump(direct_url: str, tools: Tools, part: Path, tables: Mapping[str, int], snapshot: str, shown: Progress) -> None:
    conninfo, environment = connection_arguments(direct_url, "robot-brain-backup")
    options = [
        "--no-publications",
        "--no-subscriptions",
        "--no-password",
        "--verbose",
        "--encoding=UTF8",
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={LOCK_WAIT}",
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
    shown.show(f"Backup: 0 of {len(tables)} tables, 0 bytes of about {size(whole)} read", at_once=True)
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


def _refuse_unreadable(part: Path, file: Path, tools: Tools, tables: Mapping[str, int]) -> None:
    """Read the archive's list, and raise MigrationError if it lacks a table of the database."""
    try:
        archive = read_archive(part, tools)
    except MigrationError as error:
        # The unfinished file, which it names, is removed.
        raise MigrationError(f"{str(error).replace(str(part), str(file))}\nIt was removed.") from error
    missing = sorted(set(tables) - set(archive.tables))
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
    print(
        f"Wrote {file}: {size(written.size)}, {written.turns}. It holds every text, so keep it as safe as the database."
    )
    if not written.turns.sessions:
        print(f"WARNING: {written.place} has no session. Check the database in DIRECT_DATABASE_URL.", file=sys.stderr)
    if written.turns.lack:
        print(
            f"WARNING: {written.turns.lack} A restore of this backup needs FORCE=1. Probably somebody changed rows by "
            "hand.",
            file=sys.stderr,
        )
    return 0
