"""PUT by many clients: pgbench calls replace_turn as the layer does, on a database with the audit trail or without."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from local.settings import ROOT
from tests.bench.server_time import all_cpu_seconds
from tests.support.servers.databases import Database

CLIENTS = 8
OWN, SHARED = 50, 4  # sessions: of each client, and of all
TURNS = 20
REFRESH_SECONDS = 0.5
# The clients are execution environments, and not pgbench.
HANDLERS = "handlers"
# The session of a request, and the number of sessions to choose from.
KINDS = {
    "own": ("'own-' || :client_id || '-' || :session", OWN),
    "shared": ("'shared-' || :session", SHARED),
}
_TURN = {"robot_personality": "barista", "user_message": "x" * 60, "robot_response": "y" * 300, "metadata": {}}
_WRITE = (
    "select from robot_brain_api.write_message(p_tenant_id => 'local', p_session_id => %s, p_messages => %s,"
    " p_first_id => gen_random_uuid())"
)
# pgbench takes a colon in a text for the beginning of a variable.
_PUT = """
\\set session random(1, {sessions})
\\set seq random(1, {turns})
\\set text random(1, 1000000000)
select body, etag from robot_brain_api.replace_turn(
  p_tenant_id => 'local',
  p_session_id => {session},
  p_seq => :seq,
  p_turn => ('{{"user_message": "{user}", "robot_response": "{robot}' || :text || '", "metadata": {{}}}}')::jsonb,
  p_if_match => null,
  p_as_user => null,
  p_actor => 'arn/aws/sts/123456789012/assumed-role/robots/session-1',
  p_request_id => '3f2b1c1e-7d4a-4a56-9a3b-0d8f4a1c2e5b',
  p_schema_version => 6);
"""
_APPENDS = re.compile(r"^ *perform robot_brain\.audit_edit\([^;]*\);\n", re.MULTILINE)
_DEFINITION = "select pg_get_functiondef('robot_brain_api.replace_turn'::regproc)"
_VACUUM = "vacuum robot_brain.sessions, robot_brain.conversations, robot_brain.uncounted, robot_brain.audit_logs"


class Round(NamedTuple):
    """What a round did: calls a second, and the CPU milliseconds of the whole server for a call."""

    per_second: float
    cpu: float


class Row(NamedTuple):
    """A kind of load: of KINDS, or HANDLERS. `url` is that of its clients, and `refreshed` says if refreshes run."""

    kind: str
    url: str
    refreshed: bool = False


class PutLoad:
    """A database of many clients, with its audit trail or without."""

    def __init__(self, database: Database, seconds: int) -> None:
        """Take a new database, and the seconds of a round."""
        self._database = database
        self._seconds = seconds
        arguments = database.postgres.process.popen.args
        assert isinstance(arguments, list)
        self._pgbench = Path(str(arguments[0])).with_name("pgbench")
        with database.admin() as admin:
            whole = str(_one(admin, _DEFINITION))
        self._texts = {"with": whole, "without": _APPENDS.sub("", whole)}
        assert self._texts["with"] != self._texts["without"], "replace_turn has no statement that appends"

    def fill(self) -> None:
        """Write the sessions."""
        names = [f"own-{client}-{number}" for client in range(CLIENTS) for number in range(1, OWN + 1)]
        names += [f"shared-{number}" for number in range(1, SHARED + 1)]
        turns = Jsonb([_TURN] * TURNS)
        with self._database.app() as app:
            for name in names:
                app.execute(_WRITE, [name, turns])

    def run(self, row: Row, side: str) -> Round:
        """Let the clients call replace_turn for a round, `with` the audit trail or `without`."""
        server = self._database.postgres.process.pid
        with self._database.admin() as admin:
            admin.execute(self._texts[side].encode())
            refresh(admin)
            admin.execute(_VACUUM)
            before = _one(admin, "select count(*) from robot_brain.audit_logs")
            cpu = all_cpu_seconds(server)
            with ExitStack() as stack:
                if row.refreshed:
                    stack.enter_context(_refreshes(self._database))
                calls, per_second = self._request(row) if row.kind == HANDLERS else self._call(row)
            cpu = all_cpu_seconds(server) - cpu
            appended = _one(admin, "select count(*) from robot_brain.audit_logs") - before
        assert appended == (calls if side == "with" else 0), (row, side, calls, appended)
        return Round(per_second, cpu / calls * 1000)

    def _call(self, row: Row) -> tuple[int, float]:
        """Return the number of calls, and those a second."""
        session, sessions = KINDS[row.kind]
        user, robot = _TURN["user_message"], _TURN["robot_response"]
        text = _PUT.format(session=session, sessions=sessions, turns=TURNS, user=user, robot=robot)
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "put.sql"
            script.write_text(text)
            command = [self._pgbench, "--no-vacuum", "--protocol=extended", f"--client={CLIENTS}", "--jobs=2"]
            words = [*map(str, command), f"--time={self._seconds}", f"--file={script}", row.url]
            done = subprocess.run(words, capture_output=True, text=True, timeout=self._seconds + 60, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"pgbench ended with {done.returncode}: {done.stderr}")
        calls = re.search(r"transactions actually processed: (\d+)", done.stdout)
        per_second = re.search(r"tps = ([\d.]+)", done.stdout)
        assert calls is not None
        assert per_second is not None
        return int(calls[1]), float(per_second[1])

    def _request(self, row: Row) -> tuple[int, float]:
        """Return the number of requests through the handlers, and those a second."""
        path = os.pathsep.join(str(ROOT / folder) for folder in ("functions", "layers/robot_brain", "."))
        variables = {**os.environ, "DATABASE_URL": row.url, "PYTHONPATH": path}
        words = [sys.executable, "-m", "tests.bench.put_environment"]
        with ExitStack() as stack:
            clients = [
                stack.enter_context(
                    subprocess.Popen(
                        [*words, str(number)], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                    )
                )
                for number in range(CLIENTS)
            ]
            # The first round imports, connects and plans. It counts for neither.
            warm = sum(_rounds(clients, 0.2))
            calls = sum(_rounds(clients, self._seconds))
        return warm + calls, calls / self._seconds


def _rounds(clients: Sequence[subprocess.Popen[str]], seconds: float) -> list[int]:
    """Let each client make requests for a time. Return how many each made."""
    for client in clients:
        assert client.stdin is not None
        print(seconds, file=client.stdin, flush=True)
    made = []
    for client in clients:
        assert client.stdout is not None
        made.append(int(client.stdout.readline()))
    return made


def refresh(connection: psycopg.Connection[Any]) -> None:
    """Refresh the statistics and chain all entries, as the schedule does."""
    connection.execute("select robot_brain_api.refresh_stats(), robot_brain_api.refresh_view()")
    while '"has_more" : true' in str(_one(connection, "select robot_brain_api.chain_audit()")):
        pass


@contextmanager
def _refreshes(database: Database) -> Iterator[None]:
    """Refresh again and again, with a pause, until the block ends."""
    ended = threading.Event()

    def run() -> None:
        with database.app() as app:
            while not ended.is_set():
                refresh(app)
                ended.wait(REFRESH_SECONDS)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
