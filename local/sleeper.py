"""An embedded database that sleeps after a time without traffic and wakes for a connection, as Neon's compute does."""

import contextlib
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from local.compute import Compute
from local.postgres import EmbeddedPostgres
from local.relay import Connection, Relay, target

WAKE_SECONDS = 0.5  # the shortest wake; Neon's takes a few hundred milliseconds
_BUSY = """
select from pg_stat_activity
where backend_type = 'client backend' and pid <> pg_backend_pid() and xact_start is not null
"""


@contextlib.contextmanager
def sleeper(postgres: EmbeddedPostgres, seconds: int, say: Callable[[str], None]) -> Iterator[str]:
    """Yield the functions' URL of a server that stops after `seconds` without traffic.

    A connection to the URL wakes the server and waits for it. A server that dies is started again. The server is
    stopped at the end.
    """
    parameters = {name: str(value) for name, value in conninfo_to_dict(postgres.app_url).items()}
    compute = Compute(
        postgres.server,
        suspend_after=seconds,
        wake_seconds=WAKE_SECONDS,
        busy=lambda: in_transaction(postgres.admin_url),
        # Neon closes its clients' connections without a message.
        on_suspend=lambda: relay.drop(),
        say=say,
        revive=True,
    )
    relay = Relay(target(parameters), Connection, admit=compute.waking, on_traffic=compute.touch)
    with contextlib.closing(compute), relay, compute.watched():
        say(f"The database sleeps after {seconds} s without a request, and the next one wakes it.")
        user, database = (quote(parameters[name], safe="") for name in ("user", "dbname"))
        options = {name: value for name, value in parameters.items() if name not in ("host", "port", "user", "dbname")}
        yield f"postgresql://{user}@127.0.0.1:{relay.port}/{database}?{urlencode(options, safe='/')}".rstrip("?")


def in_transaction(admin_url: str) -> bool:
    """Return whether a client of the server has a transaction open."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        return bool(connection.execute(_BUSY).fetchall())
