"""The rights in the database: owners, row-level security, policies and grants, as the statements that make them.

sql/rights.sql has the statements of a migrated database, and `read_rights` returns those of a database. Migrations
make the rights once. Later a restore with other options, another role or a mistake may change them.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from ops.errors import MigrationError
from ops.owners import wrong_owners
from ops.roles import ROLES, correct_database_rights, wrong_database_rights
from ops.sql_files import SQL

RIGHTS = SQL / "rights.sql"
READ_RIGHTS = Path(__file__).with_suffix(".sql")
NO_RIGHT = "only the owner may do this"

# The months of a partitioned table have the same rights. sql/rights.sql has one name for all of them.
_MONTH = re.compile(r"_\d{4}_\d{2}\b")
_ANY_MONTH = "_yyyy_mm"
_GRANT = re.compile(r"grant (?P<right>.+) on (?P<object>.+) to (?P<role>\S+)( with grant option)?")
_REVOKE = re.compile(r"revoke (?P<right>.+) on (?P<object>.+) from (?P<role>\S+)")
_POLICY = re.compile(
    r"create policy (?P<policy>\S+) on (?P<object>\S+) as \w+ for \w+ to (?P<role>.+?) (using|with) .*"
)
_ALTER = re.compile(r"alter (?P<object>.+) (owner to|enable row|force row|revoke) .+")
# An owner of objects needs this right at the moment when it gets them.
_ALLOW = "grant create on schema robot_brain to robot_brain_stats, robot_brain_audit"
_FORBID = "revoke create on schema robot_brain from robot_brain_stats, robot_brain_audit"
_ORDER = ("alter schema", "alter table", "alter materialized", "alter", "drop", "create", "revoke", "grant")

logger = logging.getLogger("robot_brain.migrate")


@dataclass
class Corrections:
    """The statements that corrected the database, and those that failed, each with the reason."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def raise_failed(self) -> None:
        """Raise MigrationError if a statement failed. It has the statements, which a superuser can run."""
        if self.failed:
            lines = "".join(f"\n{statement};  -- {reason}" for statement, reason in self.failed.items())
            raise MigrationError(
                "Some rights in the database are wrong, and this role may not correct them. Run these statements as a "
                f"superuser, and then `make migrate` again:{lines}"
            )


def correct_rights(connection: psycopg.Connection[Any], corrections: Corrections) -> None:
    """Give this database the rights of sql/rights.sql, and those to the database itself, in this transaction.

    The roles that own objects lose attributes that they do not need. A right that is correct is not touched. Our roles
    and PUBLIC lose all other rights to our objects. Those of other roles stay.
    """
    connection.execute("set local lock_timeout = '5s'")
    done = _run_each(connection, wrong_owners(connection), corrections)
    done += correct_database_rights(connection)
    # Change the owners first, because an owner has rights that no grant says. A revoke on a table takes the rights on
    # its columns too. So compare again after each.
    owners = [statement for statement in wrong_rights(connection) if " owner to " in statement]
    done += _run(connection, owners, corrections)
    for _ in range(2):
        done += _run(connection, wrong_rights(connection), corrections)
    wrong = [*wrong_owners(connection), *wrong_database_rights(connection), *wrong_rights(connection)]
    # PostgreSQL only warns if the role may not grant a right.
    corrections.failed = {statement: corrections.failed.get(statement, NO_RIGHT) for statement in wrong}
    for statement in dict.fromkeys(done):
        if statement not in wrong:
            logger.info("corrected: %s", statement)
            corrections.done.append(statement)


def _run(connection: psycopg.Connection[Any], statements: list[str], corrections: Corrections) -> list[str]:
    """Run the statements, note in `corrections` which of them fail, and return the others."""
    schemas = [statement for statement in statements if statement.startswith("alter schema ")]
    steps = [*schemas, _ALLOW, *statements[len(schemas) :], _FORBID] if statements else []
    done = _run_each(connection, steps, corrections)
    return [statement for statement in done if statement not in (_ALLOW, _FORBID)]


def _run_each(connection: psycopg.Connection[Any], statements: list[str], corrections: Corrections) -> list[str]:
    done = []
    for statement in statements:
        try:
            with connection.transaction():
                connection.execute(statement.encode())
        except psycopg.Error as error:
            corrections.failed[statement] = error.diag.message_primary or str(error)
        else:
            done.append(statement)
    return done


def fill_view(connection: psycopg.Connection[Any], corrections: Corrections) -> None:
    """Fill the view of the statistics if a restore has left it empty."""
    row = connection.execute("select robot_brain.view_is_empty()").fetchone()
    if row == (True,):
        connection.execute("set local row_security = on")
        connection.execute("select robot_brain.refresh_view(true)")
        corrections.done.append("refresh materialized view robot_brain.session_stats")
        logger.info("corrected: filled the view of the statistics")


def wrong_rights(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the statements that give this database the rights of sql/rights.sql, in the order to run them."""
    found = read_rights(connection)
    wanted = expected_rights(found)
    ours = {_part(statement, "object") for statement in wanted}
    extra = (statement for statement in found - wanted if _part(statement, "object") in ours)
    reverted = {reverted for statement in extra if (reverted := _reverse(statement))}
    return sorted((wanted - found) | reverted, key=lambda statement: (_place(statement), statement))


def read_rights(connection: psycopg.Connection[Any]) -> set[str]:
    """Return the statements that make the rights of this database. Call it in a transaction."""
    connection.execute("set local quote_all_identifiers = off")
    return {statement for (statement,) in connection.execute(READ_RIGHTS.read_bytes()).fetchall()}


def expected_rights(found: set[str]) -> set[str]:
    """Return the statements of sql/rights.sql, with those of each month that `found` names."""
    months: dict[str, set[str]] = {}
    for name in (_part(statement, "object") for statement in found):
        if match := _MONTH.search(name):
            months.setdefault(name.replace(match.group(), _ANY_MONTH), set()).add(match.group())
    wanted = set()
    for line in RIGHTS.read_text(encoding="utf-8").splitlines():
        statement = line.removesuffix(";")
        if not statement or statement.startswith("--"):
            continue
        if _ANY_MONTH in statement:
            each = months.get(_part(statement, "object"), set())
            wanted |= {statement.replace(_ANY_MONTH, month) for month in each}
        else:
            wanted.add(statement)
    return wanted


def _part(statement: str, group: str) -> str:
    for pattern in (_GRANT, _REVOKE, _POLICY, _ALTER):
        if match := pattern.fullmatch(statement):
            part = match.groupdict().get(group) or ""
            return f"table {part}" if pattern is _POLICY and group == "object" else part
    raise AssertionError(f"unknown statement: {statement}")


def _reverse(statement: str) -> str | None:
    """Return the statement that undoes a right of one of our roles or of PUBLIC, or None for any other."""
    role = _part(statement, "role")
    if not set(role.split(", ")) & {*ROLES, "public"}:
        return None
    if match := _GRANT.fullmatch(statement):
        return f"revoke {match['right']} on {match['object']} from {role}"
    if match := _REVOKE.fullmatch(statement):
        return f"grant {match['right']} on {match['object']} to {role}"
    if match := _POLICY.fullmatch(statement):
        return f"drop policy {match['policy']} on {match['object']}"
    return None


def _place(statement: str) -> int:
    return next(place for place, begin in enumerate(_ORDER) if statement.startswith(begin))
