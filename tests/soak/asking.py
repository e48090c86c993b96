"""How a client sends requests: over one connection, with a line in its journal before and after each attempt."""

import itertools
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

from tests.soak.journal import Journal
from tests.soak.records import REFUSALS, SUCCESSES
from tests.soak.tokens import Tokens

FUNCTION_SECONDS = 28.0  # the template's Timeout
MARGIN_SECONDS = 5.0  # the gateway answers after 30 seconds, and a busy machine needs more
REMEMBERED = 12  # texts
NO_ANSWER_SECONDS = FUNCTION_SECONDS + MARGIN_SECONDS


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, or what came instead. `status` is as in the journal, `wait` the seconds of Retry-After."""

    status: str
    body: Any = None
    wait: float | None = None
    replayed: bool = False
    tag: str | None = None

    @property
    def succeeded(self) -> bool:
        """Return whether the request was done."""
        return self.status in SUCCESSES

    @property
    def refused(self) -> bool:
        """Return whether the attempt changed nothing."""
        return self.status in REFUSALS


@dataclass
class Request:
    """What to send, the same for each attempt. `facts` go into the journal with the first attempt."""

    kind: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    attempts: int = 0


def session_path(session: str, rest: str = "") -> str:
    """Return the path of a session, and what follows it."""
    return f"/sessions/{quote(session, safe='')}{rest}"


class Asker:
    """Sends the requests of one client."""

    def __init__(self, client: str, address: str, journal: Journal, chance: random.Random, tokens: Tokens) -> None:
        """Take the API's host:port. After `give_up_at` no retry begins. Without `user` the client is a service."""
        self.client = client
        self.chance = chance
        self.user: str | None = None
        self.give_up_at = float("inf")
        self._address = address
        self._connection: HTTPConnection | None = None
        self._journal = journal
        self._tokens = tokens
        self._requests = itertools.count(1)
        # The ids of the last texts that were acknowledged, for searches. Some were replaced, removed or erased since.
        self.said: list[str] = []

    @property
    def may_repeat(self) -> bool:
        """Return whether there is time for a retry."""
        return time.monotonic() < self.give_up_at

    def next_name(self) -> str:
        """Return the name of a new request, which is also its key, and the beginning of its texts' ids."""
        return f"{self.client}-{next(self._requests):06}"

    def ask(self, request: Request, timeout: float | None = None) -> Reply:
        """Note an attempt in the journal, send it, and note its result. Then wait, unless it succeeded."""
        request.name = request.name or self.next_name()
        request.attempts += 1
        noted: dict[str, Any] = {"request": request.name, "attempt": request.attempts, "kind": request.kind}
        self._journal.write("send", **noted, **({**request.facts, "by": self.user} if request.attempts == 1 else {}))
        reply = self._exchange(request, timeout)
        facts: dict[str, Any] = {}
        if reply.status == "201" and request.kind == "write":
            facts["seqs"] = [each["seq"] for each in reply.body["messages"]]
        if reply.status == "200" and request.kind == "remove":
            facts |= {name: reply.body[name] for name in ("last_seq", "removed", "message_count")}
        if reply.status == "200" and request.kind == "put":
            facts["updated_at"] = reply.body["updated_at"]
        if reply.tag is not None:
            facts["tag"] = reply.tag
        if reply.replayed:
            facts["replayed"] = True
        if reply.status == "500 problem":
            facts["problem"] = reply.body
        self._journal.write("answer", **noted, status=reply.status, **facts)
        if not reply.succeeded and reply.status not in ("404", "410", "412"):
            self._pause(reply, request.attempts)
        return reply

    def see(self, request: Request, **facts: Any) -> None:
        """Note what a reader saw."""
        self._journal.write("seen", request=request.name, **facts)

    def remember(self, *names: str) -> None:
        """Keep the ids of texts that were acknowledged, and forget old ones."""
        self.said = [*self.said, *names][-REMEMBERED:]

    def see_search(self, request: Request, **facts: Any) -> None:
        """Note what a search found."""
        self._journal.write("found", request=request.name, **facts)

    def see_person(self, event: str, request: Request, **facts: Any) -> None:
        """Note what a reader saw of a person. `event` is `user` or `export`."""
        self._journal.write(event, request=request.name, **facts)

    def now(self) -> float:
        """Return the time as the journal notes it."""
        return time.monotonic()

    def misread(self, request: Request, what: str) -> None:
        """Note what is wrong with an answer."""
        self._journal.write("misread", request=request.name, what=f"{request.method} {request.path}: {what}")

    def disconnect(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _exchange(self, request: Request, timeout: float | None) -> Reply:
        body = None if request.body is None else json.dumps(request.body, ensure_ascii=False).encode()
        headers = request.headers | {"Authorization": self._tokens.bearer(self.user)}
        headers |= {} if body is None else {"Content-Type": "application/json"}
        if self._connection is None:
            self._connection = HTTPConnection(self._address, timeout=NO_ANSWER_SECONDS)
        try:
            self._connection.connect() if self._connection.sock is None else None
            self._connection.sock.settimeout(timeout or NO_ANSWER_SECONDS)
            self._connection.request(request.method, request.path, body, headers)
            response = self._connection.getresponse()
            data = response.read()
        except TimeoutError:
            self.disconnect()
            return Reply("gone before the answer" if timeout else "no answer")
        except (OSError, HTTPException) as error:
            self.disconnect()
            return Reply(f"lost: {type(error).__name__}")
        waited = response.getheader("Retry-After")
        status, parsed = str(response.status), json.loads(data) if data else None
        if response.status >= 500:
            # The gateway's own errors are `{"message": …}`. Those of the functions have no member `message`.
            status += " gateway" if isinstance(parsed, dict) and "message" in parsed else " problem"
        tag = response.getheader("ETag")
        return Reply(
            status,
            parsed,
            None if waited is None else float(waited),
            response.getheader("Idempotent-Replayed") == "true",
            None if tag is None else tag.strip('"'),
        )

    def _pause(self, reply: Reply, attempt: int) -> None:
        """Wait before the next request: as Retry-After says, or else twice as long each time, up to two seconds."""
        seconds = min(2.0, 0.1 * 2.0**attempt) if reply.wait is None else min(5.0, reply.wait)
        time.sleep(seconds * self.chance.uniform(0.75, 1.0))
