"""A write with a key after thousands of keys have expired: during a dump's snapshot, and after many restarts.

PYTHONPATH=.:functions:layers/robot_brain python -m tests.bench.bench_keys      ROUNDS=40 OUTPUT=file

Both databases of a pair are on one server without autovacuum, and are measured in turn. We call the SQL function
itself. The handler's own time is the same on both, and would only hide the growth.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import psycopg

from ops.migrate import migrate
from tests.bench import measure
from tests.support.servers.databases import Database, Template, create_database, make_template
from tests.support.servers.postgres import start_embedded

MANY = 24_000
RESTARTS = 40
BLOCK = 20
WARM_UP = 20
MOST = 1.2
_WRITE = (
    "select body from robot_brain_api.write_message(p_tenant_id => 'local', p_session_id => %s, p_messages => %s,"
    " p_user_metadata => null, p_if_match => null, p_key => %s, p_first_id => null, p_repeated => false)"
)
_TURN = (
    '[{"robot_personality": "barista", "user_message": "a question", "robot_response": "an answer", "metadata": {}}]'
)
_FILL = """
insert into robot_brain.idempotency_keys (tenant_id, {column}, fingerprint, response, expires_at)
select 'local', {value}, sha256('x'), repeat('x', 200), now() + interval '{hours} hours' + n * interval '0.1 seconds'
from generate_series(1, {number}) n
"""


def main() -> None:
    """Run the benchmark and print its table and its RESULT line."""
    options = measure.arguments(str(__doc__), rounds=40).parse_args()
    server = start_embedded(settings={"autovacuum": "off"})
    try:
        template = make_template(server)
        samples = {
            "open_snapshot": _with_an_open_snapshot(template, options.rounds),
            "restarts": _after_restarts(template, options.rounds),
        }
        version = f"{server.version}"
    finally:
        server.stop()
    rows = []
    for name, taken in samples.items():
        ratio = taken.ratio("with", "without")
        spreads = [taken.spread(side) for side in ("without", "with")]
        texts = [f"{one.median:.3f} ({one.low:.3f}..{one.high:.3f})" for one in spreads]
        rows.append([name, *texts, f"{ratio.median:.2f} ({ratio.low:.2f}..{ratio.high:.2f})"])
        rows[-1].append(measure.target(ratio.median, MOST))
    print(f"\nA write with a key, milliseconds, p50 (quartiles); with: after {MANY:,} keys expired and were cleared\n")
    print(measure.table(["while, or after", "without", "with", "with / without", "target"], rows))
    measure.report(
        "keys",
        {f"{name}_ratio": round(taken.ratio("with", "without").median, 3) for name, taken in samples.items()},
        options.output,
        runs={"rounds": options.rounds, "block": BLOCK, "keys": MANY, "restarts": RESTARTS},
        machine=measure.machine(postgresql=version, psycopg=psycopg.__version__),
        milliseconds={
            name: {side: taken.spread(side).json() for side in ("without", "with")} for name, taken in samples.items()
        },
    )


def _with_an_open_snapshot(template: Template, rounds: int) -> measure.Samples:
    with template.clone("embedded") as without, template.clone("embedded") as grown:
        with grown.admin() as dump, grown.admin() as admin:
            dump.execute("begin isolation level repeatable read")
            dump.execute("select pg_current_xact_id()")
            _fill(admin, MANY)
            _clear(admin)
            samples = _compare(without, grown, rounds, "open snapshot")
            dump.execute("rollback")
        return samples


def _after_restarts(template: Template, rounds: int) -> measure.Samples:
    without, grown = (_migrated(template, name) for name in ("without", "grown"))
    progress = measure.Progress(RESTARTS, "restarts")
    for number in range(RESTARTS):
        with grown.admin() as admin, _writer(grown.app_url, f"{number} ") as write:
            _fill(admin, MANY // RESTARTS, f"{number} ")
            _fill(admin, MANY // RESTARTS, f"live {number} ", hours=12)
            for _ in range(BLOCK):
                write()
            _clear(admin)
            # The test server runs without fsync, so it must write its data before it is killed.
            admin.execute("checkpoint")
        # The kill also loses the server's statistics about its tables.
        template.postgres.process.kill()
        template.postgres.process.start()
        progress.step()
    progress.end()
    return _compare(without, grown, rounds, "after restarts")


def _migrated(template: Template, name: str) -> Database:
    """Make a database that lives as long as the server. A clone would keep a connection open, which a restart ends."""
    postgres = template.postgres
    with postgres.admin() as admin:
        create_database(admin, name)
    migrate(postgres.direct_url(name))
    return Database("embedded", name, template.app_url(name), postgres.direct_url(name), postgres)


def _compare(without: Database, grown: Database, rounds: int, title: str) -> measure.Samples:
    """Return milliseconds per write. A sample is the median of a block, and blocks of the two sides alternate."""
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(_writer(database.app_url, title))
            for name, database in (("without", without), ("with", grown))
        }
        for write in sides.values():
            for _ in range(WARM_UP):
                write()
        return measure.alternate({name: partial(_block, write) for name, write in sides.items()}, rounds, title=title)


def _block(write: Any) -> float:
    return statistics.median(_milliseconds(write) for _ in range(BLOCK))


def _milliseconds(write: Any) -> float:
    started = time.perf_counter()
    write()
    return (time.perf_counter() - started) * 1000


@contextmanager
def _writer(url: str, name: str) -> Iterator[Any]:
    """Open a connection like that of the functions. Yield a function that writes a turn with a new key."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        yield lambda: connection.execute(_WRITE, ("s", _TURN, f"{name}{os.urandom(16).hex()}"))


def _fill(admin: psycopg.Connection[Any], number: int, name: str = "", hours: int = -2) -> None:
    """Insert `number` keys that expire one after the other, the first one `hours` from now."""
    hashed = _has(admin, "select 1 from pg_attribute where attname = 'key_hash'")
    column, value = ("key_hash", f"sha256(convert_to('{name}' || n, 'UTF8'))") if hashed else ("key", f"'{name}' || n")
    admin.execute(_FILL.format(column=column, value=value, number=number, hours=hours).encode())


def _clear(admin: psycopg.Connection[Any]) -> None:
    """Delete expired keys, as the refresh does."""
    if _has(admin, "select 1 from pg_proc where proname = 'clear_keys'"):
        while admin.execute("select robot_brain.clear_keys(20000, true)").fetchone() != (0,):
            pass
    else:
        admin.execute("delete from robot_brain.idempotency_keys where expires_at <= now()")


def _has(admin: psycopg.Connection[Any], question: str) -> bool:
    """Return whether a catalogue has a row, so that an older schema can be measured too."""
    return admin.execute(question.encode()).fetchone() is not None


if __name__ == "__main__":
    main()
