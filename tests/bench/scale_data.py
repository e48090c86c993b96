"""Databases of years of talk, made by SQL and kept: same months, same active sessions, more or fewer turns.

In addition to the ordinary sessions, each database has the same few sessions that are measured, the probes:

    recent-1 …   50 turns, written within a day of this week      old-1 …    the same, thirty months ago
    lived-1 … 3  60 turns in 1, 2 and 3 months, a year ago        write-1 …, changed-1 …   sessions of this week
    few-1 …      10 % of 100 turns of this week were removed      many-1 …   90 % of 500
    tail-1 …     the newest half of 100
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import psycopg
from psycopg import sql

from ops.migrate import migrate
from ops.sql_files import SQL
from tests.bench.measure import Progress
from tests.support.servers.databases import create_database, drop_database, set_app_login
from tests.support.servers.postgres import Postgres

MONTHS = 36
KEPT_DAYS = 5  # then "this week" is over, and the database is made again
PROBES = {"recent": 200, "old": 200, "write": 500, "changed": 1000, "few": 20, "many": 20, "tail": 20}
PROBE_TURNS = 50
# The turns that are left of a session that lost turns.
LEFT = {"few": 90, "many": 50, "tail": 50}

_WORDS = 12 * (
    "a small coffee with oat milk please and would you like anything else today one moment I will have it ready for "
    "you over at the bar in a minute thank you and good bye then see you again soon "
)
# The life of each session and its number of turns. Most live for minutes, some for days, a few for weeks.
_SESSIONS = """
create unlogged table bench.session as
with born as (
  select
    n::bigint as no,
    case
      when n <= %(active)s then now() - interval '1 hour' - random() * interval '30 days 12 hours'
      else now() - interval '32 days' - random() * (now() - interval '32 days' - (now() - interval '36 months'))
    end as starts,
    case when n <= %(active)s then now() - interval '1 minute' else now() - interval '32 days' end as ends_by,
    1 + floor(ln(1 - random()) / ln(1 - 1 / %(mean)s))::int as turns,
    random() as life
  from generate_series(1, %(sessions)s) n
)
select
  no,
  'session-' || no as id,
  starts,
  case when turns = 1 then starts else least(ends_by, starts + case
    when life < 0.90 then turns * interval '2 minutes'
    when life < 0.98 then life * interval '5 days'
    else life * interval '45 days'
  end) end as ends,
  turns
from born
"""
_PROBES = """
insert into bench.session
select 1000000000 + row_number() over (), p.id, p.starts, p.ends, p.turns
from (
  select 'recent-' || n as id, now() - interval '3 days' + n * interval '1 minute' as starts,
    now() - interval '2 days' + n * interval '1 minute' as ends, %(turns)s as turns
  from generate_series(1, %(recent)s) n
  union all
  select 'old-' || n, o.month + interval '14 days' + n * interval '1 minute',
    o.month + interval '15 days' + n * interval '1 minute', %(turns)s
  from generate_series(1, %(old)s) n, (select date_trunc('month', now() - interval '30 months') as month) o
  union all
  select 'lived-' || n, l.month + interval '19 days', l.month + interval '24 days' + (n - 1) * interval '1 month', 60
  from generate_series(1, 3) n, (select date_trunc('month', now() - interval '14 months') as month) l
  union all
  select kind || '-' || n, now() - interval '1 day' - n * interval '1 second',
    now() - interval '1 day' - n * interval '1 second', 1
  from (values ('write', %(write)s), ('changed', %(changed)s)) k (kind, number), generate_series(1, number) n
  union all
  select kind || '-' || n, now() - interval '3 days' + n * interval '1 minute',
    now() - interval '2 days' + n * interval '1 minute', seqs
  from (values ('few', %(few)s, 100), ('many', %(many)s, 500), ('tail', %(tail)s, 100)) k (kind, number, seqs),
    generate_series(1, number) n
) p
"""
_TURNS = """
create unlogged table bench.turn as
select
  t.*,
  (10 + (t.no * 7919 + t.seq * 104729) %% 141)::int as user_length,
  (50 + (t.no * 15485863 + t.seq * 7919) %% 601)::int as response_length
from (
  select s.no, n as seq, s.starts + (s.ends - s.starts) * ((n - 1)::float / greatest(s.turns - 1, 1)) as created_at
  from bench.session s, generate_series(1, s.turns) n
  where case split_part(s.id, '-', 1)
    when 'few' then n %% 10 <> 5
    when 'many' then n %% 10 = 1
    when 'tail' then n <= 50
    else true
  end
) t
order by t.created_at
"""
_KEEP_SESSIONS = """
insert into robot_brain.sessions (
  tenant_id, id, created_at, last_active, active_hour, previous_active, message_count, removed, removed_at,
  response_length, answer_bytes
)
select
  'local', s.id, s.starts, t.last_active, date_bin('1 hour', t.last_active, to_timestamp(0)), t.last_active, t.turns,
  s.turns - t.turns, case when s.turns > t.turns then t.last_active end, t.response_length, t.answer_bytes
from (
  select no, count(*) as turns, max(created_at) as last_active, sum(response_length) as response_length,
    sum(7 * (7 + user_length + response_length) + 4 + 400) as answer_bytes
  from bench.turn
  group by no
) t
join bench.session s using (no)
order by s.starts
"""
_KEEP_TURNS = """
insert into robot_brain.conversations (
  tenant_id, session_id, seq, created_at, robot_personality, user_message, robot_response, metadata
)
select
  'local', s.id, t.seq, t.created_at, (array['barista', 'waiter', 'teacher', 'doctor'])[1 + t.no %% 4],
  substr(%(words)s, (1 + (t.no + t.seq * 13) %% 800)::int, t.user_length),
  substr(%(words)s, (1 + (t.no * 3 + t.seq * 7) %% 800)::int, t.response_length),
  '{}'
from bench.turn t
join bench.session s using (no)
where t.created_at >= %(month)s and t.created_at < %(month)s + interval '1 month'
order by t.created_at
"""
_KEEP_INTERACTIONS = """
insert into robot_brain.robot_interactions (
  tenant_id, session_id, seq, robot_id, interaction_type, duration_ms, success, created_at
)
select 'local', s.id, t.seq, 'robot', 'order', t.response_length, true, t.created_at
from bench.turn t
join bench.session s using (no)
where (t.no + t.seq) % 10 = 0
order by t.created_at
"""
# Clients send a key with each turn. Keys live for a day, so there is one for each turn of the last day.
_KEEP_KEYS = """
insert into robot_brain.idempotency_keys (tenant_id, key_hash, fingerprint, response, session_id, expires_at)
select 'local', sha256((t.no::text || ':' || t.seq)::bytea), sha256(t.no::text::bytea), repeat('x', 200), s.id,
  t.created_at + interval '24 hours'
from bench.turn t
join bench.session s using (no)
where t.created_at > now() - interval '24 hours'
"""
# The rows that these writes would have left for the next refresh. A session has one personality.
_KEEP_UNCOUNTED = """
insert into robot_brain.uncounted (
  tenant_id, day, robot_personality, messages, response_length, sessions, opened, interactions
)
select
  'local', (c.created_at at time zone 'UTC')::date, c.robot_personality, count(*), sum(length(c.robot_response)),
  0, count(distinct c.session_id), 0
from robot_brain.conversations c
group by 2, 3
union all
select
  'local', null, '', 0, 0,
  (select count(*) from robot_brain.sessions), 0, (select count(*) from robot_brain.robot_interactions)
"""


@dataclass(frozen=True)
class Size:
    """The contents of a database. `active` is the number of ordinary sessions of the last 31 days."""

    turns: int
    sessions: int
    active: int

    @property
    def name(self) -> str:
        """The database's name."""
        return f"scale_{self.turns}"

    def mean(self) -> float:
        """Return the average number of turns of an ordinary session, so that all sessions have `turns` together."""
        probes = PROBE_TURNS * (PROBES["recent"] + PROBES["old"]) + PROBES["write"] + PROBES["changed"] + 180
        probes += sum(PROBES[kind] * left for kind, left in LEFT.items())
        return (self.turns - probes) / self.sessions


def ensure(server: Postgres, size: Size) -> None:
    """Make the database of `size`, unless a complete one of this schema was made within KEPT_DAYS."""
    facts = {**asdict(size), "probes": PROBES, "made_of": _fingerprint()}
    with server.admin() as admin:
        found = admin.execute(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = %s", [size.name]
        ).fetchone()
        if found is not None and found[0] is not None:
            kept = json.loads(found[0])
            age = datetime.now(UTC) - datetime.fromisoformat(kept.pop("made_at"))
            if kept == facts and age.days < KEPT_DAYS:
                return
        drop_database(admin, size.name)
        create_database(admin, size.name)
        migrate(server.direct_url(size.name))
        set_app_login(admin, "")
        _fill(server, size)
        # This comes last. A database without the comment is incomplete.
        made = json.dumps({**facts, "made_at": datetime.now(UTC).isoformat()})
        admin.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(size.name), made))


def _fill(server: Postgres, size: Size) -> None:
    with server.admin(size.name) as admin:
        # Others use this machine too.
        os.setpriority(os.PRIO_PROCESS, admin.info.backend_pid, 10)
        admin.execute("set timezone = 'UTC'")
        admin.execute("set datestyle = 'iso'")
        months = [
            row[0]
            for row in admin.execute(
                "select generate_series(date_trunc('month', now() - interval '36 months'), now(), interval '1 month')"
            ).fetchall()
        ]
        # All months come before any rows, because make_month would wait for autovacuum of a month.
        for month in months:
            for table in ("conversations", "robot_interactions"):
                admin.execute("select robot_brain.make_month(%s::date, %s)", [month, table])
        progress = Progress(len(months) + 10, f"making {size.name}")
        admin.execute("set maintenance_work_mem = '512MB'")
        admin.execute("set work_mem = '256MB'")
        admin.execute("select setseed(0.5)")
        admin.execute("create schema bench")
        admin.execute(_literal(_SESSIONS, {**asdict(size), "mean": size.mean()}, admin))
        admin.execute(_literal(_PROBES, {**PROBES, "turns": PROBE_TURNS}, admin))
        progress.step("sessions")
        admin.execute(_literal(_TURNS, {}, admin))
        admin.execute("create index on bench.turn using brin (created_at) with (pages_per_range = 16)")
        admin.execute("analyze bench.turn, bench.session")
        progress.step("turns", 4)
        admin.execute(_KEEP_SESSIONS)
        progress.step("sessions")
        for month in months:
            admin.execute(_literal(_KEEP_TURNS, {"words": _WORDS, "month": month}, admin))
            progress.step(f"{month:%Y-%m}")
        admin.execute(_KEEP_INTERACTIONS)
        admin.execute(_KEEP_KEYS)
        admin.execute("drop schema bench cascade")
        progress.step("interactions")
        admin.execute("vacuum (analyze, freeze) robot_brain.sessions, robot_brain.conversations")
        admin.execute("vacuum (analyze, freeze) robot_brain.robot_interactions, robot_brain.idempotency_keys")
        progress.step("vacuum", 2)
        # The product's own refresh counts the whole history.
        admin.execute(_KEEP_UNCOUNTED)
        admin.execute("select robot_brain.count_uncounted(null), robot_brain.refresh_view(true)")
        admin.execute("analyze")
        admin.execute("checkpoint")
        progress.step("statistics")
        progress.end()


def _literal(query: str, values: dict[str, object], admin: psycopg.Connection) -> bytes:
    """Return `query` with its values in it, because statements that define a table take no parameters."""
    return psycopg.ClientCursor(admin).mogrify(query, values).encode()


def _fingerprint() -> str:
    """Return a hash of the schema and of the statements of this file."""
    steps = (
        _WORDS,
        _SESSIONS,
        _PROBES,
        _TURNS,
        _KEEP_SESSIONS,
        _KEEP_TURNS,
        _KEEP_INTERACTIONS,
        _KEEP_KEYS,
        _KEEP_UNCOUNTED,
    )
    digest = hashlib.sha256("".join(steps).encode())
    for file in sorted(SQL.rglob("*.sql")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
