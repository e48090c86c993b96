"""Read the rows of the statistics, and run a recount as an operator does."""

import os
import subprocess
import sys
from collections.abc import Sequence

from local.settings import ROOT
from ops.recount import Difference, recount
from tests.support.servers.databases import Database
from tests.support.waiting import outputs_of

Rows = list[tuple[object, ...]]

INTERACTION = {"interaction_type": "x", "duration_ms": 1, "success": True}
# Turns and interactions of two months without partitions, so that the default partitions hold them.
# The first two turns are on either side of the change of the month in UTC.
OLD_TURNS = """
insert into robot_brain.conversations
  (tenant_id, session_id, seq, created_at, robot_personality, user_message, robot_response)
values
  ('local', 'old', 1, '2001-01-31 23:59:59.999999+00', 'barista', 'q', 'four'),
  ('local', 'old', 2, '2001-02-01 00:00:00+00', 'barista', 'q', 'four'),
  ('local', 'older', 1, '2001-01-31 00:00:00+00', 'barista', 'q', 'four'),
  ('local', 'older', 2, '2001-01-31 00:00:00+00', 'barista', 'q', '');
insert into robot_brain.robot_interactions
  (tenant_id, session_id, seq, created_at, robot_id, interaction_type, duration_ms, success)
values
  ('local', 'old', 1, '2001-01-31 23:59:59.999999+00', 'r', 'x', 1, true),
  ('local', 'old', 2, '2001-02-01 00:00:00+00', 'r', 'x', 1, true)
"""
OLD_FOUND = [
    Difference("local", "interactions", "", 1, 3),
    Difference("local", "messages", "", 5, 9),
    Difference("local", "day messages", "2001-01-31", 0, 3),
    Difference("local", "day sessions", "2001-01-31", 0, 2),
    Difference("local", "day messages", "2001-02-01", 0, 1),
    Difference("local", "day sessions", "2001-02-01", 0, 1),
    Difference("local", "personality messages", "barista", 3, 7),
    Difference("local", "personality response_length", "barista", 24, 36),
    Difference("local", "personality unanswered", "barista", 0, 1),
]

_SUMS = """
select 'tenant', tenant_id, '', sessions, messages, interactions from robot_brain.tenant_stats
union all
select 'personality', tenant_id, robot_personality, messages, response_length, unanswered
from robot_brain.personality_stats
union all
select 'day', tenant_id, to_char(day::timestamp, 'YYYY-MM-DD'), sessions, messages, 0 from robot_brain.daily_stats
order by 1, 2, 3
"""
_UNCOUNTED = """
select 'tenant', tenant_id, '', sum(sessions), sum(messages), sum(interactions) from robot_brain.uncounted group by 2
union all
select 'personality', tenant_id, robot_personality, sum(messages), sum(response_length), sum(unanswered)
from robot_brain.uncounted group by 2, 3
order by 1, 2, 3
"""
_STORED = """
select 'tenant', t.tenant_id, '',
  (select count(*) from robot_brain.sessions s where s.tenant_id = t.tenant_id),
  (select count(*) from robot_brain.conversations c where c.tenant_id = t.tenant_id),
  (select count(*) from robot_brain.robot_interactions i where i.tenant_id = t.tenant_id)
from (select distinct tenant_id from robot_brain.sessions) t
union all
select 'personality', tenant_id, robot_personality, count(*), sum(length(robot_response)),
  count(*) filter (where robot_response = '')
from robot_brain.conversations group by 2, 3
union all
select 'day', tenant_id, to_char(created_at at time zone 'UTC', 'YYYY-MM-DD'), count(distinct session_id), count(*), 0
from robot_brain.conversations group by 2, 3
order by 1, 2, 3
"""


def sums(database: Database) -> Rows:
    """Return the rows of the three tables of sums: kind, tenant, name, figures."""
    return _rows(database, _SUMS)


def uncounted(database: Database) -> Rows:
    """Return the totals and personalities of the uncounted rows, in the form of `sums`."""
    return _rows(database, _UNCOUNTED)


def stored(database: Database) -> Rows:
    """Scan all rows and return what `sums` must return if all of them are counted."""
    return _rows(database, _STORED)


def _rows(database: Database, question: str) -> Rows:
    with database.admin() as admin:
        return admin.execute(question.encode()).fetchall()


def change(database: Database, statement: str) -> None:
    """Run a statement that makes figures wrong, or that inserts rows without the API."""
    with database.admin() as admin:
        admin.execute(statement.encode())


def recounted(database: Database, dry_run: bool = False) -> list[Difference]:
    """Recount all tenants and return the differences."""
    return [difference for found in recount(database.direct_url, dry_run) for difference in found]


def command(direct_url: str, arguments: Sequence[str] = (), stderr: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    """Start `python -m ops recount` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "ops", "recount", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", os.defpath), "DIRECT_DATABASE_URL": direct_url},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def finished(process: "subprocess.Popen[str]") -> tuple[int, list[str], str]:
    """Wait for a recount. Return its exit status, the lines of its stdout, and its stderr."""
    out, errors = outputs_of(process)
    return process.returncode, out.splitlines(), errors
