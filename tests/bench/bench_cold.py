"""bench-cold: the time from the start of a function's process to its first answer, compared with other functions.

    make bench WHAT=cold                       ROUNDS=30 for more rounds, OUTPUT=file for the JSON
    python -m tests.bench.bench_cold --before FOLDER    also runs another build, to measure a change

The parts are real: the result of sam build in read-only folders, awslambdaric on Python 3.13, and PostgreSQL behind
PgBouncer with verified TLS. Only AWS Secrets Manager is simulated, by moto. For `write asleep` a relay holds each
connection for 500 ms, as a sleeping Neon compute does. Nothing was measured on AWS or Neon.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg

from local.settings import ROOT
from local.template import Function
from tests.bench.cold_artifacts import LIKE_LAMBDA, Artifacts, prepare
from tests.bench.lambda_process import cold_start
from tests.bench.measure import Samples, alternate, arguments, machine, report, table, target
from tests.bench.relay import relay_to
from tests.support.servers.address import Address
from tests.support.servers.authority import make_authority
from tests.support.servers.databases import Database, make_template
from tests.support.servers.pgbouncer import start_pgbouncer
from tests.support.servers.postgres import start_tls
from tests.support.servers.process import free_port, remove_folder, server_folder

WAKE_SECONDS = 0.5
TENANT = "local"
# Name in the RESULT line: numerator, denominator, and the target, which is a maximum.
RATIOS: dict[str, tuple[str, str, float | None]] = {
    "write_over_floor": ("write", "floor write", 1.15),
    "write_over_usual": ("write", "usual", 0.30),
    "write_secret_over_usual": ("write secret", "usual", None),
    "write_token_over_floor": ("write token", "floor write", None),
    "read_over_floor": ("read", "floor read", 1.15),
    "stats_over_floor": ("stats", "floor stats", 1.15),
    "health_over_empty": ("health", "empty", 1.7),
}
EVENTS = {"write": "write_message", "read": "read_session", "stats": "stats", "health": "health"}
TURNS_READ = 50
CLAIMS = {
    "iss": "https://issuer.example.com",
    "aud": "robot-brain",
    "sub": "ann",
    "scope": "openid",
    "iat": "1764000000",
}


@dataclass(frozen=True)
class Contender:
    """A function with its event, its environment variables, and the status of a right answer."""

    function: Function
    event: bytes
    settings: Mapping[str, str]
    status: int


class Bench:
    """Runs the contenders. `inits` has the milliseconds from each start until the process asked for its event."""

    def __init__(self, artifacts: Artifacts, contenders: Mapping[str, Contender], log: Path) -> None:
        self._python = artifacts.python
        self._contenders = contenders
        self._log = log
        self.inits = Samples()

    def run(self, rounds: int) -> Samples:
        """Return the milliseconds from each process's start to its answer."""
        return alternate({name: self._once(name) for name in self._contenders}, rounds, title="bench-cold")

    def _once(self, name: str) -> Callable[[], float]:
        contender = self._contenders[name]

        def start() -> float:
            settings = {**LIKE_LAMBDA, "TENANT_ID": TENANT, **contender.settings}
            took = cold_start(self._python, contender.function, contender.event, settings, self._log)
            status = json.loads(took.answer)["statusCode"]
            if status != contender.status:
                raise RuntimeError(f"{name} answered {took.answer.decode()}\n{self._log.read_text(errors='replace')}")
            self.inits.add(name, took.init)
            return took.total

        return start


def event_of(name: str, session_id: str) -> bytes:
    """Return events/<name>.json for a session."""
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    if "pathParameters" in event:
        event["rawPath"] = event["rawPath"].replace("demo", session_id)
        event["pathParameters"]["session_id"] = session_id
    return json.dumps(event).encode()


def contenders(artifacts: Artifacts, url: str, asleep_url: str, secret: Mapping[str, str]) -> dict[str, Contender]:
    """Return the contenders, each of our functions next to those that it is compared with."""
    direct = {"DATABASE_URL": url}
    found: dict[str, Contender] = {}
    for name, event in EVENTS.items():
        status = 201 if name == "write" else 200
        if name == "health":
            found["empty"] = Contender(artifacts.functions["empty"], event_of("health", ""), {}, 200)
        for each in (f"floor {name}", name, f"{name} before"):
            if each in artifacts.functions:
                found[each] = Contender(
                    artifacts.functions[each], event_of(event, "read" if name == "read" else "written"), direct, status
                )
    write = found["write"]
    token = {"requestContext": json.loads(write.event)["requestContext"] | {"authorizer": {"jwt": {"claims": CLAIMS}}}}
    by_token = json.dumps(json.loads(event_of("write_message", "by token")) | token).encode()
    found["write token"] = Contender(write.function, by_token, {**direct, "AUTH": "jwt"}, 201)
    found["write secret"] = Contender(write.function, write.event, secret, 201)
    found["usual"] = Contender(artifacts.functions["usual"], write.event, secret, 201)
    for suffix in ("", " before"):
        if f"write{suffix}" in found:
            function = found[f"write{suffix}"].function
            found[f"write asleep{suffix}"] = Contender(function, write.event, {"DATABASE_URL": asleep_url}, 201)
    return found


@contextmanager
def secrets_manager(url: str) -> Iterator[dict[str, str]]:
    """Start moto with a secret that holds `url`. Yield the environment of a function that may read it."""
    port = free_port()
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_SESSION_TOKEN": "testing"}
    endpoint = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > deadline or server.poll() is not None:
                raise RuntimeError("moto's server does not start")
            time.sleep(0.05)
        client = boto3.client(
            "secretsmanager",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        arn = client.create_secret(Name="robot-brain", SecretString=url)["ARN"]
        yield {**keys, "DATABASE_URL": "", "DATABASE_SECRET_ARN": arn, "AWS_ENDPOINT_URL": endpoint}
    finally:
        server.terminate()
        server.wait(10)


def fill(database: Database) -> None:
    """Write the session that the contenders read, and refresh the statistics."""
    turn = json.loads(json.loads((ROOT / "events" / "write_message.json").read_text())["body"])
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        connection.execute(
            "select robot_brain_api.write_message(%s, 'read', %s, null, null, null, null, false)",
            (TENANT, json.dumps([turn] * TURNS_READ)),
        )
        connection.execute("select robot_brain_api.refresh_stats(), robot_brain_api.refresh_view()")


def show(samples: Samples, inits: Samples, rounds: int) -> None:
    """Print the table of milliseconds and the table of ratios."""
    rows: list[tuple[str, ...]] = []
    for name in inits.by_name:
        total, init = samples.spread(name), inits.spread(name)
        spread = f"{total.low:.0f} .. {total.high:.0f}"
        rows.append((name, f"{total.median:.0f}", spread, f"{total.least:.0f}", f"{init.median:.0f}"))
    print(
        f"Process start to first answer, milliseconds, {rounds} rounds; init: until the process asked for its event.\n"
    )
    print(table(("contender", "median", "middle half", "least", "init"), rows))
    rows = []
    for name, (ours, other, most) in RATIOS.items():
        ratio = samples.ratio(ours, other)
        verdict = "" if most is None else target(ratio.median, most)
        rows.append((name, f"{ratio.median:.2f}", f"{ratio.low:.2f} .. {ratio.high:.2f}", verdict))
    for name in [each for each in inits.by_name if each.endswith(" before")]:
        now = name.removesuffix(" before")
        ratio = samples.ratio(now, name)
        rows.append((f"{now} now over before", f"{ratio.median:.3f}", f"{ratio.low:.3f} .. {ratio.high:.3f}", ""))
    print()
    print(table(("ratio", "median", "middle half", "target"), rows))
    print()


def main() -> None:
    """Start the servers, run the contenders, print the tables and the RESULT line."""
    parser = arguments("From the start of a function's process to its first answer", 15)
    parser.add_argument("--build", type=Path, default=ROOT / ".aws-sam" / "build", help="what make build made")
    parser.add_argument("--before", type=Path, help="the folder of another build, to compare with")
    parser.add_argument("--only", help="names of contenders, separated by commas; then there is no RESULT line")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("PG", "AWS_", "DATABASE_", "DB_"))]:
        del os.environ[name]
    folder = ROOT / ".local" / "bench-cold"
    artifacts = prepare(folder, options.build, options.before)
    with ExitStack() as stack:
        scratch = server_folder()
        scratch.chmod(0o755)
        stack.callback(remove_folder, scratch)
        authority = make_authority(scratch)
        postgres = start_tls(authority)
        stack.callback(postgres.stop)
        pooler = start_pgbouncer(postgres, authority)
        stack.callback(pooler.stop)
        template = make_template(postgres)
        database = stack.enter_context(template.clone("pooled", pooler.address))
        relay = stack.enter_context(relay_to((pooler.address.host, pooler.address.port)))
        relay.hold(WAKE_SECONDS)
        asleep = Address("127.0.0.1", relay.port, pooler.address.query)
        fill(database)
        secret = stack.enter_context(secrets_manager(database.app_url))
        entries = contenders(artifacts, database.app_url, template.app_url(database.name, asleep), secret)
        if options.only:
            entries = {name: entries[name] for name in options.only.split(",")}
        bench = Bench(artifacts, entries, folder / "process.log")
        samples = bench.run(options.rounds)
        with database.admin() as admin:
            version = admin.info.parameter_status("server_version") or ""
    if options.only:
        first = next(iter(bench.inits.by_name))
        rows = [
            (name, f"{samples.spread(name).median:.0f}", f"{samples.ratio(name, first).median:.3f}")
            for name in bench.inits.by_name
        ]
        print(table(("contender", "median ms", f"over {first}"), rows))
        return
    show(samples, bench.inits, options.rounds)
    ratios = {name: samples.ratio(ours, other) for name, (ours, other, _) in RATIOS.items()}
    wake = samples.spread("write asleep")
    report(
        "cold",
        {name: round(ratio.median, 3) for name, ratio in ratios.items()}
        | {"both_asleep_over_wake": round(wake.median / (WAKE_SECONDS * 1000), 3)},
        options.output,
        runs=options.rounds,
        machine=machine(postgresql=version, fsync="off"),
        spreads={name: ratio.json() for name, ratio in ratios.items()},
        milliseconds={name: samples.spread(name).json(1) for name in samples.by_name},
    )


if __name__ == "__main__":
    main()
