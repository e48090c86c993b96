"""The servers below the clients: front, emulator with awslambdaric, the stand-in for Neon, PgBouncer and PostgreSQL."""

import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from local.gateway.authorizer import authorizers_of
from local.gateway.front import Front
from local.issuer import AUDIENCE, Issuer, load_key
from local.runtime import Launch
from local.settings import ROOT
from local.template import load_template
from ops.build import template_for
from tests.soak.environments import Environments
from tests.soak.tokens import Tokens
from tests.support.neon import faults, names
from tests.support.neon.faults import FAULTS
from tests.support.neon.stand_in import StandIn
from tests.support.servers.authority import make_authority
from tests.support.servers.process import remove_folder, server_folder
from tests.support.servers.stand_in import neon_stand_in

WAKE_SECONDS = 0.5
# The layer discards a connection that was idle for longer. With the default of 30 s this would hardly happen in a run.
IDLE_MILLISECONDS = 5000
# The emulator ends an environment that was idle for this long. Lambda does so after some minutes.
IDLE_SECONDS = 20.0
# How many answers one fault loses or breaks off. So it hits all first writes after its beginning.
MANY = 6
# Seconds. Shorter than the day for which a key is remembered.
STEPS = (2, -2, 90, -90, 1800, -1800, 3 * 3600, -3 * 3600, 20 * 3600, -20 * 3600)
# These also act on open connections.
FOR_OPEN_CONNECTIONS = ("acknowledge_silence", "delay", "commit_stall")


@dataclass(frozen=True)
class Serving:
    """The execution environments, the API's host:port, the URL of the issuer, and the tokens of callers."""

    environments: Environments
    address: str
    issuer: str
    tokens: Tokens


@contextmanager
def neon() -> Iterator[StandIn]:
    """Start both servers with a migrated database, and the stand-in in front. All of it ends with the block."""
    with ExitStack() as stack:
        folder = server_folder()
        stack.callback(remove_folder, folder)
        folder.chmod(0o755)
        yield stack.enter_context(
            neon_stand_in(make_authority(folder), names=True, wake_seconds=WAKE_SECONDS, clock_kept=1)
        )


@asynccontextmanager
async def serving(stand_in: StandIn, folder: Path) -> AsyncIterator[Serving]:
    """Serve the API, and the issuer of its callers' tokens, during the block."""
    settings = {"DATABASE_URL": stand_in.url, "DB_IDLE_TIMEOUT": str(IDLE_MILLISECONDS), "AUTH": "jwt"}
    wrapper = () if stand_in.names is None else names.wrapper(stand_in.names)
    launch = Launch(settings=settings, wrapper=wrapper, freeze=True)

    def open_log(function: str) -> BinaryIO:
        return (folder / f"{function}.log").open("ab", buffering=0)

    with socket.socket() as bound, socket.socket() as own, (folder / "access.log").open("w") as access:
        bound.bind(("127.0.0.1", 0))
        own.bind(("127.0.0.1", 0))
        key = load_key(folder)
        issuer = Issuer(key, own)
        parameters = {"JwtIssuer": issuer.url, "JwtAudience": AUDIENCE}
        template = load_template(
            ROOT / "template.yaml", parameters, lambda text: template_for(text, "x86_64", "off", "jwt")
        )

        def say(line: str) -> None:
            print(line, file=access)

        async with (
            issuer,
            Environments(
                template.functions, launch=launch, open_log=open_log, idle_seconds=IDLE_SECONDS
            ) as environments,
            Front(template, environments, bound, access=say, authorizers=authorizers_of(template.api)),
        ):
            address = "{}:{}".format(*bound.getsockname())
            yield Serving(environments, address, issuer.url, Tokens(key, issuer.url))


class Harder:
    """The stand-in's faults, made stronger. Faults that act only on new connections often also end the open ones."""

    def __init__(self, stand_in: StandIn, chance: random.Random) -> None:
        """Take the stand-in and the random generator."""
        self._stand_in = stand_in
        self._chance = chance

    def begin(self, name: str) -> None:
        """Begin the fault."""
        faults.begin(self._stand_in, name)
        if name == "answer_lost":
            self._stand_in.relay.lose_answers(MANY)
        elif name == "reset_mid_answer":
            self._stand_in.relay.reset_answers(MANY)
        elif name == "clock_step" and self._stand_in.wall_clock is not None:
            self._stand_in.wall_clock.set(self._chance.choice(STEPS))
        elif not FAULTS[name].drops and name not in FOR_OPEN_CONNECTIONS and self._chance.random() < 0.7:
            self._stand_in.relay.drop()

    def end(self, name: str) -> None:
        """End the fault."""
        faults.end(self._stand_in, name)
