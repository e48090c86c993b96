"""Run Robot Brain on this machine: `python -m local.serve`, or `make run`.

This starts PostgreSQL, applies the migrations, and serves the HTTP API, with the functions in processes of their own.
Ctrl-C stops everything. The data stays.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from types import FrameType
from typing import Any

from local.changes import Changes
from local.cloudformation import TemplateError
from local.emulator import Emulator, ThrottledError
from local.gateway.authorizer import authorizers_of
from local.gateway.cors import Cors
from local.gateway.front import Front
from local.gateway.index import Index
from local.greeting import commands, greeting
from local.http_api import CorsConfiguration
from local.issuer import AUDIENCE, Issuer, IssuerError, load_key
from local.ports import LAST_PORT, PortError, bind
from local.postgres import PostgresError
from local.provision import ready_database
from local.runtime import Launch
from local.sam_env import sam_env
from local.schedule import ScheduleError, parse_rate, run_schedule
from local.settings import ALL_USERS_SCOPE, ROOT, Settings, SettingsError, parser, read_settings
from local.state import Running, State, StateInUseError
from local.template import Schedule, Template, load_template
from ops.build import template_for
from ops.errors import BuildError, MigrationError, UsageError

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, a closed terminal
STATS = "StatsFunction"
CLEAR_ERRORS = (
    SettingsError,
    StateInUseError,
    TemplateError,
    ScheduleError,
    PostgresError,
    MigrationError,
    UsageError,
    BuildError,
    IssuerError,
)


class Interruption:
    """Whether a signal came during the start. Python discards an exception that is raised in a finalizer."""

    def __init__(self) -> None:
        self._came = False

    def signalled(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal: raise KeyboardInterrupt. Further signals must not interrupt the shutdown."""
        self._came = True
        _ignore_signals()
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came."""
        if self._came:
            raise KeyboardInterrupt


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP and return exit status 0. Return 1, with a message, if it cannot run."""
    options = parser("python -m local.serve", "Run Robot Brain on this machine, without AWS and Docker.", environ)
    options.add_argument(
        "--port",
        default=environ.get("PORT", "3000"),
        help="port of the API on 127.0.0.1; 0 takes any free port (3000)",
    )
    options.add_argument(
        "--freeze",
        action="store_true",
        default=environ.get("FREEZE", "0") not in ("", "0"),
        help="stop a function's process between requests, as Lambda does",
    )
    parsed = options.parse_args(arguments)
    interruption = Interruption()
    for number in STOPPING:
        signal.signal(number, interruption.signalled)
    try:
        _run(read_settings(parsed, environ), interruption)
    except (*CLEAR_ERRORS, PortError) as error:
        print(f"Robot Brain cannot run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass  # a signal during the start; later the event loop handles signals
    _say("Stopped.")
    return 0


def _run(settings: Settings, interruption: Interruption) -> None:
    began = time.monotonic()
    state = State(settings.state)
    # Bind the ports before anything starts, so that a busy port is reported at once. The sockets do not listen before
    # everything is ready.
    with state.lock(), bind(settings.port, settings.port) as bound, _issuer(settings, state) as issuer:
        template = _template(settings, issuer)
        for schedule in template.schedules:
            parse_rate(schedule.expression)
        with ready_database(settings, state, _say) as app_url, sam_env(settings, state, template, app_url, _say):
            asyncio.run(_serve(settings, template, state, bound, issuer, app_url, began, interruption))
            # A second Ctrl-C must not interrupt the database's shutdown.
            _ignore_signals()
            _say("Stopping …")


@contextlib.contextmanager
def _issuer(settings: Settings, state: State) -> Iterator[Issuer | None]:
    """Yield the issuer of AUTH=jwt with its port bound, or None. The caller holds the state folder's lock."""
    if settings.auth != "jwt":
        yield None
        return
    if settings.port == LAST_PORT:
        raise SettingsError(f"PORT is {LAST_PORT}; with AUTH=jwt the issuer takes the next port, so choose a lower one")
    port = settings.port and settings.port + 1
    with bind(port, settings.port, ", which the issuer of AUTH=jwt needs,") as bound:
        yield Issuer(load_key(state.folder), bound)


def _template(settings: Settings, issuer: Issuer | None) -> Template:
    if issuer is None:
        return load_template(settings.template)
    parameters = {**settings.parameters, "JwtIssuer": issuer.url, "JwtAudience": AUDIENCE}
    return load_template(settings.template, parameters, lambda text: template_for(text, "x86_64", "off", "jwt"))


@contextlib.asynccontextmanager
async def _front(
    settings: Settings, template: Template, emulator: Emulator, bound: socket.socket, issuer: Issuer | None
) -> AsyncIterator[None]:
    """Serve the API, and the issuer if there is one."""
    async with contextlib.AsyncExitStack() as stack:
        checks: dict[str, Any] = {}
        if issuer is not None:
            await stack.enter_async_context(issuer)
            checks["authorizers"] = authorizers_of(template.api)
            checks["cors"] = Cors(template.api.cors or CorsConfiguration(()))
        copied = commands(settings, _address(bound), None if issuer is None else issuer.url)
        index = Index(template.routes, copied, checks_tokens=issuer is not None)
        await stack.enter_async_context(Front(template, emulator, bound, access=_say, index=index, **checks))
        yield


async def _serve(
    settings: Settings,
    template: Template,
    state: State,
    bound: socket.socket,
    issuer: Issuer | None,
    app_url: str | None,
    began: float,
    interruption: Interruption,
) -> None:
    stop = asyncio.Event()
    for number in STOPPING:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    interruption.check()
    database = {} if app_url is None else {"DATABASE_URL": app_url}
    launch = Launch(runtime=settings.runtime, settings={**settings.functions, **database}, freeze=settings.freeze)

    changes = Changes(ROOT, _say, migrates=not settings.own_database or settings.direct_url is not None)
    async with Emulator(
        template.functions, launch=launch, open_log=state.open_log, generation=changes.generation
    ) as emulator:

        async def fire(schedule: Schedule) -> None:
            try:
                outcome = await emulator.invoke(schedule.function, schedule.event.encode())
            except ThrottledError:
                _say(f"{schedule.name}: skipped, the functions are busy")
            else:
                _say(f"{schedule.name}: {schedule.function} {outcome.error or 'done'}")

        async with _front(settings, template, emulator, bound, issuer), asyncio.TaskGroup() as group:
            url = None if issuer is None else issuer.url
            state.announce(Running(os.getpid(), app_url, url))
            _say(greeting(settings, _address(bound), url, time.monotonic() - began))
            tasks = [group.create_task(run_schedule(each, fire)) for each in template.schedules]
            tasks.append(group.create_task(changes.watch()))
            if STATS in template.functions:
                tasks.append(group.create_task(_check_database(emulator, settings)))
            await stop.wait()
            for task in tasks:
                task.cancel()


async def _check_database(emulator: Emulator, settings: Settings) -> None:
    """Run GET /health/database once, so that a wrong setting is reported at the start and not by the first request."""
    event = json.loads((ROOT / "events" / "stats_database_health.json").read_bytes())
    if settings.auth == "jwt":
        event["requestContext"]["authorizer"] = {"jwt": {"claims": _own_claims(settings), "scopes": None}}
    try:
        outcome = await emulator.invoke(STATS, json.dumps(event).encode())
    except ThrottledError:
        return
    answer = {} if outcome.error else json.loads(outcome.payload)
    if answer.get("statusCode") != 200:
        # The body is the report of GET /health/database, or a problem if the database could not be reached.
        body = json.loads(answer.get("body") or "{}")
        report = f"{body['status']} ({', '.join(body['reasons'])})" if "reasons" in body else None
        if "schema" in body.get("reasons", ()):
            reason = "Its schema is older than the functions: run make migrate with DIRECT_DATABASE_URL."
        elif "schema_missing" in body.get("reasons", ()):
            reason = (
                "It has no schema of Robot Brain: if it had data, restore a backup; if it is new, run make migrate "
                "with DIRECT_DATABASE_URL."
            )
        else:
            reason = f"The reason is in {settings.state}/logs/{STATS}.log."
        _say(f"The functions cannot use the database: {report or body.get('title', outcome.error)}. {reason}")


def _own_claims(settings: Settings) -> dict[str, str]:
    """Return the claims of a caller of one tenant that may see all."""
    claims = {"sub": "make run", "scope": settings.functions.get("ALL_USERS_SCOPE", ALL_USERS_SCOPE)}
    kind, _, name = settings.functions.get("TENANT_FROM", "").partition(":")
    return {**claims, name: claims.get(name, "local")} if kind == "claim" else claims


def _address(bound: socket.socket) -> str:
    return "http://{}:{}".format(*bound.getsockname())


def _say(line: str) -> None:
    print(line, flush=True)


def _ignore_signals() -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
