"""Run the SQL of an archive on a connection: the objects, then their rows, their rights, and what needs the rows."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import psycopg

from ops.archive import RECORDS, Archive, Entry
from ops.errors import MigrationError
from ops.progress import Progress, short, size

# Before the first object, and pg_restore's guards for psql.
_SETTING = re.compile(rb"SET (\w+) = .*;\n?")
_GUARD = (b"\\restrict ", b"\\unrestrict ")
_COPY = re.compile(rb"COPY (.+?) (?:\(.*\) )?FROM stdin;\n")
_END_OF_ROWS = b"\\.\n"
_PIECE = 1 << 18
# pg_restore writes this head above each object.
_HEAD = re.compile(rb"^--\n-- Name: (.+); Type: (.+); Schema: .*\n--\n", re.MULTILINE)


def load(
    connection: psycopg.Connection[Any], archive: Archive, shown: Progress, say: Callable[[str], None]
) -> Iterator[str]:
    """Run the archive in the connection's transaction. Yields `objects`, `rows`, `rights` and `rest`, each when done.

    At `rest` the caller may make functions again. Their rights are then granted again.
    The schemas must exist. The records of the migrations belong to the connecting role then, because the role that
    owned them may be unknown here. Raises psycopg.Error, or MigrationError if the archive is damaged.
    """
    ours = [entry for entry in archive.entries if entry.schema != RECORDS and entry.kind not in ("SCHEMA", "ACL")]
    records = [entry for entry in archive.entries if entry.schema == RECORDS and entry.kind not in ("SCHEMA", "ACL")]
    rights = [entry for entry in archive.entries if entry.schema != RECORDS and entry.kind == "ACL"]
    unowned = ("--no-owner", "--no-acl")

    shown.show("Restore: making the tables and functions")
    _run(connection, _text(archive, ours, "--section=pre-data"))
    _run(connection, _text(archive, records, "--section=pre-data", *unowned))
    yield "objects"
    _load_rows(connection, archive, [*ours, *records], shown)
    yield "rows"
    _grant(connection, _text(archive, rights), say)
    yield "rights"
    _run_each(connection, _text(archive, records, "--section=post-data", *unowned), shown)
    _run_each(connection, _text(archive, ours, "--section=post-data"), shown)
    yield "rest"
    functions = [entry for entry in rights if entry.name in ("FUNCTION", "PROCEDURE", "AGGREGATE")]
    # It has said already which roles are unknown.
    _grant(connection, _text(archive, functions), lambda _: None)


def count_rows(archive: Archive, shown: Progress) -> dict[str, int]:
    """Read all of the archive, and return the number of rows of each table. Raises MigrationError if it is damaged."""
    for section in ("pre-data", "post-data"):
        _text(archive, archive.entries, f"--section={section}")
    whole, counts = archive.file.stat().st_size, dict.fromkeys(archive.tables, 0)
    with archive.sql(archive.entries, "--section=data") as (stream, position):
        for line in stream:
            if (match := _COPY.fullmatch(line)) is None:
                continue
            table = match[1].decode(errors="replace")
            for rows in _rows(stream, archive):
                counts[table] = counts.get(table, 0) + rows.count(b"\n")
                read = os.lseek(position.fileno(), 0, os.SEEK_CUR)
                shown.show(f"Restore: {size(read)} of {size(whole)} checked{short(table)}")
    return counts


def _text(archive: Archive, entries: Sequence[Entry], *options: str) -> bytes:
    with archive.sql(entries, *options) as (stream, _):
        return stream.read()


def _known(connection: psycopg.Connection[Any], lines: Sequence[bytes]) -> list[bytes]:
    """Return the lines without guards of psql, and without settings that this server is too old to know."""
    kept = []
    for line in lines:
        setting = _SETTING.fullmatch(line)
        if setting is not None:
            row = connection.execute(
                "select pg_catalog.current_setting(%s, true) is not null", [setting[1].decode()]
            ).fetchone()
            if row != (True,):
                continue
        if not line.startswith(_GUARD):
            kept.append(line)
    return kept


def _run(connection: psycopg.Connection[Any], text: bytes) -> None:
    """Run the SQL of one section, whose head has settings."""
    if not text:
        return
    begin = match.start() if (match := _HEAD.search(text)) else len(text)
    head = _known(connection, text[:begin].splitlines(keepends=True))
    # The other guard is the last line.
    body = b"\n".join(line for line in text[begin:].rsplit(b"\n", 3) if not line.startswith(_GUARD))
    connection.execute(b"".join(head) + body)


def _run_each(connection: psycopg.Connection[Any], text: bytes, shown: Progress) -> None:
    """Run a section whose objects take time, one by one. The text of none of them has lines of its own."""
    heads = list(_HEAD.finditer(text))
    if not heads:
        return
    _run(connection, text[: heads[0].start()])
    ends = [*(head.start() for head in heads[1:]), len(text)]
    for number, (head, end) in enumerate(zip(heads, ends, strict=True), start=1):
        name = head[1].decode(errors="replace")
        shown.show(f"Restore: indexes, constraints and policies, {number} of {len(heads)}{short(name)}")
        _run(connection, text[head.start() : end])


def _load_rows(connection: psycopg.Connection[Any], archive: Archive, entries: list[Entry], shown: Progress) -> None:
    whole, count, done = archive.file.stat().st_size, len(archive.tables), 0
    with archive.sql(entries, "--section=data") as (stream, position), connection.cursor() as cursor:
        statement: list[bytes] = []
        for line in stream:
            match = _COPY.fullmatch(line)
            if match is None:
                statement.append(line)
                continue
            cursor.execute(b"".join(_known(connection, statement)))
            statement = []
            with cursor.copy(line) as copy:
                for rows in _rows(stream, archive):
                    copy.write(rows)
                    # pg_restore reads the same open file, so its position is ours too.
                    read = os.lseek(position.fileno(), 0, os.SEEK_CUR)
                    shown.show(
                        f"Restore: {done} of {count} tables, {size(read)} of {size(whole)} read"
                        f"{short(match[1].decode(errors='replace'))}"
                    )
            done += 1
        cursor.execute(b"".join(_known(connection, statement)))


def _rows(stream: IO[bytes], archive: Archive) -> Iterator[bytes]:
    """Yield the rows of one table in pieces. Raises MigrationError if the archive ends before they do."""
    piece: list[bytes] = []
    length = 0
    for line in stream:
        if line == _END_OF_ROWS:
            yield b"".join(piece)
            return
        piece.append(line)
        length += len(line)
        if length >= _PIECE:
            yield b"".join(piece)
            piece, length = [], 0
    raise MigrationError(f"{archive.file} is damaged: it ends within a table. Nothing was changed.")


def _grant(connection: psycopg.Connection[Any], text: bytes, say: Callable[[str], None]) -> None:
    """Grant and revoke. A role of the other cluster that this one lacks gets nothing."""
    for line in text.splitlines():
        if not line.startswith((b"GRANT ", b"REVOKE ")):
            continue
        try:
            with connection.transaction():
                connection.execute(line)
        except psycopg.errors.UndefinedObject as error:
            say(f"Left out, because the {error.diag.message_primary}: {line.decode(errors='replace')}")
