"""Each two requests of which one is for a user, at the same moment: the outcome is that of one after the other.

The first request stops before its commit. The second one begins, and runs until it ends or waits for a lock. Then the
first one is committed. The answers, the end state and the audit trail are those of one of both orders.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
import pytest

from tests.model.states_of_users import OTHER, USER, end_erasure, give_many_sessions
from tests.support.servers.databases import Database, Template
from tests.support.waiting import wait_until

_TURN = '[{"robot_personality": "p", "user_message": "new", "robot_response": "r", "metadata": {}}]'
_OWNER = "body::jsonb #>> '{{session,user_id}}' from "
_ROW_OF_USER = "select from robot_brain_api.save_user(%(tenant)s, %(user)s, %(mine)s, 'ann@example.com')"
_WRITE = "robot_brain_api.write_message(%(tenant)s, {session}, %(turn)s, p_as_user => {user})"
_MOVE = "robot_brain_api.patch_session(%(tenant)s, {session}, p_user_id => {user}, p_sets_user_id => true)"
# The user has a row and the sessions `s` and `t`. The other one has the session `o`, and no row.
BEFORE: tuple[str, ...] = (
    _ROW_OF_USER,
    *(f"select from {_WRITE.format(session=f''' '{id}' ''', user='%(user)s')}" for id in "st"),
    f"select from {_WRITE.format(session=''' 'o' ''', user='%(other)s')}",
)
CALLS: dict[str, str] = {
    "PUT": "body::jsonb - 'created_at' - 'updated_at', created from robot_brain_api.save_user("
    "%(tenant)s, %(user)s, %(hers)s, 'new@example.com')",
    "PUT same": "created from robot_brain_api.save_user(%(tenant)s, %(user)s, %(mine)s, 'ann@example.com')",
    "PATCH": "body::jsonb - 'created_at' - 'updated_at' from robot_brain_api.save_user("
    "%(tenant)s, %(user)s, %(patch)s, null, true)",
    "PUT of the other with its e-mail": "created from robot_brain_api.save_user("
    "%(tenant)s, %(other)s, %(mine)s, 'ann@example.com')",
    "POST with its e-mail and a key": "replayed from robot_brain_api.create_user("
    "%(tenant)s, {new_id}, %(mine)s, 'ann@example.com', 'key')",
    "POST with a key": "replayed from robot_brain_api.create_user(%(tenant)s, {new_id}, %(key)s, 'k@x.com', 'key')",
    # How many steps an erasure takes depends on the speed of the machine.
    "DELETE": "state in ('erasing', 'erased') from robot_brain_api.erase_user(%(tenant)s, %(user)s)",
    "DELETE of the other": "state in ('erasing', 'erased') from robot_brain_api.erase_user(%(tenant)s, %(other)s)",
    "COUNT": "body from robot_brain_api.count_user(%(tenant)s, %(user)s)",
    "write to a new session": f"replayed from {_WRITE.format(session=''' 'new' ''', user='%(user)s')}",
    "write to a session": f"replayed from {_WRITE.format(session=''' 's' ''', user='%(user)s')}",
    "PATCH of a new session": _OWNER + "robot_brain_api.patch_session("
    "%(tenant)s, 'new', '{{\"a\": 1}}', p_as_user => %(user)s)",
    "take over": _OWNER + f"{_MOVE.format(session=''' 'o' ''', user='%(user)s')}",
    "hand over": _OWNER + f"{_MOVE.format(session=''' 's' ''', user='%(other)s')}",
    "DELETE of a session": "state from robot_brain_api.erase_session(%(tenant)s, 's')",
    "DELETE of turns": "body from robot_brain_api.remove_turns(%(tenant)s, 's', 0)",
}
OF_USER = {name for name in CALLS if name.startswith(("P", "DELETE")) and not name.endswith(("session", "turns"))}
PAIRS = [pair for pair in itertools.product(CALLS, CALLS) if set(pair) & OF_USER]
_VALUES = {
    "user": USER,
    "other": OTHER,
    "turn": _TURN,
    "mine": '{"email": "Ann@example.com", "password_hash": "$1$x"}',
    "hers": '{"email": "new@example.com"}',
    "patch": '{"profile": {"first_name": "A"}}',
    "key": '{"email": "k@x.com"}',
}
_WAITS: LiteralString = "select from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
_UNFINISHED = "select user_id from robot_brain.user_erasures where tenant_id = %s and user_id is not null"
# What readers find before the end of an erasure.
_VISIBLE: LiteralString = """
select json_agg(json_build_array(s.id, s.user_id, s.message_count) order by s.id)
from robot_brain.sessions s
where s.tenant_id = %(tenant)s and s.erasing_at is null and s.id not like 'many %%'
"""
# What is left at the end, without ids that were made and times.
_STATE: LiteralString = """
select
  (
    select json_agg(json_build_array(
      case when length(u.id) < 36 then u.id else 'made' end, u.email, u.email_key, u.password_hash, p.first_name
    ) order by u.email)
    from robot_brain.users u
    left join robot_brain.user_profiles p on p.tenant_id = u.tenant_id and p.user_id = u.id
    where u.tenant_id = %(tenant)s
  ),
  (
    select json_agg(json_build_array(
      s.id, s.user_id, s.user_metadata, s.message_count,
      (select count(*) from robot_brain.conversations c where c.tenant_id = s.tenant_id and c.session_id = s.id)
    ) order by s.id)
    from robot_brain.sessions s
    where s.tenant_id = %(tenant)s
  ),
  (select json_agg(k.response = '') from robot_brain.idempotency_keys k where k.tenant_id = %(tenant)s),
  (select sum(u.sessions) from robot_brain.uncounted u where u.tenant_id = %(tenant)s),
  (
    select json_agg(json_build_array(
      l.table_name, case when length(l.record_id) < 36 then l.record_id else 'made' end, l.action,
      l.old_data, l.new_data
    ) order by l.table_name, l.record_id, l.action)
    from robot_brain.audit_logs l
    where l.tenant_id = %(tenant)s
  )
"""


@dataclass
class Stage:
    """A database with connections, a thread for the second request, and the outcomes of pairs in an order."""

    database: Database
    first: psycopg.Connection
    second: psycopg.Connection
    admin: psycopg.Connection
    threads: ThreadPoolExecutor
    serial: dict[tuple[str, str, bool], Any] = field(default_factory=dict)
    tenants: Iterator[int] = field(default_factory=itertools.count)

    def begin(self, is_large: bool) -> str:
        """Return a new tenant with what BEFORE says. The erasure of a large user takes several steps."""
        tenant = f"pair-{next(self.tenants)}"
        if is_large:
            give_many_sessions(self.admin, tenant)
        for statement in BEFORE:
            self.first.execute(statement.encode(), {**_VALUES, "tenant": tenant})
        return tenant

    def one_after_the_other(self, pair: tuple[str, str], is_large: bool) -> Any:
        """Return the answers of two requests of which the second begins after the first, and the end state."""
        if (*pair, is_large) not in self.serial:
            tenant = self.begin(is_large)
            answers = [ask(self.first, tenant, name, number) for number, name in enumerate(pair)]
            self.serial[(*pair, is_large)] = (*answers, self.end(tenant))
        return self.serial[(*pair, is_large)]

    def together(self, pair: tuple[str, str], is_large: bool) -> Any:
        """Return the answers of two requests of which the second begins before the commit of the first."""
        tenant = self.begin(is_large)
        with self.first.transaction():
            first = ask(self.first, tenant, pair[0], 0)
            reading: Future[Any] = self.threads.submit(ask, self.second, tenant, pair[1], 1)
            pid = [self.second.info.backend_pid]
            wait_until(lambda: reading.done() or bool(self.admin.execute(_WAITS, pid).fetchall()))
        return first, reading.result(60), self.end(tenant)

    def end(self, tenant: str) -> Any:
        """Return what readers find. Then finish all erasures, as refreshes do, and return what is left too."""
        visible = self.admin.execute(_VISIBLE, {"tenant": tenant}).fetchone()
        for (user,) in self.admin.execute(_UNFINISHED, [tenant]).fetchall():
            end_erasure(self.first, tenant, user)
        return visible, self.admin.execute(_STATE, {"tenant": tenant}).fetchone()


def ask(connection: psycopg.Connection, tenant: str, name: str, number: int) -> Any:
    """Return the row that a request of CALLS answers, or the SQLSTATE of its refusal."""
    new_id = f"'00000000-0000-4000-8000-00000000000{number}'"
    try:
        with connection.transaction():
            statement = "select " + CALLS[name].format(new_id=new_id)
            return connection.execute(statement.encode(), {**_VALUES, "tenant": tenant}).fetchone()
    except psycopg.Error as error:
        return error.sqlstate


@pytest.fixture(scope="module")
def stage(embedded_template: Template) -> Iterator[Stage]:
    with (
        embedded_template.clone("embedded") as database,
        closing(database.app()) as first,
        closing(database.app()) as second,
        closing(database.admin()) as admin,
        ThreadPoolExecutor(1) as threads,
    ):
        yield Stage(database, first, second, admin, threads)


@pytest.mark.parametrize("first", CALLS)
def test_two_requests_at_the_same_moment_have_the_outcome_of_one_after_the_other(stage: Stage, first: str) -> None:
    check(stage, [pair for pair in PAIRS if pair[0] == first], is_large=False)


@pytest.mark.parametrize("other", CALLS)
def test_an_erasure_of_several_steps_and_another_request_have_the_outcome_of_one_after_the_other(
    stage: Stage, other: str
) -> None:
    check(stage, [("DELETE", other), (other, "DELETE")], is_large=True)


def check(stage: Stage, pairs: list[tuple[str, str]], is_large: bool) -> None:
    """Assert that each pair has the outcome of one of both orders."""
    wrong = []
    for pair in pairs:
        forward = stage.one_after_the_other(pair, is_large)
        second, first, *end = stage.one_after_the_other((pair[1], pair[0]), is_large)
        backward = (first, second, *end)
        found = stage.together(pair, is_large)
        if found not in (forward, backward):
            wrong.append(f"{' and '.join(pair)}:\n  {found}\n  one after the other: {forward}\n  {backward}")
    assert wrong == [], "\n".join(wrong)
