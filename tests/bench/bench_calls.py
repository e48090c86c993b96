"""The CPU time of the server for each bare SQL call, compared with the schema of another working tree.

    PYTHONPATH=.:functions:layers/robot_brain python -m tests.bench.bench_calls --before FOLDER      ROUNDS=300

FOLDER is a working tree of the commit before, for example from `git worktree add --detach FOLDER COMMIT`. Both schemas
are on one server, and blocks of calls alternate.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from local.settings import ROOT
from tests.bench import measure, texts
from tests.bench.server_time import taken
from tests.support.servers.databases import create_database
from tests.support.servers.postgres import Postgres, start_embedded

BLOCK = 10
WARM_UP = 100
MOST = 1.02
# A role of every schema, so that both sides log in alike.
LOGIN = "robot_brain_app"
_WRITE = (
    "select body, replayed, etag from robot_brain_api.write_message(p_tenant_id => 'local', p_session_id => %s,"
    " p_messages => %s, p_key => %s, p_first_id => %s, p_as_user => %s)"
)
_READ = "select body, etag from robot_brain_api.read_session(p_tenant_id => 'local', p_session_id => 'long')"
_PUT = (
    "select body, etag from robot_brain_api.replace_turn(p_tenant_id => 'local', p_session_id => %s, p_seq => 1,"
    " p_turn => %s)"
)
_STATS = "select body, stale from robot_brain_api.stats(p_tenant_id => 'local', p_max_age => 3600)"
_REFRESH = "select robot_brain_api.refresh_stats(), robot_brain_api.refresh_view()"
LONG = 1000
OTHERS = 500


class Side:
    """A connection to one database. Each method makes one call."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._number = count()
        self._messages = [json.dumps([{**texts.turn(number), "metadata": {}}]) for number in range(100)]
        self._many = json.dumps([{**texts.turn(number), "metadata": {}} for number in range(50)])

    def fill(self) -> None:
        """Write a long session and some others, then refresh."""
        for _ in range(LONG // 50):
            self._write("long", self._many)
        for number in range(OTHERS):
            self._write(f"other {number}", self._messages[number % 100])
        self.refresh()

    def refresh(self) -> None:
        """Count the turns of the statistics, so that the next figures add up few rows."""
        self._connection.execute(_REFRESH)

    def write(self) -> None:
        """Append a turn to a session that exists."""
        number = next(self._number)
        self._write(f"other {number % OTHERS}", self._messages[number % 100])

    def write_to_one(self) -> None:
        """Append a turn to the same session as the call before."""
        self._write("one", self._messages[next(self._number) % 100])

    def write_with_key(self) -> None:
        """Append a turn with a client's key."""
        number = next(self._number)
        self._write(f"other {number % OTHERS}", self._messages[number % 100], os.urandom(16).hex())

    def write_to_new(self) -> None:
        """Append the first turn of a session."""
        number = next(self._number)
        self._write(f"new {number}", self._messages[number % 100])

    def write_to_new_as_user(self) -> None:
        """Append the first turn of a session as an end user."""
        number = next(self._number)
        self._write(f"new {number}", self._messages[number % 100], user=f"user {number % OTHERS}")

    def write50(self) -> None:
        """Append 50 turns to a session that exists."""
        self._write(f"other {next(self._number) % OTHERS}", self._many)

    def put(self) -> None:
        """Replace the first turn of a session by another text."""
        number = next(self._number)
        turn = {"user_message": f"question {number}", "robot_response": "y" * 300, "metadata": {}}
        self._connection.execute(_PUT, (f"other {number % OTHERS}", json.dumps(turn))).fetchone()

    def read(self) -> None:
        """Read the newest 50 turns of a long session."""
        self._connection.execute(_READ).fetchone()

    def stats(self) -> None:
        """Read the tenant's figures."""
        self._connection.execute(_STATS).fetchone()

    def microseconds(self, call: Callable[[], None], calls: int) -> float:
        """Return the CPU time of the server for each of `calls` calls."""
        return taken(self._connection, call, calls).cpu * 1000

    def wal_bytes(self, call: Callable[[], None], calls: int) -> float:
        """Return the bytes of WAL of the connection for each of `calls` calls. The server is PostgreSQL 18 or later."""
        before = self._wal()
        for _ in range(calls):
            call()
        return (self._wal() - before) / calls

    def _wal(self) -> float:
        self._connection.execute("select pg_stat_force_next_flush()")
        row = self._connection.execute("select wal_bytes from pg_stat_get_backend_wal(pg_backend_pid())").fetchone()
        assert row is not None
        return float(row[0])

    def _write(self, session_id: str, messages: str, key: str | None = None, user: str | None = None) -> None:
        first_id = os.urandom(16).hex() if key is None else None
        self._connection.execute(_WRITE, (session_id, messages, key, first_id, user)).fetchone()


# Method, and what the table says.
ROWS = {
    "write": "write a turn",
    "write_to_one": "write a turn, always the same session",
    "write_with_key": "write a turn with a key",
    "write_to_new": "write the first turn of a session",
    "write_to_new_as_user": "write the first turn of a session as an end user",
    "write50": "write 50 turns",
    "put": "replace a turn",
    "read": "read 50 of 1,000 turns",
    "stats": "stats",
}


def main() -> None:
    """Run the benchmark and print its table and its RESULT line."""
    parser = measure.arguments(str(__doc__), rounds=300)
    parser.add_argument("--before", type=Path, required=True, help="the working tree to compare with")
    parser.add_argument("--only", default="", help="rows, with commas between them")
    options = parser.parse_args()
    rows = options.only.split(",") if options.only else list(ROWS)
    # Autovacuum would run at other times in one database than in the other.
    server = start_embedded(settings={"autovacuum": "off"})
    try:
        samples = _compare(server, {"before": options.before, "now": ROOT}, rows, options.rounds)
        version = f"{server.version}"
    finally:
        server.stop()
    shown = []
    for row, measured in samples.items():
        ratio = measured.ratio("now", "before")
        spreads = [measured.spread(side) for side in ("before", "now")]
        cells = [f"{one.median:.0f} ({one.low:.0f}..{one.high:.0f})" for one in spreads]
        shown.append([ROWS[row], *cells, f"{ratio.median:.3f} ({ratio.low:.3f}..{ratio.high:.3f})"])
        shown[-1].append(measure.target(round(ratio.median, 3), MOST))
    print("\nCPU microseconds of the server for a call, median (quartiles)\n")
    print(measure.table(["call", "before", "now", "now / before", "target"], shown))
    measure.report(
        "calls",
        {f"{row}_over_before": round(each.ratio("now", "before").median, 3) for row, each in samples.items()},
        options.output,
        runs={"rounds": options.rounds, "block": BLOCK},
        machine=measure.machine(postgresql=version, psycopg=psycopg.__version__),
        microseconds={
            row: {side: each.spread(side).json(1) for side in ("before", "now")} for row, each in samples.items()
        },
    )


def _compare(server: Postgres, trees: dict[str, Path], rows: list[str], rounds: int) -> dict[str, measure.Samples]:
    found: dict[str, measure.Samples] = {}
    with ExitStack() as stack:
        sides = {name: stack.enter_context(_side(server, name, tree)) for name, tree in trees.items()}
        for side in sides.values():
            side.fill()
        for row in rows:
            for side in sides.values():
                side.refresh()
                side.microseconds(getattr(side, row), WARM_UP)
            blocks = {name: partial(side.microseconds, getattr(side, row), BLOCK) for name, side in sides.items()}
            found[row] = measure.alternate(blocks, rounds, title=ROWS[row], unit="us")
    return found


@contextmanager
def _side(server: Postgres, name: str, tree: Path) -> Iterator[Side]:
    """Make a database with the schema of a working tree. Yield the side that calls it."""
    with server.admin() as admin:
        create_database(admin, name)
        path = os.pathsep.join([str(tree), str(tree / "layers" / "robot_brain")])
        environment = {**os.environ, "DIRECT_DATABASE_URL": server.direct_url(name), "PYTHONPATH": path}
        subprocess.run([sys.executable, "-m", "ops", "migrate"], cwd=tree, env=environment, check=True)
        admin.execute(f"alter role {LOGIN} login".encode())
    url = server.address.url(LOGIN, "", name)
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        yield Side(connection)


if __name__ == "__main__":
    main()
