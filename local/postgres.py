"""An embedded PostgreSQL 18 with its data in the state folder. The database's owner has the same rights as Neon's."""

import contextlib
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from local.data_folder import data_folder
from local.progress import shown
from local.server_process import END_SECONDS, forget_dead_server, is_ready, server_process, stop_leftover
from local.server_user import ServerUser, ServerUserError, programs, server_user
from ops.logins import PAIR

DATABASE = "robot_brain"
MIGRATOR = "robot_brain_migrator"
SUPERUSER = "postgres"
# One login is enough here: nothing rotates the password of a socket that trusts its user.
LOGIN = PAIR[0]
READY_MARK = ".robot-brain-ready"
START_SECONDS = 120  # includes the recovery after a crash
AGAIN_SECONDS = 60
LONGEST_PATH = 90  # bytes; the path of a socket may have 107, with the socket's name
# The collation does not depend on the locales that this machine has.
INITDB = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")


class PostgresError(Exception):
    """The embedded PostgreSQL cannot be started. The message says what to do."""


class EmbeddedServer:
    """The embedded server's process. It can be stopped and started again, with the same data at the same address."""

    def __init__(self, folder: Path, user: ServerUser, binaries: Path) -> None:
        """Take the real folder of the data, the user of the process, and the folder of the programs."""
        self._folder = folder
        self._user = user
        self._binaries = binaries
        self._pid = 0

    @property
    def alive(self) -> bool:
        """Whether the server's process runs."""
        return server_process(self._folder) is not None

    def create(self) -> None:
        """Create the data if it does not exist. Raises PostgresError if that fails."""
        if (self._folder / "PG_VERSION").exists():
            return
        # The folder of a server that still runs may have been deleted.
        stop_leftover(self._folder)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._user.own(self._folder)
        done = self._user.run([self._binaries / "initdb", *INITDB, "-U", SUPERUSER, "-D", self._folder])
        if done.returncode != 0:
            raise PostgresError(f"{done.stdout.strip()}: {_advice(self._folder)}")

    def start(self) -> None:
        """Start the server and return when it answers. Raises PostgresError if it does not start."""
        deadline = time.monotonic() + AGAIN_SECONDS
        # PostgreSQL takes a killed server as running until the system removes its process id, which takes a second.
        while self._pid and psutil.pid_exists(self._pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        while True:
            forget_dead_server(self._folder)
            try:
                self._start()
            except PostgresError:
                # The child processes of a killed server prevent the start for a moment.
                if not self._pid or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def stop(self) -> None:
        """Shut the server down in order, even if clients are connected. Do nothing if it does not run."""
        # The fast shutdown ends connections and flushes data. The immediate one is like a crash, without a loss.
        for number in (signal.SIGINT, signal.SIGQUIT):
            if (process := server_process(self._folder)) is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            deadline = time.monotonic() + END_SECONDS
            while self.alive and time.monotonic() < deadline:
                time.sleep(0.02)

    def kill(self) -> None:
        """Kill the server with SIGKILL and return when its process is gone."""
        if (process := server_process(self._folder)) is not None:
            process.kill()
        while self.alive:
            time.sleep(0.01)

    def _start(self) -> None:
        if not self.alive:
            socket = f'-h "" -k {shlex.quote(str(self._folder))}'
            options = ["-w", "-t", START_SECONDS, "-o", socket, "-l", self._folder / "log", "-D", self._folder]
            done = self._user.run([self._binaries / "pg_ctl", *map(str, options), "start"])
            if done.returncode != 0:
                raise PostgresError(f"{done.stdout.strip()}: {_advice(self._folder)}")
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """Return when the server answers. A server that was taken over may still recover from a crash."""
        deadline = time.monotonic() + START_SECONDS
        while (process := server_process(self._folder)) is None or not is_ready(self._folder):
            if time.monotonic() > deadline:
                raise PostgresError(_advice(self._folder))
            time.sleep(0.05)
        self._pid = process.pid


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A running server: `direct_url` is for migrations (the owner), `app_url` for the functions."""

    server: EmbeddedServer
    admin_url: str
    direct_url: str
    app_url: str

    def let_runtime_log_in(self) -> None:
        """Let the runtime role connect over the socket. Migrations create the role without login."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("alter role {} login").format(sql.Identifier(LOGIN)))


@contextlib.contextmanager
def embedded_postgres(folder: Path, say: Callable[[str], None] = lambda line: None) -> Iterator[EmbeddedPostgres]:
    """Start the server whose data is in `folder`, and stop it at the end. The first start creates the folder.

    As root, `folder` may be a link to the data. After a run that was killed, a server that still runs is taken over and
    a stale pid file is removed. A data folder whose creation was interrupted is renamed. Only one process at a time may
    use a folder, which the state folder's lock ensures. `say` receives a line for each step. Raises PostgresError if
    the server does not start.
    """
    _check_path(folder)
    try:
        user = server_user()
        folder = data_folder(folder, user, say)
        server = EmbeddedServer(folder, user, programs(user))
    except ServerUserError as error:
        raise PostgresError(f"{error}.") from error
    _put_unfinished_aside(folder)
    forget_dead_server(folder)
    say(f"{'Starting' if folder.exists() else 'Creating'} PostgreSQL in {folder} …")
    try:
        with shown("Creating the data"):
            server.create()
        with shown("Starting PostgreSQL"):
            server.start()
        urls = _urls(server, folder)
        _create_database(urls.admin_url)
        (folder / READY_MARK).touch()
    except BaseException:
        # Also after Ctrl-C: the server is a daemon and would keep running.
        stop_leftover(folder)
        raise
    try:
        yield urls
    finally:
        server.stop()


def _check_path(folder: Path) -> None:
    """Raise PostgresError for a path with a space or a long path.

    The library fails on a space. For a long path it puts the socket into a folder that all users share.
    """
    path = str(folder.resolve())
    if " " in path:
        raise PostgresError(f"the embedded PostgreSQL cannot live in a path with a space: {path}. Set STATE=<folder>.")
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise PostgresError(f"{path} is too long for a socket in it. Set STATE=<folder> with a shorter path.")


def _advice(folder: Path) -> str:
    return (
        f"the embedded PostgreSQL does not start. Its log is {folder / 'log'}. Set DATABASE_URL to use "
        f"another database, or move {folder} away to start with an empty one."
    )


def _put_unfinished_aside(folder: Path) -> None:
    if folder.exists() and not (folder / READY_MARK).exists() and server_process(folder) is None:
        aside = folder.with_name(f"{folder.name}.unfinished-{time.time_ns()}")
        folder.rename(aside)


def _urls(server: EmbeddedServer, folder: Path) -> EmbeddedPostgres:
    # A server that was taken over may have been started by an older checkout.
    _, _, _, port, socket_folder, *_ = (folder / "postmaster.pid").read_text().splitlines()
    host = quote(socket_folder.strip(), safe="")

    def url(role: str, database: str) -> str:
        return f"postgresql://{role}@/{database}?host={host}&port={port.strip()}"

    return EmbeddedPostgres(
        server=server,
        admin_url=url(SUPERUSER, "postgres"),
        direct_url=url(MIGRATOR, DATABASE),
        app_url=url(LOGIN, DATABASE),
    )


def _create_database(admin_url: str) -> None:
    """Create the database and the role that owns it. The role has the rights of Neon's owner and no more."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        owner, database = sql.Identifier(MIGRATOR), sql.Identifier(DATABASE)
        if not connection.execute("select 1 from pg_roles where rolname = %s", [MIGRATOR]).fetchone():
            connection.execute(sql.SQL("create role {} login createdb createrole").format(owner))
        if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
            connection.execute(sql.SQL("create database {} owner {}").format(database, owner))
