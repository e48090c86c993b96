"""Everything that the database holds of a tenant, and every trace of an id or a session in any of its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from tests.soak.person_records import TEXTS, Members, id_in
from tests.soak.records import Turn, as_items, id_of

_TURNS = """
select
  c.session_id, c.seq, robot_brain.iso_time(c.created_at),
  c.user_message, c.robot_response, c.robot_personality, i.types, c.items
from robot_brain.conversations c
left join (
  select session_id, seq, string_agg(interaction_type, ' and ') as types
  from robot_brain.robot_interactions where tenant_id = %(tenant)s group by 1, 2
) i using (session_id, seq)
where c.tenant_id = %(tenant)s order by c.session_id, c.seq
"""
_SESSIONS = """
select
  id, message_count, removed, unanswered, robot_brain.iso_time(created_at), robot_brain.iso_time(last_active),
  user_metadata, erasing_at is not null
from robot_brain.sessions where tenant_id = %s
"""
_OWNERS = "select id, user_id from robot_brain.sessions where tenant_id = %s"
_USERS = """
select u.id, u.email, u.password_hash, p.first_name, p.last_name, p.avatar_url
from robot_brain.users u
left join robot_brain.user_profiles p on p.tenant_id = u.tenant_id and p.user_id = u.id
where u.tenant_id = %s
"""
_ERASING_USERS = "select user_id from robot_brain.user_erasures where tenant_id = %s and user_id is not null"
_ORPHANS = """
select i.session_id || ' ' || i.seq from robot_brain.robot_interactions i
where i.tenant_id = %s and not exists (
  select from robot_brain.conversations c where (c.tenant_id, c.session_id, c.seq) = (i.tenant_id, i.session_id, i.seq)
)
"""
_TABLES = """
select c.relname from pg_class c
where c.relnamespace = 'robot_brain'::regnamespace and c.relkind in ('r', 'm', 'p') and not c.relispartition
  -- The trail keeps the names of sessions and people, also of those that were erased.
  and c.relname <> 'audit_logs'
"""
_ENTRIES = """
select table_name, record_id, action, coalesce(old_data, '{}'), coalesce(new_data, '{}'), user_id, request_id,
  chained_at::text
from robot_brain.audit_logs where tenant_id = %s order by id
"""
# An id in brackets, as texts have it, or a session's name.
_TRACES = r"""
select distinct found[1] from (
  select regexp_matches(t::text, '(\[c\d\d-\d+\.\d+\]|soak-[a-z0-9-]*[a-z0-9])', 'g') as found from robot_brain.{} t
) each
"""

_LEAKED = r"select distinct (regexp_matches(l::text, '\[c\d\d-\d+\.\d+\]', 'g'))[1] from robot_brain.audit_logs l"


@dataclass(frozen=True)
class Row:
    """A turn as the database has it."""

    session: str
    seq: int
    turn: Turn
    created_at: str  # in the format of the API, which sorts by time


@dataclass(frozen=True)
class StoredSession:
    """A session as the database has it. A read looks only at turns from `began` to `active`."""

    count: int
    removed: int = 0
    unanswered: int = 0
    began: str = ""
    active: str = "~"
    members: Mapping[str, str] = field(default_factory=dict)  # of user_metadata, with their ids
    erasing: bool = False


@dataclass(frozen=True)
class Entry:
    """An entry of the audit trail as the database has it."""

    table: str
    record: str
    action: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    actor: str | None
    request: str | None
    chained_at: str | None = None


@dataclass(frozen=True)
class Stored:
    """All turns and sessions of a tenant, and the tables in which each id and each session's name occurs."""

    rows: Sequence[Row]
    sessions: Mapping[str, StoredSession]
    orphans: Sequence[str] = ()  # interactions without their turn
    traces: Mapping[str, Sequence[str]] = field(default_factory=dict)  # an id or a name: the tables
    users: Mapping[str, Members] = field(default_factory=dict)  # the members of each user, with their ids
    owners: Mapping[str, str | None] = field(default_factory=dict)  # the user of each session
    erasing_users: Sequence[str] = ()
    entries: Sequence[Entry] = ()  # of the audit trail, in the order of their ids
    leaked: Sequence[str] = ()  # the ids of texts that the audit trail has


def read_stored(observer: "psycopg.Connection[Any]", tenant: str = "local") -> Stored:
    """Read everything of `tenant`. The observer is a superuser, so row-level security hides no row."""
    with observer.transaction():
        observer.execute("set transaction isolation level repeatable read")
        rows = observer.execute(_TURNS, {"tenant": tenant}).fetchall()
        sessions = observer.execute(_SESSIONS, [tenant]).fetchall()
        owners = dict(observer.execute(_OWNERS, [tenant]).fetchall())
        users = observer.execute(_USERS, [tenant]).fetchall()
        erasing_users = [name for (name,) in observer.execute(_ERASING_USERS, [tenant]).fetchall()]
        entries = [Entry(*row) for row in observer.execute(_ENTRIES, [tenant]).fetchall()]
        leaked = [name for (name,) in observer.execute(_LEAKED).fetchall()]
        orphans = [name for (name,) in observer.execute(_ORPHANS, [tenant]).fetchall()]
        traces: dict[str, list[str]] = {}
        for (table,) in observer.execute(_TABLES).fetchall():
            for (found,) in observer.execute(sql.SQL(_TRACES).format(sql.Identifier(table))).fetchall():
                traces.setdefault(found.strip("[]"), []).append(table)
    return Stored(
        [
            Row(session, seq, Turn(said, answered, personality, types, as_items(items)), created_at)
            for session, seq, created_at, said, answered, personality, types, items in rows
        ],
        {
            name: StoredSession(count, removed, unanswered, began, active, _members(metadata), erasing)
            for name, count, removed, unanswered, began, active, metadata, erasing in sessions
        },
        orphans,
        traces,
        {name: {member: id_in(text) for member, text in zip(TEXTS, texts, strict=True)} for name, *texts in users},
        owners,
        erasing_users,
        entries,
        leaked,
    )


def _members(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {member: id_of(str(value)) or str(value) for member, value in metadata.items()}
