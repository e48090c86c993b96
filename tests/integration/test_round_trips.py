"""Every request is one statement: counted by the server itself, and on the wire."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.databases import Database

REQUESTS: dict[str, Callable[[Bundle], int]] = {
    "write": lambda bundle: bundle.write("s", turn()).status,
    "write a batch": lambda bundle: bundle.write("s", {"messages": [turn()] * 50}).status,
    "write with a key": lambda bundle: bundle.write("s", turn(), {"idempotency-key": "new"}).status,
    "replay": lambda bundle: bundle.write("s", turn(), {"idempotency-key": "old"}).status,
    "failed precondition": lambda bundle: bundle.write("s", turn(), {"if-match": '"99"'}).status,
    "read": lambda bundle: bundle.read("s").status,
    "read nothing new": lambda bundle: bundle.read("s", {"if-none-match": "*"}).status,
    "read of an unknown session": lambda bundle: bundle.read("nobody").status,
    "stats": lambda bundle: bundle.stats().status,
    "stats of a session": lambda bundle: bundle.stats(session_id="s").status,
    "deep health": lambda bundle: bundle.database_health().status,
}
EXPECTED = {"failed precondition": 412, "read nothing new": 304, "read of an unknown session": 404}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("database", ["tls", "pooled"], indirect=True)
def test_a_request_is_one_statement_to_the_server(bundle: Bundle, database: Database, name: str) -> None:
    bundle.write("s", turn(), {"idempotency-key": "old"})
    with database.admin() as admin:
        admin.execute("create extension pg_stat_statements")
        admin.execute("select pg_stat_statements_reset()")
        status = REQUESTS[name](bundle)
        calls = admin.execute(
            "select s.query, s.calls from pg_stat_statements s join pg_roles r on r.oid = s.userid"
            " where r.rolname = 'robot_brain_app'"
            " and s.dbid = (select oid from pg_database where datname = current_database())"
            " and s.toplevel"
        ).fetchall()
    assert status in (EXPECTED.get(name, status), 200, 201)
    # A statement that raises is not counted by the server; it was sent once all the same, which the wire shows below.
    assert sum(count for _, count in calls) == (0 if name == "failed precondition" else 1), calls


class CountingRelay:
    """Passes bytes between a client and a server's unix socket and counts how often the direction turns."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.round_trips = 0
        self._asked = False
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._path)
            self._open += [client, server]
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, asking: bool) -> None:
        while True:
            try:
                data = source.recv(65536)
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                if asking and not self._asked:
                    self.round_trips += 1
                self._asked = asking
                target.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        """Close every socket; the threads end with them."""
        for each in self._open:
            each.close()


@contextmanager
def relay_to(database: Database) -> Iterator[CountingRelay]:
    """Start a relay to the server of `database`."""
    with database.admin() as admin:
        folder = admin.info.host
        relay = CountingRelay(f"{folder}/.s.PGSQL.{admin.info.port}")
    try:
        yield relay
    finally:
        relay.close()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_one_round_trip_on_the_wire(embedded_database: Database, name: str) -> None:
    with relay_to(embedded_database) as relay:
        url = f"postgresql://robot_brain_app@127.0.0.1:{relay.port}/{embedded_database.name}?sslmode=disable"
        with deployed({"DATABASE_URL": url}) as bundle:
            bundle.write("s", turn(), {"idempotency-key": "old"})
            before = relay.round_trips
            status = REQUESTS[name](bundle)
            assert relay.round_trips - before == 1
    assert status == EXPECTED.get(name, status)
    assert status in (200, 201, 304, 404, 412)


def test_shallow_health_sends_nothing(embedded_database: Database) -> None:
    with relay_to(embedded_database) as relay:
        url = f"postgresql://robot_brain_app@127.0.0.1:{relay.port}/{embedded_database.name}?sslmode=disable"
        with deployed({"DATABASE_URL": url}) as bundle:
            assert bundle.health().status == 200
        assert relay.round_trips == 0
