"""make bench WHAT=scale: the cost of a request after years of talk, compared with the same months of 50,000 turns.

The first run makes the databases by SQL and keeps them in .local/bench-scale. A later run makes them again if the
schema has changed or the week is over. One connection to each database calls the SQL functions themselves, in turn. A
handler's own time is the same on both, and would only hide the growth.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from local.settings import ROOT
from tests.bench.measure import Progress, Samples, Spread, arguments, machine, report, table, target
from tests.bench.scale_data import MONTHS, PROBES, Size, ensure
from tests.bench.scale_load import TURN, Load, environments, pgbench
from tests.bench.scale_server import kept_postgres, pgbouncer_before
from tests.support.plans import explain_page
from tests.support.servers.databases import APP
from tests.support.servers.postgres import Postgres

KEPT = ROOT / ".local" / "bench-scale" / "data"
SMALL_TURNS = 50_000
ENVIRONMENTS = 32
SERVER_CONNECTIONS = 20
_READ = "select body, etag from robot_brain_api.read_session('local', %s, 50, null, null, null, '{}')"
_READ_CHARS = "select body, etag from robot_brain_api.read_session('local', %s, 50, null, null, 1000000, '{}')"
_WRITE = "select body, replayed from robot_brain_api.write_message('local', %s, %s, null, null, null, %s, false)"
_LIST = "select body from robot_brain_api.list_sessions('local', 20, %s)"
_OLD = "select robot_brain.make_list_cursor(s, null) from robot_brain.sessions s where s.id = 'old-1'"
_STATS = "select body from robot_brain_api.stats('local', null, 3600)"
_REFRESH = "select robot_brain_api.refresh_stats(), robot_brain_api.refresh_view()"
_ORDINARY = """
select s.id from robot_brain.sessions s
where s.created_at > date_trunc('month', now() - make_interval(months => %s, days => 14))
  and s.last_active < date_trunc('month', now() - make_interval(months => %s, days => 14)) + interval '1 month'
  and s.message_count between 20 and 50 and s.id like 'session-%%'
order by random()
"""
ONCE = 5  # first reads of each kind in one round
CALLS = 20  # of each kind in one round; the round's sample is their median
# The ratios with a target: numerator and denominator, and the maximum.
RATIOS = {
    "write_ratio": ("write", "large", "write", "small", 1.25),
    "read_recent_ratio": ("read recent", "large", "read recent", "small", 1.25),
    "read_old_over_recent": ("read old", "large", "read recent", "large", 1.5),
    "refresh_ratio": ("refresh", "large", "refresh", "small", 2.0),
    "stats_ratio": ("stats", "large", "stats", "small", 1.25),
    # 10 and 90 % of the turns were removed, and the newest half.
    "read_few_lost_ratio": ("read few", "large", "read few", "small", 1.25),
    "read_many_lost_ratio": ("read many", "large", "read many", "small", 1.25),
    "read_tail_lost_ratio": ("read tail", "large", "read tail", "small", 1.25),
    "list_ratio": ("list", "large", "list", "small", 1.25),
    "list_old_ratio": ("list old", "large", "list old", "small", 1.25),
}


class Client:
    """One connection of the runtime role to one database. Each method times one request."""

    def __init__(self, connection: psycopg.Connection[Any], old: str) -> None:
        """Take the connection, and the cursor of a page of the list that is thirty months old."""
        self._connection = connection
        self._old = old
        self._number = 0

    def read(self, kind: str, query: str = _READ) -> float:
        """Return the milliseconds of a read of the next session of a kind."""
        return self.read_session(f"{kind}-{self._next(PROBES[kind])}", query)

    def read_session(self, session_id: str, query: str = _READ) -> float:
        """Return the milliseconds of a read of one session."""
        return self._timed(query, (session_id,))

    def write(self, kind: str = "write") -> float:
        """Return the milliseconds of a write of one turn to the next session of a kind."""
        return self._timed(_WRITE, (f"{kind}-{self._next(PROBES[kind])}", TURN, os.urandom(16).hex()))

    def list(self, old: bool) -> float:
        """Return the milliseconds of a page of the list: the first one, or one that is thirty months old."""
        return self._timed(_LIST, (self._old if old else None,))

    def stats(self) -> float:
        """Return the milliseconds of the tenant's figures."""
        return self._timed(_STATS, ())

    def refresh(self) -> float:
        """Write a turn to each of the same 1,000 sessions. Return the milliseconds of the refresh after that."""
        for _ in range(PROBES["changed"]):
            self.write("changed")
        return self._timed(_REFRESH, ())

    def _next(self, number: int) -> int:
        self._number += 1
        return self._number % number + 1

    def _timed(self, query: str, parameters: tuple[object, ...]) -> float:
        started = time.perf_counter()
        row = self._connection.execute(query, parameters).fetchone()
        milliseconds = (time.perf_counter() - started) * 1000
        assert row is not None
        assert row[0] is not None, parameters
        return milliseconds


def measure(clients: dict[str, Client], rounds: int, refreshes: int) -> Samples:
    """Return the samples of every kind of request on each database, named `<kind> <database>`."""
    kinds: dict[str, Callable[[Client], float]] = {
        "write": lambda client: client.write(),
        "read recent": lambda client: client.read("recent"),
        "read old": lambda client: client.read("old"),
        "read max_chars": lambda client: client.read("recent", _READ_CHARS),
        "stats": lambda client: client.stats(),
        "read few": lambda client: client.read("few"),
        "read many": lambda client: client.read("many"),
        "read tail": lambda client: client.read("tail"),
        "list": lambda client: client.list(old=False),
        "list old": lambda client: client.list(old=True),
    }
    samples = Samples()
    progress = Progress(rounds + 1 + refreshes * 3, "requests")
    for number in range(rounds + 1):
        for kind, call in kinds.items():
            taken: dict[str, list[float]] = {name: [] for name in clients}
            for repeat in range(CALLS):
                names = list(clients) if repeat % 2 == 0 else list(reversed(clients))
                for name in names:
                    taken[name].append(call(clients[name]))
            for name, values in taken.items():
                if number > 0:  # the first round warms up
                    samples.add(f"{kind} {name}", Spread.of(values).median)
        progress.step("requests")
    for number in range(refreshes):
        for name in clients if number % 2 == 0 else reversed(clients):
            samples.add(f"refresh {name}", clients[name].refresh())
        progress.step("refresh", 3)
    progress.end()
    return samples


def read_once(postgres: Postgres, size: Size, client: Client, rounds: int) -> Samples:
    """Return the milliseconds of first reads of ordinary sessions, of 20 to 50 turns that no request has read."""
    with postgres.admin(size.name) as admin:
        sessions = [
            [row[0] for row in admin.execute(_ORDINARY, [months, months]).fetchall()][: rounds * ONCE]
            for months in (0, 30)
        ]
    samples = Samples()
    for number in range(min(len(ids) for ids in sessions) // ONCE):
        for name, ids in zip(("recent", "old"), sessions, strict=True):
            taken = [client.read_session(session_id) for session_id in ids[number * ONCE : (number + 1) * ONCE]]
            samples.add(name, Spread.of(taken).median)
    return samples


def partitions(postgres: Postgres, size: Size) -> dict[str, list[str]]:
    """Return the months that read_session's statement scans for sessions that lived in 1, 2 and 3 months."""
    with postgres.admin(size.name) as admin:
        return {
            f"lived-{months}": [
                f"{scan} on {partition}"
                for partition, scan in explain_page(admin, f"lived-{months}", 11, 60, "force_custom_plan").scans()
            ]
            for months in (1, 2, 3)
        }


def concurrent(postgres: Postgres, programs: Path, size: Size, rounds: int, seconds: int) -> dict[str, list[Load]]:
    """Let execution environments and pgbench work in turn through the pooler. Return the rounds of each."""
    loads: dict[str, list[Load]] = {}
    with pgbouncer_before(postgres, SERVER_CONNECTIONS) as address:
        url = address.url(APP, "", size.name)
        with environments(ENVIRONMENTS, url) as started:
            progress = Progress(rounds * 4, f"{ENVIRONMENTS} at a time")
            for number in range(rounds):
                for function in ("write_message", "read_session"):
                    for contender in ("handlers", "pgbench") if number % 2 == 0 else ("pgbench", "handlers"):
                        load = (
                            started.run(function, seconds)
                            if contender == "handlers"
                            else pgbench(programs / "pgbench", url, function, ENVIRONMENTS, seconds)
                        )
                        loads.setdefault(f"{function} {contender}", []).append(load)
                        progress.step(f"{function} {contender} {load.per_second:.0f}/s")
            progress.end()
    return loads


def main() -> None:
    """Make missing databases, measure, and print the tables and the RESULT line."""
    parser = arguments(__doc__.splitlines()[0], rounds=40)
    parser.add_argument("--turns", type=int, default=int(os.environ.get("TURNS") or 5_000_000))
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("SECONDS_EACH") or 8), help="of each load")
    parser.add_argument("--kept", type=Path, default=KEPT, help="the folder of the databases (default: %(default)s)")
    given = parser.parse_args()
    sessions = given.turns * 400_000 // 5_000_000
    active = max(sessions // MONTHS, 100)
    sizes = {
        "small": Size(SMALL_TURNS, min(active + 4_000, 16_000), active),
        "large": Size(given.turns, sessions, active),
    }
    with kept_postgres(given.kept) as (postgres, programs), ExitStack() as stack:
        for size in sizes.values():
            ensure(postgres, size)
        counts = {name: _count(postgres, size) for name, size in sizes.items()}
        scanned = partitions(postgres, sizes["large"])
        clients = {}
        for name, size in sizes.items():
            url = postgres.address.url(APP, "", size.name)
            connection = stack.enter_context(psycopg.connect(url, autocommit=True, prepare_threshold=None))
            clients[name] = Client(connection, _old_cursor(postgres, size))
        samples = measure(clients, given.rounds, max(3, given.rounds // 6))
        once = read_once(postgres, sizes["large"], clients["large"], given.rounds)
        loads = concurrent(postgres, programs, sizes["large"], max(3, given.rounds // 12), given.seconds)
        with postgres.admin() as admin:
            version = str(admin.info.parameter_status("server_version"))
    first = once.ratio("old", "recent")
    _show(samples, counts, scanned, loads)
    print(f"first reads of a session, old over recent: {first.median:.2f} ({first.low:.2f}..{first.high:.2f})")
    ratios: dict[str, object] = {}
    for name, (kind, database, base, base_database, _) in RATIOS.items():
        ratios[name] = round(samples.ratio(f"{kind} {database}", f"{base} {base_database}").median, 3)
    ratios["first_read_old_over_recent"] = round(first.median, 3)
    ratios["throughput_over_pgbench"] = round(_over(loads, "write_message"), 3)
    ratios["read_throughput_over_pgbench"] = round(_over(loads, "read_session"), 3)
    ratios["failed_requests"] = sum(len(load.failed) for rounds in loads.values() for load in rounds)
    report(
        "scale",
        ratios,
        given.output,
        runs=given.rounds,
        databases=counts,
        partitions=scanned,
        milliseconds={name: samples.spread(name).json() for name in samples.by_name},
        load={
            name: {
                "per_second": Spread.of([load.per_second for load in rounds]).json(0),
                "p50": Spread.of([load.p50 for load in rounds]).json(1),
                "p99": Spread.of([load.p99 for load in rounds]).json(1),
                "cpu": Spread.of([load.cpu for load in rounds]).json(2),
            }
            for name, rounds in loads.items()
        },
        machine=machine(postgresql=version, durability="fsync off"),
    )


def _count(postgres: Postgres, size: Size) -> dict[str, Any]:
    with postgres.admin(size.name) as admin:
        row = admin.execute(
            "select t.messages, t.sessions, (select count(*) from robot_brain.session_stats),"
            " (select count(*) from pg_inherits where inhparent = 'robot_brain.conversations'::regclass),"
            " pg_size_pretty(pg_database_size(current_database()))"
            " from robot_brain.tenant_stats t where t.tenant_id = 'local'"
        ).fetchone()
    assert row is not None
    return dict(zip(("turns", "sessions", "active_sessions", "partitions", "size"), row, strict=True))


def _old_cursor(postgres: Postgres, size: Size) -> str:
    with postgres.admin(size.name) as admin:
        row = admin.execute(_OLD).fetchone()
    assert row is not None
    return str(row[0])


def _over(loads: dict[str, list[Load]], function: str) -> float:
    pairs = zip(loads[f"{function} handlers"], loads[f"{function} pgbench"], strict=True)
    return Spread.of([one.per_second / other.per_second for one, other in pairs]).median


def _show(
    samples: Samples, counts: dict[str, dict[str, Any]], scanned: dict[str, list[str]], loads: dict[str, list[Load]]
) -> None:
    for name, facts in counts.items():
        print(f"{name}: " + ", ".join(f"{value} {fact}" for fact, value in facts.items()))
    kinds = list(dict.fromkeys(name.rsplit(" ", 1)[0] for name in samples.by_name))
    rows = []
    for kind in kinds:
        small, large = samples.spread(f"{kind} small"), samples.spread(f"{kind} large")
        ratio = samples.ratio(f"{kind} large", f"{kind} small")
        rows.append((kind, _range(small), _range(large), f"{ratio.median:.2f} ({ratio.low:.2f}..{ratio.high:.2f})"))
    print("\nMilliseconds of one SQL call, median (quartiles) of the rounds\n")
    print(table(("request", "50,000 turns", "large", "large / small"), rows))
    verdicts = []
    for name, (kind, database, base, base_database, most) in RATIOS.items():
        ratio = samples.ratio(f"{kind} {database}", f"{base} {base_database}")
        verdicts.append((name, f"{ratio.median:.3f}", f"{ratio.low:.2f}..{ratio.high:.2f}", target(ratio.median, most)))
    print(f"\n{table(('ratio', 'median', 'quartiles', 'target'), verdicts)}\n")
    for session, scans in scanned.items():
        print(f"{session}: {len(scans)} months scanned: {', '.join(scans)}")
    print(f"\n{ENVIRONMENTS} at a time through PgBouncer with {SERVER_CONNECTIONS} server connections\n")
    lines = []
    for name, rounds in loads.items():
        measured = [[getattr(load, field) for load in rounds] for field in ("per_second", "p50", "p99")]
        per_second, p50, p99 = (Spread.of(values) for values in measured)
        failed = sum(len(load.failed) for load in rounds)
        cpu = Spread.of([load.cpu for load in rounds]).median
        lines.append(
            (name, f"{per_second.median:.0f}", _range(p50), _range(p99), f"{cpu:.2f}" if cpu else "", str(failed))
        )
    print(table(("contender", "requests/s", "p50 ms", "p99 ms", "handler's CPU ms", "failed"), lines))
    for function in ("write_message", "read_session"):
        print(f"{function}: handlers reach {_over(loads, function):.2f} of pgbench's throughput")
    for text in [text for rounds in loads.values() for load in rounds for text in load.failed][:5]:
        print(f"failed: {text}")


def _range(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.low:.2f}..{spread.high:.2f})"


if __name__ == "__main__":
    main()
