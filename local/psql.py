"""Open the local database with psql: `python -m local.psql`, or `make psql`.

It is the database of the running stack, or one that is started for it, as for `make invoke`. psql connects as the
owner of the database, which has the rights of an owner on Neon: a superuser would pass by row-level security, and would
own what it makes. Row-level security hides rows from the owner as well, so the tenant is set: the owner sees and
changes the rows of that tenant.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from local.postgres import MIGRATOR
from local.provision import used_database
from local.serve import CLEAR_ERRORS
from local.server_user import ServerUser, ServerUserError, programs
from local.settings import SettingsError, parser, read_settings

EXAMPLE = "select * from robot_brain.sessions;"
TENANT = "local"  # the template's default of TENANT_ID


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Run psql and return its exit status. Return 2, with a message, if it cannot be run."""
    options = parser("python -m local.psql", "Open the database of the local stack with psql.", environ)
    options.add_argument("-c", "--command", default=environ.get("SQL", ""), help="run this SQL, and end")
    parsed = options.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    # Ctrl-C is for psql, which cancels a statement with it. An ignored signal would be ignored by its pager, too.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        psql = _program()
        with ExitStack() as stack:
            url = stack.enter_context(used_database(read_settings(parsed, environ)))
            if url is None:
                raise SettingsError(
                    "it opens only the database that make run starts. Open your own with psql and its URL"
                )
            return _run(psql, url, parsed.command, environ)
    except (*CLEAR_ERRORS, ServerUserError) as error:
        print(f"psql cannot be opened: {error}", file=sys.stderr)
        return 2


def _run(psql: Path, url: str, command: str, environ: Mapping[str, str]) -> int:
    tenant = environ.get("TENANT_ID") or TENANT
    if not command and sys.stdin.isatty():
        print(
            f"You are {MIGRATOR}, the owner, and see the rows of tenant {tenant} (another: TENANT_ID=acme make psql). "
            f"For example: {EXAMPLE}",
            file=sys.stderr,
        )
    conninfo = make_conninfo("", **{**conninfo_to_dict(url), "user": MIGRATOR})
    settings = f"{environ.get('PGOPTIONS', '')} -c robot_brain.tenant_id={_escaped(tenant)}".strip()
    one = ["--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--command={command}"] if command else []
    done = subprocess.run([psql, *one, conninfo], env={**environ, "PGOPTIONS": settings}, check=False)
    return done.returncode


def _program() -> Path:
    """Return psql of the embedded PostgreSQL. Raises ServerUserError if it does not run here."""
    psql = programs(ServerUser(None)) / "psql"
    try:
        done = subprocess.run(
            [psql, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        why = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        raise ServerUserError(f"{shlex.quote(str(psql))} does not run here ({why}). Use a psql of your own")
    return psql


def _escaped(value: str) -> str:
    """Return a value for PGOPTIONS, in which a backslash keeps a space."""
    return "".join(f"\\{each}" if each in " \\" else each for each in value)


def _leave(number: int, frame: object) -> None:
    # An exception, so that a database that was started for this is stopped.
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
