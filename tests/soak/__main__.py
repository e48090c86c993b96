"""Write and read under faults, then prove that nothing is lost: `python -m tests.soak`, or `make soak`.

DURATION= seconds (600), SEED= (a new one), OUTPUT= a file for the JSON of the line RESULT. The exit code is 1 if a
figure of that line is wrong. Then the journals and logs stay in a folder, which an earlier line names.
"""

import asyncio
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from errno import EISDIR
from pathlib import Path

from local.settings import ROOT
from tests.soak.check import check
from tests.soak.check_audit import check_audit
from tests.soak.clients import GIVE_UP_SECONDS, names
from tests.soak.figures import finish_erasures, prove_chain, prove_figures
from tests.soak.journal import Journal
from tests.soak.journals import Journals
from tests.soak.report import Run, failures, result, show, write
from tests.soak.schedule import WHOLE_SECONDS, Schedule
from tests.soak.silences import read_faults
from tests.soak.stack import Harder, Serving, neon, serving
from tests.soak.stored import read_stored
from tests.soak.watch import Progress, Watch
from tests.support.figures import keep_history
from tests.support.neon.faults import FAULTS, possible
from tests.support.neon.stand_in import StandIn
from tests.support.servers.binaries import MissingBinaryError, debian_libfaketime, debian_pgbouncer, debian_postgres
from tests.support.servers.process import ServerProcess

CLIENTS = 16
REFRESH_SECONDS = 5.0
END_SECONDS = GIVE_UP_SECONDS + 180


@dataclass(frozen=True)
class Options:
    """The options of a run, from the environment."""

    seconds: float
    seed: str
    output: Path | None


def read_options() -> Options:
    """Read DURATION, SEED and OUTPUT."""
    duration = os.environ.get("DURATION") or "600"
    try:
        seconds = float(duration)
    except ValueError:
        seconds = 0.0
    if not 5 <= seconds <= 86_400:
        raise SystemExit(f"DURATION={duration}: give seconds, 5 to 86400")
    output = os.environ.get("OUTPUT")
    if output:
        _make_writable(Path(output))
    return Options(seconds, os.environ.get("SEED") or secrets.token_hex(4), Path(output) if output else None)


def _make_writable(output: Path) -> None:
    """Make the folder of the output file. Exit now if the write at the end would fail."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder; name a file in it")
        new = not output.exists()
        with output.open("a"):
            pass
        if new:
            output.unlink()
    except OSError as error:
        raise SystemExit(f"OUTPUT={output} cannot be written: {error.strerror}") from error


def head(options: Options) -> str:
    """Return the first line of a run: how to repeat it, and whether it has time for every kind of fault."""
    every = f"all {len(FAULTS)} kinds of faults"
    whole = (
        every if options.seconds >= WHOLE_SECONDS else f"the faults that fit; DURATION={WHOLE_SECONDS:g} has {every}"
    )
    return f"SEED={options.seed} DURATION={options.seconds:g}: {CLIENTS} clients, {whole}"


def main() -> int:
    """Run the soak, and return the exit code."""
    options = read_options()
    try:
        debian_postgres()
        debian_pgbouncer()
    except MissingBinaryError as missing:
        print(f"The soak needs PostgreSQL with TLS and PgBouncer: {missing}", file=sys.stderr)
        return 2
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    print(head(options), flush=True)
    try:
        debian_libfaketime()
    except MissingBinaryError as missing:
        print(f"clock_step is left out: {missing}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="rb-soak-"))
    with neon() as stand_in:
        with stand_in.observer() as observer:
            keep_history(observer)
        try:
            run = asyncio.run(_run(options, stand_in, folder))
        finally:
            for server in (stand_in.postgres, stand_in.pgbouncer):
                if isinstance(server, ServerProcess):
                    shutil.copy(server.log, folder)
    figures = result(run)
    show(run, figures)
    write(figures, options.output)
    if failures(figures):
        return 1
    shutil.rmtree(folder)
    return 0


async def _run(options: Options, stand_in: StandIn, folder: Path) -> Run:
    """Let clients write and read under faults, then collect the findings."""
    clients = names(CLIENTS)
    paths = [folder / f"{client}.jsonl" for client in clients]
    chance = random.Random(options.seed)
    watch = Watch(paths)
    progress = Progress(watch, options.seconds, terminal=sys.stdout.isatty())
    timeline = Journal(folder / "faults.jsonl")
    faults = Harder(stand_in, random.Random(f"{options.seed}/harder"))
    async with serving(stand_in, folder) as serve, asyncio.TaskGroup() as refreshes:
        environments = serve.environments
        schedule = Schedule(
            faults,
            possible(stand_in),
            chance,
            timeline,
            watch,
            progress,
            refresh=lambda: refreshes.create_task(environments.refresh()),
        )
        started = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.clients", *_arguments(serve, folder, options.seed)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            # Ctrl-C reaches only this process. The clients end with their standard input.
            process_group=0,
        )
        disturbing = [
            asyncio.create_task(environments.disturb(random.Random(f"{options.seed}/environments"))),
            asyncio.create_task(environments.refresh_every(REFRESH_SECONDS)),
        ]
        try:
            await schedule.run(options.seconds)
            for task in disturbing:
                task.cancel()
            await asyncio.gather(*disturbing, return_exceptions=True)
            code = await asyncio.to_thread(_end, started)
            if code:
                raise SystemExit(f"the clients' process ended with {code}: its journals and logs are in {folder}")
        finally:
            started.kill()
            started.wait()
        ended = time.monotonic()
        await finish_erasures(stand_in, environments)
        figures = await prove_figures(stand_in, environments, serve.address, serve.tokens)
        chain = await prove_chain(stand_in, environments)
    watch.look()
    progress.end()
    timeline.close()
    journals = Journals.read(paths)
    with stand_in.observer() as observer:
        stored = read_stored(observer)
    findings = check(journals, stored)
    findings.audit += check_audit(journals, stored)
    return Run(
        seed=options.seed,
        seconds=options.seconds,
        kinds=possible(stand_in),
        clients=clients,
        journals=journals,
        findings=findings,
        figures=figures,
        audit=chain,
        faults=read_faults(folder / "faults.jsonl"),
        ended=ended,
        errors=environments.errors,
        disturbed=environments.disturbed,
        folder=folder,
    )


def _arguments(serve: Serving, folder: Path, seed: str) -> list[str]:
    """Return the arguments of the clients' process."""
    return [serve.address, str(folder), seed, str(CLIENTS), serve.issuer]


def _end(clients: "subprocess.Popen[bytes]") -> int:
    """End the clients and wait for them. Return the exit code of their process."""
    assert clients.stdin is not None
    clients.stdin.close()
    return clients.wait(END_SECONDS)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted: nothing is proved.")
