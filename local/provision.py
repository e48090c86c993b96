"""Make a database ready for the functions: one's own as it is, or the embedded one, started and migrated."""

import contextlib
from collections.abc import Callable, Iterator

from local.migrate import migrate
from local.neon.compute import Compute
from local.neon.stand_in import StandIn
from local.postgres import EmbeddedPostgres, embedded_postgres
from local.settings import Settings
from local.state import State

WAKE_SECONDS = 0.5  # the least a wake takes: Neon's takes a few hundred milliseconds


@contextlib.contextmanager
def ready_database(settings: Settings, state: State, say: Callable[[str], None]) -> Iterator[str | None]:
    """Yield the embedded database's URL for the functions, or None where the settings name one already.

    The caller holds the state folder's lock. `say` receives a line for each step. Raises PostgresError and
    MigrationError.
    """
    if settings.own_database:
        if settings.direct_url:
            say("Migrating the database of DIRECT_DATABASE_URL …")
            _migrate(settings.direct_url, say)
        else:
            say("Using your database as it is (set DIRECT_DATABASE_URL as well to migrate it first).")
        yield None
        return
    folder = state.folder / "postgres"
    say(f"{'Starting' if folder.exists() else 'Creating'} PostgreSQL in {folder} …")
    with embedded_postgres(folder) as postgres:
        _migrate(postgres.direct_url, say)
        postgres.let_runtime_log_in()
        with _kept_running(postgres, settings.scale_to_zero, say) as app_url:
            yield app_url


@contextlib.contextmanager
def _kept_running(postgres: EmbeddedPostgres, scale_to_zero: int | None, say: Callable[[str], None]) -> Iterator[str]:
    """Yield the functions' URL of a server that is started again if it dies, and sleeps as Neon's if that is wanted."""
    if scale_to_zero is None:
        compute = Compute(postgres.server, say=say, revive=True)
        with contextlib.closing(compute), compute.watched():
            yield postgres.app_url
        return
    with StandIn(
        postgres.server,
        app_url=postgres.app_url,
        direct_url=postgres.direct_url,
        admin_url=postgres.admin_url,
        suspend_after=scale_to_zero,
        wake_seconds=WAKE_SECONDS,
        say=say,
        revive=True,
    ) as stand_in:
        say(f"The database sleeps after {scale_to_zero} s without a request, and the next one wakes it.")
        yield stand_in.url


def _migrate(direct_url: str, say: Callable[[str], None]) -> None:
    applied = migrate(direct_url)
    say(
        f"Migrated: {len(applied)} {'file' if len(applied) == 1 else 'files'} of sql/ applied."
        if applied
        else "The schema is up to date."
    )
