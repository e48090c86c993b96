"""Databases with turns of 36 months and 1,002 tenants, whose words the product's own filler has made, and kept.

The rows come by COPY. 60 % of the turns belong to the tenant `big`, 30 % to `middle`, and 10 % to 1,000 small ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from ops.migrate import migrate
from ops.sql_files import SQL
from tests.bench.measure import Progress
from tests.bench.search_words import Vocabulary, vocabulary
from tests.bench.server_time import cpu_milliseconds
from tests.support.servers.databases import APP, create_database, drop_database, set_app_login
from tests.support.servers.postgres import Postgres

MONTHS = 36
SMALL_TENANTS = 1000
_MEAN_TURNS = 12.5
_PERSONALITIES = ("barista", "waiter", "teacher", "doctor")
_COPY_TURNS = """
copy robot_brain.conversations (
  tenant_id, session_id, seq, created_at, robot_personality, user_message, robot_response, metadata
) from stdin
"""
_COPY_SESSIONS = """
copy robot_brain.sessions (
  tenant_id, id, created_at, last_active, active_hour, previous_active, message_count, response_length, answer_bytes
) from stdin
"""
_FILL = "select body from robot_brain_api.fill_search()"
_SIZES = """
select
  sum(pg_relation_size(k.oid)) filter (where k.relkind = 'r'),
  sum(pg_relation_size(k.oid)) filter (where a.amname = 'gin'),
  sum(pg_relation_size(k.oid)) filter (where a.amname = 'btree')
from pg_class k
join pg_namespace n on n.oid = k.relnamespace
left join pg_am a on a.oid = k.relam
where n.nspname = 'robot_brain' and k.relname like 'turn\\_words\\_2%' and k.relkind in ('r', 'i')
"""
# A change of these files changes the words.
_MADE_OF = ("words_of", "plain_text", "spaceless_signs", "day_lexeme", "metadata_lexemes")


@dataclass(frozen=True)
class Filled:
    """What the filler has used."""

    turns: int
    cpu_us: float
    wall_us: float
    wal_bytes: float
    # milliseconds of the longest call, which is one transaction that keeps out edits
    longest: float
    heap_bytes: float = 0.0
    index_bytes: float = 0.0
    key_bytes: float = 0.0

    def json(self) -> dict[str, float]:
        """Return the figures, all but the turns a turn."""
        return {name: round(value, 1) for name, value in vars(self).items()}


def tenant_of(place: float) -> str:
    """Return the tenant of a place from 0 to 1."""
    if place < 0.6:
        return "big"
    return "middle" if place < 0.9 else f"small-{int((place - 0.9) * 10 * SMALL_TENANTS)}"


def ensure(server: Postgres, turns: int) -> tuple[str, dict[str, float]]:
    """Make the database with so many turns, unless it is kept. Return its name and the figures of its filler."""
    name = f"search_{turns}"
    wanted = {"turns": turns, "made_of": _fingerprint()}
    with server.admin() as admin:
        kept = _kept(admin, name)
        if {key: kept.get(key) for key in wanted} != wanted:
            drop_database(admin, name)
            create_database(admin, name)
            kept = wanted
        migrate(server.direct_url(name))
        set_app_login(admin, "")
        if "loaded" not in kept:
            _load(server, name, turns)
            kept |= {"loaded": datetime.now(UTC).isoformat()}
            _keep(admin, name, kept)
        if "filled" not in kept:
            with server.admin(name) as other:
                other.execute(
                    "update robot_brain.search_state set filled_from = 'infinity', place_tenant = null,"
                    " place_session = null, place_seq = null"
                )
            kept |= {"filled": fill(server, name, f"words of {name}").json()}
            with server.admin(name) as other:
                other.execute("vacuum (analyze) robot_brain.turn_words")
                other.execute("checkpoint")
            _keep(admin, name, kept)
    return name, kept["filled"]


def fill(server: Postgres, name: str, title: str, most: int | None = None) -> Filled:
    """Let the filler work as the runtime role, until all turns, or `most`, have words. Return what it used."""
    with (
        server.admin(name) as admin,
        psycopg.connect(server.address.url(APP, "", name), autocommit=True, prepare_threshold=None) as app,
    ):
        total = most or _one(admin, "select count(*) from robot_brain.conversations")
        progress = Progress(total, title)
        walls, made = [], 0
        wal, cpu = _one(admin, "select pg_current_wal_insert_lsn()"), cpu_milliseconds(app)
        has_more = True
        while has_more and (most is None or made < most):
            started = datetime.now(UTC)
            body = json.loads(_one(app, _FILL))
            walls.append((datetime.now(UTC) - started).total_seconds() * 1000)
            made += body["words_made"]
            has_more = body["has_more"]
            progress.step(f"{walls[-1]:.0f} ms", body["words_made"])
        progress.end()
        used = cpu_milliseconds(app) - cpu
        written = float(admin.execute("select pg_current_wal_insert_lsn() - %s::pg_lsn", [wal]).fetchone()[0])  # type: ignore[index]  # it has a row
        sizes = [float(size or 0) / total for size in admin.execute(_SIZES).fetchone() or ()]
    made = max(made, 1)
    return Filled(made, used * 1000 / made, sum(walls) * 1000 / made, written / made, max(walls), *sizes)


def _load(server: Postgres, name: str, turns: int) -> None:
    with server.admin(name) as admin:
        os.setpriority(os.PRIO_PROCESS, admin.info.backend_pid, 10)  # others use this machine too
        admin.execute("set timezone = 'UTC'")
        admin.execute("set datestyle = 'ISO'")
        starts = [
            row[0]
            for row in admin.execute(
                "select generate_series(date_trunc('month', now() - interval '35 months'), now(), interval '1 month')"
            ).fetchall()
        ]
        # All months come before any rows, because make_month would wait for autovacuum of a month.
        admin.execute("set role robot_brain_owner")
        for month in starts:
            admin.execute("select robot_brain.make_month(%s::date, 'conversations')", [month])
        admin.execute("reset role")
        chance = random.Random(16)
        words = vocabulary()
        sessions: list[tuple[object, ...]] = []
        progress = Progress(turns, f"turns of {name}")
        ends = [*starts[1:], datetime.now(UTC)]
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            count = turns * (number + 1) // MONTHS - turns * number // MONTHS
            with admin.cursor().copy(_COPY_TURNS) as copy:
                for row in _turns(chance, words, start, end, count, sessions):
                    copy.write_row(row)
                    progress.step(f"{start:%Y-%m}")
        with admin.cursor().copy(_COPY_SESSIONS) as copy:
            for session in sessions:
                copy.write_row(session)
        progress.end()
        admin.execute("vacuum (analyze) robot_brain.sessions, robot_brain.conversations")
        admin.execute("checkpoint")


def _turns(
    chance: random.Random,
    words: Vocabulary,
    start: datetime,
    end: datetime,
    count: int,
    sessions: list[tuple[object, ...]],
) -> Iterator[tuple[object, ...]]:
    """Yield the turns of one month. Add the rows of their sessions, which live for minutes, to `sessions`."""
    lengths: list[int] = []
    while (left := count - sum(lengths)) > 0:
        lengths.append(min(left, 1 + int(chance.expovariate(1 / (_MEAN_TURNS - 0.5)))))
    opened = sorted(chance.random() for _ in lengths)
    for length, place in zip(lengths, opened, strict=True):
        at = start + (end - start - timedelta(hours=12)) * place
        tenant = tenant_of(chance.random())
        session = f"session-{len(sessions)}"
        personality = _PERSONALITIES[len(sessions) % 4]
        first, answered = at, 0
        for seq in range(1, length + 1):
            user, robot = words.turn(chance)
            answered += len(robot)
            at += timedelta(seconds=20 + 100 * chance.random())
            yield tenant, session, seq, at, personality, user, robot, "{}"
        hour = at.replace(minute=0, second=0, microsecond=0)
        sessions.append((tenant, session, first, at, hour, at, length, answered, 4000 * length))


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def _kept(admin: psycopg.Connection[Any], name: str) -> dict[str, Any]:
    found = admin.execute(
        "select shobj_description(oid, 'pg_database') from pg_database where datname = %s", [name]
    ).fetchone()
    return dict(json.loads(found[0])) if found is not None and found[0] is not None else {}


def _keep(admin: psycopg.Connection[Any], name: str, facts: dict[str, Any]) -> None:
    admin.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(name), json.dumps(facts)))


def _fingerprint() -> str:
    """Return a hash of the tables and of what makes the words. Other functions may change over the same rows."""
    files = sorted((SQL / "migrations").glob("*.sql"))
    files += [SQL / "functions" / "robot_brain" / f"{name}.sql" for name in _MADE_OF]
    digest = hashlib.sha256(_COPY_TURNS.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def switch_off(server: Postgres, name: str) -> None:
    """Turn the search of an empty database off, as `make migrate SEARCH=off` does."""
    with server.admin(name) as admin, admin.transaction():
        admin.execute("update robot_brain.search_state set language = null")
        admin.execute((SQL / "functions" / "robot_brain" / "search_language.sql").read_bytes())
