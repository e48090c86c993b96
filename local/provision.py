"""Make a database ready for the functions: the database that the settings name, or the embedded one."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

from local.compute import Compute
from local.postgres import EmbeddedPostgres, embedded_postgres
from local.progress import Line, shown
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
            _migrate(settings.direct_url, settings.search, say)
        else:
            say("Using your database without migrating it. Set DIRECT_DATABASE_URL as well to migrate it first.")
        yield None
        return
    with embedded_postgres(state.folder / "postgres", say) as postgres:
        _migrate(postgres.direct_url, settings.search, say)
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


def _migrate(direct_url: str, search: str | None, say: Callable[[str], None]) -> None:
    with shown("Migrating") as line, _followed(line, say):
        applied = migrate(direct_url, search=search)
    say(
        f"Migrated: {len(applied)} {'file' if len(applied) == 1 else 'files'} of sql/ applied."
        if applied
        else "The schema is up to date."
    )


@contextlib.contextmanager
def _followed(line: Line | None, say: Callable[[str], None]) -> Iterator[None]:
    """Show what the migration reports in `line`. Say that it waits for another migration, also without a terminal."""
    follower = _Follower(line, say)
    with contextlib.ExitStack() as stack:
        # What is applied, and which process holds the lock.
        for name in ("robot_brain.migrate", "robot_brain.operator"):
            stack.enter_context(_heard(logging.getLogger(name), follower))
        yield


@contextlib.contextmanager
def _heard(logger: logging.Logger, follower: logging.Handler) -> Iterator[None]:
    level, propagate = logger.level, logger.propagate
    logger.addHandler(follower)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(follower)
        logger.setLevel(level)
        logger.propagate = propagate


class _Follower(logging.Handler):
    def __init__(self, line: Line | None, say: Callable[[str], None]) -> None:
        super().__init__()
        self._line = line
        self._say = say
        self._applied = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Show the message of a record."""
        message = record.getMessage()
        if "waiting" in message or record.levelno > logging.INFO:
            if self._line is not None:
                self._line.erase()
            self._say(f"{message[:1].upper()}{message[1:]}")
        elif self._line is not None:
            self._applied += message.startswith("applying")
            self._line.detail = f"{self._applied} files: {message}"
