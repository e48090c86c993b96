"""Promote a standby under load: `python -m tests.soak.failover`.

DURATION= seconds of each mode (30, at most 60), SEED= (a new one), MODES= sync,async,switchover. KIND= tls (the
distribution's PostgreSQL) or embedded (18). OUTPUT= a file for the JSON of the line RESULT.

In each mode the clients of the soak write, change, erase and read over HTTP. The execution environments are never
restarted. After a third of the time the primary is killed, or stopped in order in the mode switchover. Then the
standby is promoted, and the relay leads to it.

The exit code is 1 if something acknowledged is lost, doubled or wrong. It is also 1 if figures do not fit the rows, or
if the audit trail does not verify. In the mode async a loss is only reported, because PostgreSQL may lose there.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from local.settings import ROOT
from tests.soak.check import check
from tests.soak.check_audit import Chain, check_audit
from tests.soak.clients import GIVE_UP_SECONDS, names
from tests.soak.figures import finish_erasures, prove_chain, prove_figures
from tests.soak.journals import Journals
from tests.soak.stack import serving
from tests.soak.stored import read_stored
from tests.soak.unexpected import unexpected
from tests.soak.watch import is_success
from tests.support.figures import Compared, keep_history
from tests.support.neon.stand_in import StandIn
from tests.support.servers.authority import Authority, make_authority
from tests.support.servers.process import remove_folder, server_folder
from tests.support.servers.standby import DATABASE, KINDS, Pair, running_pair

MODES = ("sync", "async", "switchover")
CLIENTS = 8
REFRESH_SECONDS = 5.0
# Between the end of the primary and the promotion, as a failover manager takes to notice.
NOTICED_AFTER_SECONDS = 2.0
END_SECONDS = GIVE_UP_SECONDS + 120


class _Both:
    """The pair as one server that always runs, so that the stand-in starts no dead primary again."""

    alive = True

    def start(self) -> None:
        """Do nothing."""

    stop = kill = start


@contextmanager
def _stand_in(kind: str, authority: Authority) -> Iterator[tuple[Pair, StandIn]]:
    """Run a pair, and the stand-in whose relay leads to it."""
    with ExitStack() as stack:
        pair = stack.enter_context(running_pair(kind, authority))
        stand_in = StandIn(
            _Both(),
            app_url=pair.direct_app_url,
            direct_url=pair.primary.direct_url(DATABASE),
            admin_url=pair.primary.admin_url(DATABASE),
        )
        stack.enter_context(stand_in)
        pair.relay = stand_in.relay
        yield pair, stand_in


async def _fail_over(pair: Pair, stand_in: StandIn, *, in_order: bool) -> dict[str, float]:
    """End the primary and promote the standby. Return when it happened, by the clock of the journals."""
    loop = asyncio.get_running_loop()
    ended = loop.time()
    await asyncio.to_thread(pair.primary.process.stop if in_order else pair.primary.process.kill)
    await asyncio.sleep(0 if in_order else NOTICED_AFTER_SECONDS)
    await asyncio.to_thread(pair.promote)
    pair.turn()
    stand_in.admin_url = pair.primary.admin_url(DATABASE)
    stand_in.direct_url = pair.primary.direct_url(DATABASE)
    return {"ended": ended, "turned": loop.time()}


async def _run(mode: str, seconds: float, seed: str, pair: Pair, stand_in: StandIn, folder: Path) -> dict[str, Any]:
    """Let clients work while the standby takes over, and return the figures of this mode."""
    clients = names(CLIENTS)
    async with serving(stand_in, folder) as serve:
        arguments = [serve.address, str(folder), f"{seed}/{mode}", str(CLIENTS), serve.issuer]
        started = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.clients", *arguments], cwd=ROOT, stdin=subprocess.PIPE, process_group=0
        )
        refreshing = asyncio.create_task(serve.environments.refresh_every(REFRESH_SECONDS))
        try:
            await asyncio.sleep(seconds / 3)
            moments = await _fail_over(pair, stand_in, in_order=mode == "switchover")
            await asyncio.sleep(seconds * 2 / 3)
            refreshing.cancel()
            await asyncio.gather(refreshing, return_exceptions=True)
            assert started.stdin is not None
            started.stdin.close()
            code = await asyncio.to_thread(started.wait, END_SECONDS)
            if code:
                raise SystemExit(f"the clients' process ended with {code}: its journals and logs are in {folder}")
        finally:
            started.kill()
            started.wait()
        await finish_erasures(stand_in, serve.environments)
        figures = await prove_figures(stand_in, serve.environments, serve.address, serve.tokens)
        chain = await prove_chain(stand_in, serve.environments)
        errors = dict(serve.environments.errors)
    journals = Journals.read([folder / f"{client}.jsonl" for client in clients])
    with stand_in.observer() as observer:
        stored = read_stored(observer)
    findings = check(journals, stored)
    findings.audit += check_audit(journals, stored)
    return _figures(mode, journals, moments, findings.by_kind, figures, chain, errors)


def _figures(
    mode: str,
    journals: Journals,
    moments: dict[str, float],
    findings: dict[str, list[str]],
    figures: Compared,
    chain: Chain,
    errors: dict[str, int],
) -> dict[str, Any]:
    answers = sorted(journals.answers, key=lambda each: each.at)
    # Some clients leave before the answer, on purpose.
    failed = [each for each in answers if each.status[0] not in "234" and not each.status.startswith("gone")]
    began = [
        each for each in answers if each.at - each.seconds > moments["ended"] and is_success(each.kind, each.status)
    ]
    last = max((each.at for each in failed), default=moments["ended"])
    return {
        "mode": mode,
        "requests": len(answers),
        "acknowledged_turns": journals.acknowledged,
        "failed": dict(sorted(Counter(each.status for each in failed).items())),
        "out_of_service_s": round(moments["turned"] - moments["ended"], 2),
        "first_success_s": round(began[0].at - moments["ended"], 2) if began else None,
        "last_failure_s": round(last - moments["ended"], 2),
        "replayed": sum(each.replayed for each in answers),
        "longest_answer_s": round(max(each.seconds for each in answers), 2),
        **{kind: len(found) for kind, found in findings.items()},
        "figures_compared": figures.figures,
        "figures_wrong": len(figures.wrong),
        "audit_entries": chain.entries,
        "chains_broken": len(chain.broken),
        "environment_errors": errors,
        "unanswered": len(journals.unanswered),
        "examples": [f"{kind}: {each}" for kind, found in findings.items() for each in found][:10]
        + [*figures.wrong, *chain.broken][:10],
    }


def failures(figures: dict[str, Any]) -> list[str]:
    """Return what is wrong with the figures of a mode, one line each."""
    must_be_0 = ["figures_wrong", "chains_broken", "unanswered"]
    if figures["mode"] != "async":
        kinds = ("lost", "lost_edits", "undead", "doubled", "gaps", "half_batches", "out_of_time", "strangers")
        must_be_0 += [*kinds, "misread", "audit"]
    found = [f"{figures['mode']}: {name} is {figures[name]}, must be 0" for name in must_be_0 if figures[name]]
    if any(status.startswith("500") for status in figures["failed"]) or figures["environment_errors"]:
        found.append(f"{figures['mode']}: {figures['failed']} {figures['environment_errors']}")
    if figures["first_success_s"] is None or not figures["acknowledged_turns"]:
        found.append(f"{figures['mode']}: no request recovered")
    return found


def main() -> int:
    """Run the modes, print their figures, and return the exit code."""
    seconds = float(os.environ.get("DURATION") or 30)
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    modes = (os.environ.get("MODES") or ",".join(MODES)).split(",")
    kind = os.environ.get("KIND") or "tls"
    if not 3 <= seconds <= 60 or not set(modes) <= set(MODES) or kind not in KINDS:
        raise SystemExit(f"DURATION= 3 to 60, MODES= of {','.join(MODES)}, KIND= {' or '.join(KINDS)}")
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    print(f"SEED={seed} DURATION={seconds:g} MODES={','.join(modes)} KIND={kind}: {CLIENTS} clients", flush=True)
    certificates = server_folder()
    certificates.chmod(0o755)
    authority = make_authority(certificates)
    results = []
    for mode in modes:
        folder = Path(tempfile.mkdtemp(prefix=f"rb-failover-{mode}-"))
        with _stand_in(kind, authority) as (pair, stand_in):
            with stand_in.observer() as observer:
                keep_history(observer)
            pair.synchronous(on=mode == "sync")
            results.append(asyncio.run(_run(mode, seconds, seed, pair, stand_in, folder)))
        print(json.dumps(results[-1], indent=1), flush=True)
        if not failures(results[-1]):
            remove_folder(folder)
        else:
            print("\n".join([*unexpected(folder), f"Journals and logs: {folder}"]))
    remove_folder(certificates)
    wrong = [line for each in results for line in failures(each)]
    print("\n".join(f"FAILED: {line}" for line in wrong) or "Nothing acknowledged was lost or doubled, as promised.")
    result = {"seed": seed, "seconds": seconds, "kind": kind, "modes": results}
    print(f"RESULT {json.dumps(result)}", flush=True)
    if os.environ.get("OUTPUT"):
        Path(os.environ["OUTPUT"]).write_text(json.dumps(result, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted: nothing is proved.")
