"""Compare the words of the search with the turns, and make those that are missing.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops refill-search [--dry-run] [--replace]

Words are missing after an upgrade, a switch of the language, or a copy of some tables. Requests and refreshes go on
meanwhile. Each step is a transaction of its own, so a command that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

import psycopg

from ops.direct import connect, refuse_pooler, url_from_environment
from ops.errors import MigrationError
from ops.only_one import refuse_shared_pool
from ops.progress import Progress, progress
from ops.search_language import drop_words
from ops.stopping import stoppable

_STOPPED = "The command was stopped. The words that were made stay, and each refresh makes more. Run it again to go on."
_SETTINGS = """
select pg_catalog.set_config('role', 'robot_brain_search', false), pg_catalog.set_config('row_security', 'on', false),
  pg_catalog.set_config('statement_timeout', '0', false), pg_catalog.set_config('lock_timeout', '60s', false),
  pg_catalog.set_config('default_transaction_isolation', 'read committed', false),
  pg_catalog.set_config('datestyle', 'ISO, YMD', false), pg_catalog.set_config('timezone', 'UTC', false)
"""
_COMPARE = """
select turns, missing, newest_missing, waiting, without_turn, coalesce(differing, 0)
from robot_brain.refill_compare(%s, %s)
"""


@dataclass
class Compared:
    """How many turns there are, how many lack words, and how many words have no turn or are of another text.

    Nothing will make the words of `missing` turns, unless `newest` or a later time is the new `filled_from`. Those of
    `waiting` turns are made by the next refreshes.
    """

    turns: int = 0
    missing: int = 0
    newest: datetime | None = None
    waiting: int = 0
    without_turn: int = 0
    differing: int = 0

    def __str__(self) -> str:
        return (
            f"Turns: {self.turns}. Without words: {self.missing + self.waiting}, of which the next refreshes make "
            f"{self.waiting}. Words without a turn: {self.without_turn}."
        )


def compare(
    connection: psycopg.Connection[Any], shown: Progress, *, texts: bool
) -> Iterator[tuple[datetime, Compared]]:
    """Yield each month, newest first, with what it lacks. With `texts` compare the words themselves, too."""
    months = [month for (month,) in connection.execute("select * from robot_brain.refill_months()").fetchall()]
    for number, month in enumerate(months, 1):
        shown.show(f"Comparing {month:%Y-%m}, month {number} of {len(months)}", at_once=True)
        row = connection.execute(_COMPARE, [month, texts]).fetchone()
        assert row is not None
        yield month, Compared(*row)


def total(months: Sequence[tuple[datetime, Compared]]) -> Compared:
    """Return the sums over all months, and the newest turn that is missing."""
    summed = Compared()
    for _, one in months:
        turns, missing, newest, waiting, without_turn, differing = astuple(one)
        summed.turns += turns
        summed.missing += missing
        summed.newest = max(filter(None, (summed.newest, newest)), default=None)
        summed.waiting += waiting
        summed.without_turn += without_turn
        summed.differing += differing
    return summed


def refill(connection: psycopg.Connection[Any], shown: Progress, *, replace: bool) -> str:
    """Make all words that are missing, and return what was done. With `replace` drop all words first."""
    if replace:
        drop_words(connection)
        connection.execute(_SETTINGS)
    months = list(compare(connection, shown, texts=False))
    found = total(months)
    for month, one in months:
        if one.without_turn:
            connection.execute("select robot_brain.refill_forget(%s)", [month])
    if found.newest is not None:
        connection.execute("select robot_brain.refill_begin(%s + interval '1 microsecond')", [found.newest])
    made, has_more = 0, True
    while has_more:
        row = connection.execute("select robot_brain.fill_words(true)").fetchone()
        assert row is not None
        made, has_more = made + row[0]["words_made"], row[0]["has_more"]
        shown.show(f"Words of {made} turns made, of about {max(made, found.missing + found.waiting)}")
    forgotten = f" Words without a turn that were deleted: {found.without_turn}." if found.without_turn else ""
    return f"Words were made of {made} turns. All {found.turns} turns have words.{forgotten}"


@contextmanager
def _connected(direct_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect as the owner of the words. Raises MigrationError, with what to do, in place of psycopg's errors."""
    refuse_pooler(direct_url)
    with connect(direct_url, "robot-brain-refill") as connection:
        refuse_shared_pool(connection, direct_url)
        try:
            connection.execute(_SETTINGS)
            row = connection.execute("select robot_brain.search_language() is null").fetchone()
            if row == (True,):
                raise MigrationError("The search is off, so turns need no words. Run `make migrate SEARCH=on` first.")
            yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(f"{error.diag.message_primary}: run it as the role that ran `make migrate`") from error
        except (
            psycopg.errors.InvalidParameterValue,  # the role does not exist
            psycopg.errors.InvalidSchemaName,
            psycopg.errors.UndefinedFunction,
        ) as error:
            raise MigrationError(f"{error.diag.message_primary}: run `make migrate` first") from error
        except psycopg.Error as error:
            raise MigrationError(f"{error}\nWords that were made stay. Run it again to go on.") from error


def main(arguments: Sequence[str]) -> int:
    """Make the words of DIRECT_DATABASE_URL that are missing. Return 1 if a dry run finds something to do.

    Raises OperatorError if that fails.
    """
    parser = argparse.ArgumentParser(prog="python -m ops refill-search", description="Make the words that are missing.")
    parser.add_argument("--dry-run", action="store_true", help="only compare the words with the turns")
    parser.add_argument("--replace", action="store_true", help="drop all words first")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with stoppable(_STOPPED), progress() as shown, _connected(url_from_environment()) as connection:
        if not options.dry_run:
            text = refill(connection, shown, replace=options.replace)
            shown.clear()
            print(text)
            return 0
        found = total(list(compare(connection, shown, texts=True)))
    print(f"{found} Words of another text: {found.differing}. Nothing was changed.")
    if found.differing:
        print("`make ops DO=refill-search REPLACE=1` drops all words and makes them again.")
    return int(bool(found.missing or found.without_turn or found.differing))
