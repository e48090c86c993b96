"""The language of the search: the text search configuration that makes the words of the turns, or off.

It is in `search_state`, and `sql/functions/robot_brain/search_language.sql` makes a constant of it.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg

from ops.errors import MigrationError, UsageError

FILE = "functions/robot_brain/search_language"
_DEFAULT = "pg_catalog.simple"
_OFF = "off"

# The owner of the words must be able to name it. Of two equal names, the one of pg_catalog counts.
_KNOWN = """
select pg_catalog.format('%I.%I', n.nspname, c.cfgname), n.nspname || '.' || c.cfgname, c.cfgname
from pg_catalog.pg_ts_config c
join pg_catalog.pg_namespace n on n.oid = c.cfgnamespace
where n.nspname not like 'pg\\_temp%'
  and coalesce(
    pg_catalog.has_schema_privilege(pg_catalog.to_regrole('robot_brain_search'), n.oid, 'usage'),
    n.nspname = 'pg_catalog'
  )
order by n.nspname <> 'pg_catalog', 1
"""
_HAS_STATE = "select pg_catalog.to_regclass('robot_brain.search_state') is not null"
_STATE = "select s.language from robot_brain.search_state s where s.tenant_id = '*'"
# The language of the function. search_state may lack its row.
_NOW = """
select pg_catalog.format('%I.%I', n.nspname, c.cfgname)
from pg_catalog.pg_ts_config c
join pg_catalog.pg_namespace n on n.oid = c.cfgnamespace
where c.oid = robot_brain.search_language()
"""
# No write is between two languages: each one locks sessions first. A search locks sessions first, too.
# A refresh queues turns and may take seconds. So it ends before requests have to wait.
# Without the lock on word_filling, fill_words could note a place for a month of the old language. The lock comes after
# sessions, as in forget_words.
_LOCKS = """
set local lock_timeout = '5s';
set local role robot_brain_stats;
lock table robot_brain.refresh_state in share update exclusive mode;
set local role robot_brain_owner;
lock table robot_brain.sessions in access exclusive mode;
set local role robot_brain_search;
lock table robot_brain.word_filling in share row exclusive mode;
"""
_FORGET = "truncate robot_brain.turn_words, robot_brain.search_queue"
# The words are made again, newest first. Without turns there is nothing to make. Later turns are queued, so they are
# found at once. A clock may have been ahead, so no turn that is stored now may be after filled_from.
_CHANGE = """
insert into robot_brain.search_state as s (language, filled_from)
select %s, case
  when exists (select from robot_brain.conversations) then greatest(
    pg_catalog.clock_timestamp(),
    (
      select max(o.last_active) + interval '1 microsecond'
      from robot_brain.sessions o
      -- by its index
      where o.active_on = (select max(n.active_on) from robot_brain.sessions n)
    )
  )
  else '-infinity'
end
on conflict (tenant_id) do update set
  language = excluded.language, filled_from = excluded.filled_from,
  place_tenant = null, place_session = null, place_seq = null
"""

logger = logging.getLogger("robot_brain.migrate")


def change_language(connection: psycopg.Connection[Any], choice: str) -> str | None:
    """Give the search the language that SEARCH= names, in this transaction. Returns it, or None if it had this one.

    The caller then applies FILE. Raises UsageError if there is no such configuration, and MigrationError if another
    connection uses a table for long.
    """
    line, language = _change(connection, choice)
    if not line:
        return None
    logger.info("%s", line)
    _begin_anew(connection, language)
    if language is not None:
        logger.info(
            "Each refresh makes words of turns, newest first. `make ops DO=refill-search` makes all of them at once."
        )
    return language or _OFF


def _begin_anew(connection: psycopg.Connection[Any], language: str | None) -> None:
    try:
        connection.execute(_LOCKS)
    except psycopg.errors.LockNotAvailable as error:
        raise MigrationError(
            "Another connection has used the sessions or the words for 5 s, probably a backup. Nothing was changed. "
            "Wait for its end, and run it again."
        ) from error
    connection.execute("set local row_security = on")
    connection.execute(_FORGET)
    connection.execute(_CHANGE, [language])
    connection.execute("reset role")


def drop_words(connection: psycopg.Connection[Any]) -> None:
    """Drop all words, so that they are made again in the present language.

    Raises MigrationError if another connection uses a table for long.
    """
    connection.execute("reset role")
    with connection.transaction():
        row = connection.execute(_NOW).fetchone()
        _begin_anew(connection, row[0] if row else None)


def planned_change(connection: psycopg.Connection[Any], choice: str) -> str:
    """Return what `change_language` would do, or an empty text. Raises UsageError if there is no such configuration."""
    line, _ = _change(connection, choice)
    return line


def _change(connection: psycopg.Connection[Any], choice: str) -> tuple[str, str | None]:
    """Return the line that names the change, empty if nothing changes, and the new language."""
    has_state = connection.execute(_HAS_STATE).fetchone() == (True,)
    now: str | None = _DEFAULT
    is_known = False
    if has_state:
        with connection.transaction():
            connection.execute("set local role robot_brain_search")
            connection.execute("set local row_security = on")
            row = connection.execute(_STATE).fetchone()
            connection.execute("reset role")
        is_known, now = row is not None, row[0] if row else None
    language = _language(connection, choice, now)
    # A row that is missing, as after a restore of some tables, is made again.
    if language == now and (is_known or not has_state):
        return "", language
    return f"switch the search from {now or _OFF} to {language or _OFF}", language


def _language(connection: psycopg.Connection[Any], choice: str, now: str | None) -> str | None:
    choice = choice.strip()
    if choice == _OFF:
        return None
    if choice == "on":
        return now or _DEFAULT
    known = connection.execute(_KNOWN).fetchall()
    for language, *names in known:
        if choice in (language, *names):
            return str(language)
    names = ", ".join(language.removeprefix("pg_catalog.") for language, *_ in known)
    raise UsageError(
        f"SEARCH= is off, on, or a text search configuration of the database, and not {choice!r}. It has: {names}"
    )
