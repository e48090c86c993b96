"""The stand-in for Neon with its own servers: PostgreSQL with TLS, PgBouncer, and one migrated database."""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from local.compute import Clock
from ops.migrate import migrate
from tests.support.neon.stand_in import StandIn
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import MissingBinaryError, debian_libfaketime
from tests.support.servers.databases import APP, create_database, set_app_login
from tests.support.servers.pgbouncer import start_pgbouncer
from tests.support.servers.postgres import start_tls
from tests.support.servers.process import remove_folder, server_folder

DATABASE = "robot_brain"
# Acknowledged writes must survive SIGKILL. There are few connections, so that a fault can take all of them. A server
# waits for a standby only if it could have one.
_SETTINGS = {"synchronous_commit": "on", "max_connections": "40", "wal_level": "replica", "max_wal_senders": "2"}


@contextlib.contextmanager
def neon_stand_in(
    authority: Authority,
    *,
    names: bool = False,
    clock: Clock | None = None,
    suspend_after: float | None = None,
    wake_seconds: float = 0.0,
    clock_kept: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[StandIn]:
    """Run servers for this stand-in alone, and remove them afterwards.

    With `names` the URL has a name that only the file of `resolve_with` (tests/support/neon/names.py) knows.
    Without libfaketime no test can step its clock. `clock_kept` is that of WallClock. Raises MissingBinaryError if
    PostgreSQL or PgBouncer is not installed.
    """
    folder = server_folder()
    with contextlib.ExitStack() as stack:
        stack.callback(remove_folder, folder)
        postgres = start_tls(authority, _SETTINGS, steppable=_has_libfaketime(), clock_kept=clock_kept)
        stack.callback(postgres.stop)
        password = secrets.token_urlsafe(24)
        with postgres.admin() as admin:
            create_database(admin, DATABASE)
            migrate(postgres.direct_url(DATABASE))
            set_app_login(admin, password)
        pgbouncer = start_pgbouncer(postgres, authority)
        stack.callback(pgbouncer.stop)
        stand_in = StandIn(
            postgres.process,
            pgbouncer.process,
            app_url=pgbouncer.address.url(APP, password, DATABASE),
            direct_url=postgres.direct_url(DATABASE),
            admin_url=postgres.admin_url(DATABASE),
            console_url=pgbouncer.console_url,
            certificates=authority.certificates(folder),
            names=_names(folder) if names else None,
            wall_clock=postgres.clock,
            standbys=True,
            clock=clock,
            suspend_after=suspend_after,
            wake_seconds=wake_seconds,
            say=say,
        )
        yield stack.enter_context(stand_in)


def _has_libfaketime() -> bool:
    try:
        debian_libfaketime()
    except MissingBinaryError:
        return False
    return True


def _names(folder: Path) -> Path:
    folder.chmod(0o755)
    return folder / "names.json"
