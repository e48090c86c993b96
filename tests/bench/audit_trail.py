"""The audit trail when it is long: how fast a refresh chains it, a page of GET /audit, and the bytes of an entry.

    PYTHONPATH=.:functions:layers/robot_brain python -m tests.bench.audit_trail      ENTRIES=1000000 OUTPUT=file

The entries are made by SQL, as a PUT would make them: of 20,000 sessions, by 500 callers, over a year. Another tenant
has a tenth as many. All but the last 100,000 have a place in the chain already, with a made-up hash.
The targets are for the CPU time of the server, because others use this machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg

from tests.bench import measure
from tests.bench.server_time import Taken, taken
from tests.support.servers.databases import Database, make_template
from tests.support.servers.postgres import start_embedded

ENTRIES = 1_000_000
UNCHAINED = 100_000
SESSIONS, CALLERS = 20_000, 500
SHARE = 0.9  # of the entries are before the page by cursor
ROUNDS, CALLS = 30, 20
MOST = 1.5
FIRST = "the first page"
_FILL = """
insert into robot_brain.audit_logs (
  tenant_id, table_name, record_id, action, old_data, new_data, user_id, request_id, created_at, n, hash, chained_at
)
select
  %(tenant)s, 'conversations', 'session-' || n::bigint * 7919 %% %(sessions)s, 'UPDATE',
  jsonb_build_object('seq', n %% 50, 'updated_at', robot_brain.iso_time(t.made)),
  jsonb_build_object(
    'seq', n %% 50, 'updated_at', robot_brain.iso_time(t.made), 'changed', array['user_message', 'robot_response']
  ),
  'arn:aws:sts::123456789012:assumed-role/robots/robot-' || n::bigint * 104729 %% %(callers)s, gen_random_uuid(),
  t.made,
  case when n <= %(chained)s then n end,
  case when n <= %(chained)s then sha256(n::text::bytea) end,
  case when n <= %(chained)s then t.made + interval '1 minute' end
from generate_series(1, %(entries)s) n
cross join lateral (select now() - (%(entries)s - n) * interval '1 year' / %(entries)s as made) t
order by n
"""
_HEAD = "insert into robot_brain.audit_heads (tenant_id, n, hash) values (%s, %s, sha256('head'))"
_SIZES = """
select pg_relation_size('robot_brain.audit_logs') / count(*), pg_indexes_size('robot_brain.audit_logs') / count(*)
from robot_brain.audit_logs
"""
_CHAIN = "select robot_brain_api.chain_audit()"
_PAGE = (
    "select body from robot_brain_api.read_audit(p_tenant_id => 'local', p_cursor => %s, p_record_id => %s,"
    " p_user_id => %s, p_from => %s, p_to => %s)"
)
_CURSOR = """
select robot_brain.make_cursor(
  (extract(epoch from l.created_at) * 1000000)::bigint, l.id::text,
  'audit ' || json_build_array('local', null, null, null, null)::text
)
from robot_brain.audit_logs l
where l.tenant_id = 'local' order by l.created_at desc, l.id desc limit 1 offset %s
"""


def main() -> None:
    """Run the benchmark and print its table and its RESULT line."""
    parser = measure.arguments(str(__doc__), rounds=ROUNDS)
    parser.add_argument("--entries", type=int, default=int(os.environ.get("ENTRIES") or ENTRIES))
    options = parser.parse_args()
    settings = {"max_wal_size": "4GB", "shared_buffers": "512MB", "autovacuum": "off"}
    server = start_embedded(settings=settings)
    try:
        with make_template(server).clone("embedded") as database:
            with database.admin() as admin:
                _fill(admin, "other", options.entries // 10, options.entries // 10)
                _fill(admin, "local", options.entries, options.entries - UNCHAINED)
                admin.execute("vacuum (analyze) robot_brain.audit_logs")
                heap, indexes = _row(admin, _SIZES)
            chained = _chain(database)
            with database.admin() as admin:
                admin.execute("vacuum (analyze) robot_brain.audit_logs")
            pages = _read(database, options.entries, options.rounds)
    finally:
        server.stop()
    rows, ratios = [], {}
    cpu = measure.Samples({name: [each.cpu for each in ones] for name, ones in pages.items()})
    for name, ones in pages.items():
        wall, spread = measure.Spread.of([each.wall for each in ones]), cpu.spread(name)
        ratio = round(cpu.ratio(name, FIRST).median, 2)
        ratios[name] = ratio
        cells = [f"{wall.median:.3f}", f"{spread.median:.3f} ({spread.low:.3f}..{spread.high:.3f})", f"{ratio:.2f}"]
        rows.append([name, *cells, measure.target(ratio, MOST)])
    each = [call.cpu for call, _ in chained]
    entries = sum(count for _, count in chained)
    per_second = round(entries / sum(call.wall for call, _ in chained) * 1000)
    cpu_each = round(sum(each) / entries * 1000, 1)
    print(f"\nA page of GET /audit of {options.entries:,} entries, milliseconds of one call\n")
    print(measure.table(["page", "median", "its CPU (quartiles)", "CPU / the first page", "target"], rows))
    print(f"\nChaining {entries:,} entries: {per_second:,} a second, {cpu_each} us of CPU each, ", end="")
    print(f"{measure.Spread.of(each).median:.0f} ms of CPU a call of 2,000")
    print(f"An entry: {heap} bytes, and {indexes} in indexes\n")
    measure.report(
        "audit_trail",
        {"pages_over_first": ratios, "chained_per_second": per_second, "chained_cpu_microseconds": cpu_each},
        options.output,
        entries=options.entries,
        bytes={"entry": heap, "indexes": indexes},
        machine=measure.machine(postgresql=f"{server.version}"),
    )


def _fill(admin: psycopg.Connection[Any], tenant: str, entries: int, chained: int) -> None:
    values = {"tenant": tenant, "entries": entries, "chained": chained, "sessions": SESSIONS, "callers": CALLERS}
    # Values in the text, because PostgreSQL finds two types for one parameter.
    psycopg.ClientCursor(admin).execute(_FILL.encode(), values)
    admin.execute(_HEAD, [tenant, chained])


def _chain(database: Database) -> list[tuple[Taken, int]]:
    """Chain until nothing is left. Return what each call took, and how many entries it chained."""
    calls = []
    with database.app() as app:
        more = True
        while more:
            cursor = psycopg.ClientCursor(app)
            once = taken(app, partial(cursor.execute, _CHAIN))
            row = cursor.fetchone()
            assert row is not None
            answer = json.loads(row[0])
            more = answer["has_more"]
            calls.append((once, answer["audit_chained"]))
    return [call for call in calls if call[1]]


def _read(database: Database, entries: int, rounds: int) -> dict[str, list[Taken]]:
    """Return what a page of each kind took, in each round."""
    found: dict[str, list[Taken]] = {}
    with database.admin() as admin, database.app() as app:
        (cursor,) = _row(admin, _CURSOR, [int(entries * SHARE)])
        (month,) = _row(admin, "select now() - interval '6 months'")
        session = "session-4711"
        caller = "arn:aws:sts::123456789012:assumed-role/robots/robot-42"
        kinds: dict[str, tuple[object, ...]] = {
            FIRST: (None, None, None, None, None),
            f"after {int(entries * SHARE):,} entries": (cursor, None, None, None, None),
            "of a session": (None, session, None, None, None),
            "of a caller": (None, None, caller, None, None),
            "before a day six months ago": (None, None, None, None, month),
        }
        for round_number in range(rounds + 1):
            for name, arguments in kinds.items():
                call: Callable[[], object] = partial(app.execute, _PAGE, arguments)
                once = taken(app, call, CALLS)
                # The first round warms up.
                if round_number:
                    found.setdefault(name, []).append(once)
        for name, arguments in kinds.items():
            (body,) = _row(app, _PAGE, arguments)
            assert '"request_id"' in body, name
    return found


def _row(connection: psycopg.Connection[Any], query: str, arguments: Any = None) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None
    return tuple(row)


if __name__ == "__main__":
    main()
