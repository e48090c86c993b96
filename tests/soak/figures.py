"""Compare the final figures of GET /stats with the rows, before and after a refresh, from SQL and over HTTP."""

import asyncio
import json
import time
from typing import Any
from urllib.request import Request, urlopen

import psycopg

from ops.audit_chains import verify_chains
from ops.recount import recount
from tests.soak.check_audit import Chain
from tests.soak.environments import Environments
from tests.soak.tokens import Tokens
from tests.support.figures import Compared, compare
from tests.support.neon.stand_in import StandIn
from tests.support.search_calls import fill_all, wrong_words

TENANT = "local"
ANSWERED_WITHIN_SECONDS = 60.0


_ERASING = """
select
  (select count(*) from robot_brain.sessions where erasing_at is not null)
  + (select count(*) from robot_brain.user_erasures where user_id is not null)
"""


_UNCHAINED = "select count(*) from robot_brain.audit_logs where n is null"
_CHAINED = "select count(*), count(distinct chained_at) from robot_brain.audit_logs where tenant_id = %s"


async def finish_erasures(stand_in: StandIn, environments: Environments) -> None:
    """Refresh until no erasure of a session or user is unfinished. Raises TimeoutError if one stays."""
    deadline = time.monotonic() + ANSWERED_WITHIN_SECONDS
    with stand_in.observer() as observer:
        while (row := observer.execute(_ERASING).fetchone()) and row[0]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{row[0]} erasures of sessions and users are unfinished")
            await environments.refresh()


async def prove_figures(stand_in: StandIn, environments: Environments, address: str, tokens: Tokens) -> Compared:
    """Compare all figures after the last write. Raises TimeoutError if no refresh or answer succeeds."""
    compared = Compared()
    with stand_in.observer() as observer:
        # The SQL function does not refresh. A request over HTTP may refresh old figures.
        compared.add(await asyncio.to_thread(compare, observer, TENANT, refreshed=False))
        answer = await asyncio.to_thread(_ask, address, tokens)
        compared.add(await asyncio.to_thread(compare, observer, TENANT, refreshed=False, answer=answer))
        deadline = time.monotonic() + ANSWERED_WITHIN_SECONDS
        while not await environments.refresh():
            if time.monotonic() > deadline:
                raise TimeoutError("no refresh succeeds after the end")
        compared.add(await asyncio.to_thread(compare, observer, TENANT, refreshed=True))
        answer = await asyncio.to_thread(_ask, address, tokens)
        compared.add(await asyncio.to_thread(compare, observer, TENANT, refreshed=True, answer=answer))
        compared.wrong += await asyncio.to_thread(_words, observer)
    compared.wrong += await asyncio.to_thread(_recount, stand_in.admin_url)
    return compared


async def prove_chain(stand_in: StandIn, environments: Environments) -> Chain:
    """Refresh until each entry of the audit trail is chained, and verify it. Raises TimeoutError if one stays."""
    deadline = time.monotonic() + ANSWERED_WITHIN_SECONDS
    with stand_in.observer() as observer:
        while (row := observer.execute(_UNCHAINED).fetchone()) and row[0]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{row[0]} entries of the audit trail are not chained")
            await environments.refresh()
        found = observer.execute(_CHAINED, [TENANT]).fetchone()
    assert found is not None
    results = await asyncio.to_thread(lambda: list(verify_chains(stand_in.direct_url)))
    broken = [f"the chain of {result.tenant}: {result.broken}" for result in results if result.broken]
    verified = sum(result.head.n for result in results if result.tenant == TENANT)
    if verified != found[0]:
        broken.append(f"{verified} of {found[0]} entries were verified")
    return Chain(found[0], found[1], broken)


def _ask(address: str, tokens: Tokens) -> Any:
    request = Request(f"http://{address}/stats", headers={"Authorization": tokens.bearer()})
    with urlopen(request, timeout=ANSWERED_WITHIN_SECONDS) as response:
        return json.load(response)


def _words(observer: psycopg.Connection[Any]) -> list[str]:
    """Make the words of all turns. Return a line for each turn whose stored words are not those of its texts."""
    fill_all(observer)
    return [f"words: {row}" for row in wrong_words(observer)]


def _recount(direct_url: str) -> list[str]:
    """Count the figures again from the rows. Return a line for each difference, and correct nothing."""
    found = [str(difference) for each in recount(direct_url, dry_run=True) for difference in each]
    return [f"recount: {difference}" for difference in found]
