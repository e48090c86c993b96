"""Make a database ready for the functions: the database that the settings name, or the embedded one."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from local.compute import Compute
from local.postgres import EmbeddedPostgres, embedded_postgres
from local.settings import Settings
from local.sleeper import sleeper
from local.state import State
from ops.migrate import migrate


@contextlib.contextmanager
def ready_database(settings: Settings, state: State, say: Callable[[str], None]) -> Iterator[str | None]:
    """Yield the functions' URL of the embedded database, started and migrated.

    Yields None if the settings name a database already. That database is migrated only if `direct_url` is set. The
    caller holds the state folder's lock. `say` receives a line for each step. Raises PostgresError or MigrationError.
    """
    if settings.own_database:
        if settings.direct_url:
            say("Migrating the database of DIRECT_DATABASE_URL …")
            _migrate(settings.direct_url, say)
        else:
            say("Using your database without migrating it. Set DIRECT_DATABASE_URL as well to migrate it first.")
        yield None
        return
    with embedded_postgres(state.folder / "postgres", say) as postgres:
        _migrate(postgres.direct_url, say)
        postgres.let_runtime_log_in()
        with _kept_running(postgres, settings.scale_to_zero, say) as app_url:
            yield app_url


@contextlib.contextmanager
def used_database(settings: Settings) -> Iterator[str | None]:
    """Yield the functions' URL of the running stack's database, or of one started for a command beside the stack.

    Yields None if the settings, or those of the running stack, name another database. The steps of a start are printed
    to standard error. Raises StateInUseError, PostgresError or MigrationError.
    """
    if settings.own_database:
        yield None
        return
    state = State(settings.state)
    if running := state.running():
        yield running.app_url
        return
    with state.lock(), ready_database(settings, state, lambda line: print(line, file=sys.stderr)) as app_url:
        yield app_url


@contextlib.contextmanager
def _kept_running(postgres: EmbeddedPostgres, scale_to_zero: int | None, say: Callable[[str], None]) -> Iterator[str]:
    """Yield the functions' URL, and restart the server if it dies. With `scale_to_zero` it sleeps as Neon's does."""
    if scale_to_zero is not None:
        with sleeper(postgres, scale_to_zero, say) as app_url:
            yield app_url
        return
    compute = Compute(postgres.server, say=say, revive=True)
    with contextlib.closing(compute), compute.watched():
        yield postgres.app_url


def _migrate(direct_url: str, say: Callable[[str], None]) -> None:
    applied = migrate(direct_url)
    say(
        f"Migrated: {len(applied)} {'file' if len(applied) == 1 else 'files'} of sql/ applied."
        if applied
        else "The schema is up to date."
    )
