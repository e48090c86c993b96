"""The processes of the embedded PostgreSQL, found by the folder of its data."""

import contextlib
import signal
from pathlib import Path

import psutil

END_SECONDS = 60  # an orderly shutdown, also on a busy machine


def server_process(folder: Path) -> psutil.Process | None:
    """Return the process of the server that runs on `folder`, found by its pid file, or None."""
    try:
        pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
        command = process.cmdline()
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return None
    return process if str(folder.resolve()) in command else None


def is_ready(folder: Path) -> bool:
    """Return whether the server's pid file says that it accepts connections."""
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def forget_dead_server(folder: Path) -> None:
    """Remove the pid file if its process is gone or is another program: process ids repeat after a reboot."""
    pid_file = folder / "postmaster.pid"
    if pid_file.exists() and server_process(folder) is None:
        pid_file.unlink()


def stop_leftover(folder: Path) -> None:
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
    psutil.wait_procs(found, timeout=END_SECONDS)
