"""Rotate the functions' password under load, twice, and prove that no request fails: `python -m tests.soak.rotation`.

RATE= requests a second (110, of which over 100 are made), MODES= one of these two, OUTPUT= a file for the JSON of the
line RESULT. Both modes go through PgBouncer:

    secret   DATABASE_SECRET_ARN. The environments go on. `make app-password`, the secret is written, RETIRE=old FORCE=1
    url      DATABASE_URL. New environments get the new URL, the old ones drain, then RETIRE=old

Meanwhile environments end and others begin, and some are idle for longer than a rotation takes. The exit code is 1 if a
request failed, a turn that was acknowledged is not there, or more connections were open than the server allows.
"""

import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from local.settings import ROOT
from ops.put_secret import put_secret, read_secret
from tests.bench.measure import Spread, report, table
from tests.soak.rotation_fleet import LOGINS, Fleet, Samples
from tests.support.aws import REGION, moto_server, secrets_manager
from tests.support.servers.authority import make_authority
from tests.support.servers.databases import Database, make_template
from tests.support.servers.pgbouncer import POOL_SIZE, PgBouncer, start_pgbouncer
from tests.support.servers.postgres import start_tls
from tests.support.servers.process import remove_folder, server_folder

RATE = 110.0  # requests a second that all environments ask for together
ENVIRONMENTS = 12
# Seconds between two requests of more environments. RETIRE=old waits for a time between these two.
SLEEPERS = (25.0, 45.0)
ROTATIONS = 2
CALM_SECONDS = 8.0
REPLACED_EVERY_SECONDS = 3.0
ALLOWED = 2 * POOL_SIZE + 10  # of the server's connections: both pools, and operators
RETIRED_WITHIN_SECONDS = 180.0
_COUNT = "select sum(message_count)::integer from robot_brain.sessions"
_ACTIVE = "select array_agg(rolname::text order by rolname) from pg_roles where rolname like %s and rolcanlogin"


def command(database: Database, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `make app-password`."""
    done = subprocess.run(
        [sys.executable, "-m", "ops", "app-password", *arguments],
        cwd=ROOT,
        env={**os.environ, "DIRECT_DATABASE_URL": database.direct_url},
        capture_output=True,
        text=True,
        timeout=RETIRED_WITHIN_SECONDS,
        check=False,
    )
    said = done.stderr.splitlines()
    # A command that was refused is repeated.
    print(f"app-password {' '.join(arguments)}:", "\n  ".join(said[:1] if done.returncode else said), flush=True)
    return done


def new_url(database: Database, pooler: PgBouncer) -> str:
    """Rotate the password. Return the new URL, through the pooler, which only a host of Neon names."""
    done = command(database)
    assert done.returncode == 0
    parts = urlsplit(done.stdout.strip())
    assert parts.username is not None
    assert parts.password is not None
    return pooler.address.url(parts.username, parts.password, database.name)


def retire(database: Database, *arguments: str) -> None:
    """Retire the old login. The command refuses that while the login is in use, so repeat it."""
    deadline = time.monotonic() + RETIRED_WITHIN_SECONDS
    while command(database, "--retire", "old", *arguments).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError("the old login is in use")
        time.sleep(5)


def with_secret(database: Database, pooler: PgBouncer, fleet: Fleet) -> None:
    """Rotate while the environments read their URL from a secret."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with moto_server() as aws:
        arn = secrets_manager(aws).create_secret(Name=f"rb/{uuid.uuid4()}", SecretString=database.app_url)["ARN"]
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws}
        os.environ |= {**keys, "AWS_DEFAULT_REGION": REGION}
        variables = {"DATABASE_SECRET_ARN": arn, **keys}
        sleepers = [each for period in SLEEPERS for each in fleet.start(variables, 1, period)]
        running = fleet.start(variables, ENVIRONMENTS)
        with _replaced(fleet, running, variables):
            time.sleep(CALM_SECONDS)
            for _ in range(ROTATIONS):
                put_secret(arn, new_url(database, pooler), read_secret(arn))
                time.sleep(CALM_SECONDS)
                retire(database, "--force")
                time.sleep(CALM_SECONDS)
            # Until each has made a request after the last rotation.
            time.sleep(max(SLEEPERS))
        fleet.stop(running + sleepers)


def with_url(database: Database, pooler: PgBouncer, fleet: Fleet) -> None:
    """Rotate while each environment has its URL from its deployment."""
    old = fleet.start({"DATABASE_URL": database.app_url}, ENVIRONMENTS)
    time.sleep(CALM_SECONDS)
    for _ in range(ROTATIONS):
        url = new_url(database, pooler)
        time.sleep(CALM_SECONDS)
        # As a deployment does: a new environment takes the requests of an old one, which ends after its last.
        new: list[subprocess.Popen[str]] = []
        for each in old:
            new += fleet.start({"DATABASE_URL": url}, 1)
            fleet.stop([each])
        old = new
        retire(database)
        time.sleep(CALM_SECONDS)
    fleet.stop(old)


MODES = {"secret": with_secret, "url": with_url}


@contextmanager
def _replaced(fleet: Fleet, running: "list[subprocess.Popen[str]]", variables: Mapping[str, str]) -> Iterator[None]:
    """End the oldest environment and start another one, again and again, until the block ends."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(REPLACED_EVERY_SECONDS):
            running.extend(fleet.start(variables, 1))
            fleet.stop([running.pop(0)])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def run(mode: str, rate: float) -> dict[str, Any]:
    """Rotate under load. Return the figures."""
    fleet = Fleet(ENVIRONMENTS / rate)
    with ExitStack() as stack:
        folder = server_folder()
        stack.callback(remove_folder, folder)
        folder.chmod(0o755)
        authority = make_authority(folder)
        server = start_tls(authority, {"max_connections": str(ALLOWED)})
        stack.callback(server.stop)
        pooler = start_pgbouncer(server, authority)
        stack.callback(pooler.stop)
        database = stack.enter_context(make_template(server).clone("pooled", pooler.address))
        samples = Samples(database)
        with samples.taken():
            began = time.monotonic()
            MODES[mode](database, pooler, fleet)
            seconds = time.monotonic() - began
        fleet.join()
        with database.admin() as admin:
            stored, active = _one(admin, _COUNT), _one(admin, _ACTIVE, LOGINS)
    written = sum(answer["status"] == 201 for answer in fleet.answers)
    failed = [answer for answer in fleet.answers if answer["status"] >= 400]
    for answer in failed[:10]:
        print(f"{answer['name']}, {answer['at'] - began:.1f} s: {answer}")
    for line in fleet.broken:
        print(line)
    times = Spread.of([answer["milliseconds"] for answer in fleet.answers])
    return {
        "failed": len(failed) + len(fleet.broken),
        "lost": abs(stored - written),
        "requests": len(fleet.answers),
        "per_second": round(len(fleet.answers) / seconds, 1),
        "by_status": dict(sorted(Counter(answer["status"] for answer in fleet.answers).items())),
        "seconds": round(seconds, 1),
        "median_milliseconds": times.median,
        "slowest_milliseconds": times.most,
        "rotations": ROTATIONS,
        "active_at_the_end": active,
        "most_connections": samples.most_of_all,
        "most_by_role": dict(sorted(samples.most.items())),
        "allowed_connections": ALLOWED,
    }


def main() -> int:
    """Run both modes, or those of MODES=. Return the exit code."""
    output = os.environ.get("OUTPUT")
    modes = (os.environ.get("MODES") or ",".join(MODES)).split(",")
    rate = float(os.environ.get("RATE") or RATE)
    figures = {mode: run(mode, rate) for mode in modes}
    names = ("requests", "per_second", "failed", "lost", "slowest_milliseconds", "most_connections")
    print(table(["mode", *names, "allowed"], [[m, *(f[n] for n in names), ALLOWED] for m, f in figures.items()]))
    wrong = sum(f["failed"] + f["lost"] + (f["most_connections"] > ALLOWED) for f in figures.values())
    report("rotation", {"wrong": wrong}, Path(output) if output else None, modes=figures)
    return int(wrong > 0)


def _one(connection: psycopg.Connection[Any], query: str, *arguments: object) -> Any:
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None
    return row[0]


if __name__ == "__main__":
    sys.exit(main())
