"""A backup as pg_restore reads it: its list of entries, and the SQL of some of them."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ops.errors import MigrationError, UsageError
from ops.pg_tools import Tools, tool_environment

RECORDS = "robot_brain_migrations"
SCHEMAS = ("robot_brain", "robot_brain_api", RECORDS)

# "215; 1259 17386 TABLE DATA robot_brain sessions robot_brain_owner": the numbers, then the kind, the schema, the name
# and the owner. A kind has several words, and so may an owner have.
_ENTRY = re.compile(rf"\d+; \d+ \d+ (?P<kind>[A-Z ]+?) (?P<schema>{'|'.join(SCHEMAS)}) (?P<name>\S+) .*")
_OF_SCHEMA = re.compile(rf"\d+; \d+ \d+ (?P<kind>ACL|COMMENT) - SCHEMA (?P<schema>{'|'.join(SCHEMAS)}) .*")
_CREATED = re.compile(r"; Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_SERVER = re.compile(r"; +Dumped from database version: (\d+)")
# The rights of the schemas are those of the next migration, and other objects may be those of other programs.
_LEFT_OUT = ("DEFAULT ACL", "BLOB", "BLOBS", "BLOB METADATA", "PUBLICATION TABLE", "STATISTICS DATA")


@dataclass(frozen=True)
class Entry:
    """A line of the archive's list, such as a table, its rows, its rights or an index."""

    line: str
    kind: str
    schema: str
    name: str


@dataclass(frozen=True)
class Archive:
    """An archive's entries of the schemas of Robot Brain, and the major version of the server that it was made of.

    `created` is when it was made, in UTC. If plain pg_dump made it, it is the local time of that machine.
    """

    file: Path
    tools: Tools
    server_major: int
    created: str
    entries: list[Entry]

    @property
    def tables(self) -> list[str]:
        """The tables whose rows the archive holds."""
        return [f"{entry.schema}.{entry.name}" for entry in self.entries if entry.kind == "TABLE DATA"]

    @property
    def schemas(self) -> list[str]:
        """The schemas that have a table or a function in the archive."""
        return [schema for schema in SCHEMAS if any(entry.schema == schema for entry in self.entries)]

    @contextmanager
    def sql(self, entries: Sequence[Entry], *options: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Yield the SQL of these entries as a stream, and the archive's file, whose position moves meanwhile.

        Raises MigrationError at the end of the block if pg_restore could not read all of it.
        """
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as chosen, tempfile.TemporaryFile() as messages:
            chosen.write("".join(f"{entry.line}\n" for entry in entries))
            chosen.flush()
            # With row_security off, which is the default, the view could not be filled.
            command = ["--enable-row-security", "--no-tablespaces", f"--use-list={chosen.name}", "--file=-", *options]
            with self.file.open("rb") as archive:
                process = subprocess.Popen(
                    [self.tools.program("pg_restore"), *command],
                    env=tool_environment(),
                    stdin=archive,
                    stdout=subprocess.PIPE,
                    stderr=messages,
                    bufsize=1 << 20,
                    # Ctrl-C of a terminal reaches this command alone, which then ends pg_restore.
                    process_group=0,
                )
                try:
                    assert process.stdout is not None
                    yield process.stdout, archive
                    status = process.wait()
                finally:
                    if process.poll() is None:
                        process.kill()
                    process.communicate()
            if status:
                messages.seek(0)
                raise MigrationError(_damaged(self.file, messages.read().decode(errors="replace")))


def file_named(name: str, command: str) -> Path:
    """Return the file that FILE= names. Raises UsageError if it names no file."""
    if not name.strip():
        raise UsageError(f"Name the file of the backup: make ops DO={command} FILE=brain.dump")
    if name.strip() == "-":
        raise UsageError("FILE=- is no name of a file: a backup is never written to or read from a pipe.")
    return Path(name)


def read_archive(file: Path, tools: Tools) -> Archive:
    """Read the list of an archive. Raises UsageError or MigrationError if `file` is no backup of Robot Brain."""
    try:
        with file.open("rb") as archive:
            done = subprocess.run(
                [tools.program("pg_restore"), "--list"],
                stdin=archive,
                capture_output=True,
                env=tool_environment(),
                check=False,
            )
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    text = done.stdout.decode(errors="replace")
    messages = done.stderr.decode(errors="replace")
    if "unsupported version" in messages:
        raise MigrationError(
            f"{file} was made by a pg_dump that is newer than pg_restore {tools.major}, the newest one here. Install "
            "the newer postgresql-client, or name the folder of its programs with PGBIN=."
        )
    server = _SERVER.search(text)
    if done.returncode or server is None:
        raise MigrationError(_damaged(file, messages))
    entries = [entry for line in text.splitlines() if (entry := _entry(line)) is not None]
    held = {(entry.schema, entry.name) for entry in entries if entry.kind == "TABLE DATA"}
    # An older release kept the records of its migrations in a table of yoyo-migrations.
    if ("robot_brain", "sessions") not in held or not held & {(RECORDS, "files"), (RECORDS, "_yoyo_migration")}:
        raise MigrationError(f"{file} is an archive of PostgreSQL, but no backup of Robot Brain: it lacks its tables.")
    created = match[1] if (match := _CREATED.search(text)) else ""
    return Archive(file, tools, int(server[1]), f"{created} UTC" if created else "an unknown time", entries)


def _entry(line: str) -> Entry | None:
    if match := _OF_SCHEMA.fullmatch(line):
        return Entry(line, match["kind"], match["schema"], "")
    match = _ENTRY.fullmatch(line)
    if match is None or match["kind"] in _LEFT_OUT:
        return None
    return Entry(line, match["kind"], match["schema"], match["name"])


def _damaged(file: Path, messages: str) -> str:
    said = "\n".join(line for line in messages.splitlines() if line)
    return f"{file} is no backup, or it is damaged{f'. pg_restore says:{os.linesep}{said}' if said else ''}"
