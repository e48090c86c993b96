"""One client of the HTTP API. It writes, reads, retries if that is safe, and keeps a journal of all requests."""

import itertools
import json
import random
import threading
import time
from dataclasses import astuple, dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

from tests.bench.texts import pairs
from tests.soak.check import id_of, turn_id
from tests.soak.journal import Journal, Turn

FUNCTION_SECONDS = 28.0  # the template's Timeout
MARGIN_SECONDS = 5.0  # the gateway answers after 30 seconds, and a busy machine needs more
NO_ANSWER_SECONDS = FUNCTION_SECONDS + MARGIN_SECONDS
SHARED_SESSIONS = 4
SESSION_TURNS = 150  # after that a client starts a new session of its own
BATCH = (2, 12)  # turns
# Shares of all requests. A third of the writes are batches, and three quarters have a key.
WRITES, READS, STATS = 0.70, 0.26, 0.02  # the rest are deep health checks
BATCHES = 0.33
KEYED = 0.75
PERSONALITIES = ("barista", "guide", "nurse", "pilot", "teacher")
KINDS = ("speech", "gesture", "gaze")
INTERACTIONS = 0.2
SHARED = 0.3
# The share of writes in which the client leaves before the answer. Such a write may be stored.
IMPATIENT = 0.02
NOTHING_WRITTEN = ("400", "404", "412", "413", "415", "422")


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, or what came instead. `status` is as in the journal, `wait` the seconds of Retry-After."""

    status: str
    body: Any = None
    wait: float | None = None
    replayed: bool = False


@dataclass
class _Session:
    name: str
    last_seq: int = 0  # the highest that this client knows
    turns: dict[str, Turn] = field(default_factory=dict)  # of this client, if acknowledged, by id


class Client:
    """A client with a journal and a session of its own, and some sessions that other clients also write to."""

    def __init__(self, name: str, address: str, journal: Journal, seed: str, stop: threading.Event) -> None:
        """Take the API's host:port. After `stop` no new request begins. After `give_up_at` no retry begins."""
        self.give_up_at = float("inf")
        self._name = name
        self._address = address
        self._connection: HTTPConnection | None = None
        self._journal = journal
        self._chance = random.Random(f"{seed}/{name}")
        self._stop = stop
        self._requests = itertools.count(1)
        self._generations = itertools.count(1)
        self._acknowledged = 0  # turns
        self._own = self._new_session()
        self._shared = [_Session(f"soak-shared-{number}") for number in range(SHARED_SESSIONS)]

    def run(self) -> None:
        """Make one request after the other until `stop` is set."""
        while not self._stop.is_set():
            kind = self._chance.random()
            shared = self._chance.random() < SHARED
            session = self._chance.choice(self._shared) if shared else self._own
            if kind < WRITES or not session.last_seq:
                self._write(session)
            elif kind < WRITES + READS:
                self._read(session)
            else:
                self._look("/stats" if kind < WRITES + READS + STATS else "/health/database")
            if len(self._own.turns) > SESSION_TURNS:
                self._own = self._new_session()
        self._disconnect()

    def _write(self, session: _Session) -> None:
        name = self._next_name()
        count = self._chance.randint(*BATCH) if self._chance.random() < BATCHES else 1
        keyed = self._chance.random() < KEYED
        impatient = self._chance.uniform(0.002, 0.1) if self._chance.random() < IMPATIENT else None
        turns = [self._turn(name, number) for number in range(count)]
        sent = [turn.body for turn in turns]
        body = json.dumps(sent[0] if count == 1 else {"messages": sent}, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": name} if keyed else {})
        path = f"/sessions/{quote(session.name, safe='')}/messages"
        facts: dict[str, Any] = {"session": session.name, "keyed": keyed, "turns": [astuple(turn) for turn in turns]}
        for attempt in itertools.count(1):
            timeout = impatient if attempt == 1 else None
            reply = self._ask(name, attempt, "write", "POST", path, body, headers, timeout, **facts)
            facts = {}
            if reply.status == "201":
                session.turns.update((turn_id(name, number), turn) for number, turn in enumerate(turns))
                session.last_seq = max(session.last_seq, reply.body["messages"][-1]["seq"])
                self._acknowledged += count
                return
            if reply.status in NOTHING_WRITTEN:
                self._journal.write("misread", request=name, what=f"refused with {reply.status}: {reply.body}")
                return
            self._pause(reply, attempt)
            # Without a key the outcome is unknown, so a good client does not retry.
            if not keyed or time.monotonic() > self.give_up_at:
                return

    def _read(self, session: _Session) -> None:
        name = self._next_name()
        at_least = session.last_seq
        newest = self._chance.random() < 0.5
        query = "limit=20" if newest else f"after={self._chance.randrange(at_least)}&limit=20"
        path = f"/sessions/{quote(session.name, safe='')}?{query}"
        for attempt in itertools.count(1):
            reply = self._ask(name, attempt, "read", "GET", path)
            if reply.status == "200":
                wrong = _wrong_page(reply.body, at_least, session.turns)
                if wrong:
                    self._journal.write("misread", request=name, what=f"{path}: {wrong}")
                return
            if reply.status in NOTHING_WRITTEN:
                self._journal.write("misread", request=name, what=f"{path}: {reply.status} after seq {at_least}")
                return
            self._pause(reply, attempt)
            if time.monotonic() > self.give_up_at:
                return

    def _look(self, path: str) -> None:
        name = self._next_name()
        at_least = self._acknowledged
        reply = self._ask(name, 1, path.strip("/"), "GET", path)
        if path == "/stats" and reply.status == "200" and (wrong := _wrong_figures(reply.body, at_least)):
            self._journal.write("misread", request=name, what=f"{path}: {wrong}")
        self._pause(reply, 1)

    def _ask(
        self,
        name: str,
        attempt: int,
        kind: str,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
        **facts: Any,
    ) -> Reply:
        """Note the request in the journal, send it, and note its result."""
        self._journal.write("send", request=name, attempt=attempt, kind=kind, **facts)
        reply = self._exchange(method, path, body, headers or {}, timeout)
        seqs = {"seqs": [each["seq"] for each in reply.body["messages"]]} if reply.status == "201" else {}
        detail = {"problem": reply.body} if reply.status == "500 problem" else {}
        detail |= {"replayed": True} if reply.replayed else {}
        self._journal.write("answer", request=name, attempt=attempt, kind=kind, status=reply.status, **seqs, **detail)
        return reply

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: float | None
    ) -> Reply:
        if self._connection is None:
            self._connection = HTTPConnection(self._address, timeout=NO_ANSWER_SECONDS)
        try:
            self._connection.connect() if self._connection.sock is None else None
            self._connection.sock.settimeout(timeout or NO_ANSWER_SECONDS)
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            data = response.read()
        except TimeoutError:
            self._disconnect()
            return Reply("gone before the answer" if timeout else "no answer")
        except (OSError, HTTPException) as error:
            self._disconnect()
            return Reply(f"lost: {type(error).__name__}")
        waited = response.getheader("Retry-After")
        status, parsed = str(response.status), json.loads(data) if data else None
        if response.status >= 500:
            # The gateway's own errors are `{"message": …}`. Those of the functions have no member `message`.
            status += " gateway" if isinstance(parsed, dict) and "message" in parsed else " problem"
        replayed = response.getheader("Idempotent-Replayed") == "true"
        return Reply(status, parsed, None if waited is None else float(waited), replayed)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _pause(self, reply: Reply, attempt: int) -> None:
        """Wait before the next request: as Retry-After says, or else twice as long each time, up to two seconds."""
        if reply.status[0] in "23":
            return
        seconds = min(2.0, 0.1 * 2.0**attempt) if reply.wait is None else min(5.0, reply.wait)
        time.sleep(seconds * self._chance.uniform(0.75, 1.0))

    def _turn(self, request: str, number: int) -> Turn:
        said, answered = self._chance.choice(pairs())
        kind = self._chance.choice(KINDS) if self._chance.random() < INTERACTIONS else None
        return Turn(f"[{turn_id(request, number)}] {said}", answered, self._chance.choice(PERSONALITIES), kind)

    def _next_name(self) -> str:
        return f"{self._name}-{next(self._requests):06}"

    def _new_session(self) -> _Session:
        return _Session(f"soak-{self._name}-{next(self._generations)}")


def _wrong_page(page: Any, at_least: int, mine: dict[str, Turn]) -> str | None:
    """Return what is wrong with a page. The turn with seq `at_least` was acknowledged before the read began."""
    seqs = [message["seq"] for message in page["messages"]]
    if page["session"]["message_count"] < at_least:
        return f"counts {page['session']['message_count']} turns after {at_least} were acknowledged"
    if not seqs or seqs != list(range(seqs[0], seqs[0] + len(seqs))):
        return f"seqs {seqs}"
    for message in page["messages"]:
        known = mine.get(id_of(message["user_message"]) or "")
        texts = (message["user_message"], message["robot_response"], message["robot_personality"])
        if known is not None and texts != (known.user_message, known.robot_response, known.robot_personality):
            return f"seq {message['seq']} is not as it was sent"
    return None


def _wrong_figures(figures: Any, at_least: int) -> str | None:
    """Return what is wrong with figures. `at_least` turns of this client were acknowledged before."""
    messages = figures["totals"]["messages"]
    if messages < at_least:
        return f"counts {messages} turns after {at_least} of one client were acknowledged"
    if messages != sum(each["messages"] for each in figures["personalities"]):
        return f"counts {messages} turns, and others by personality"
    if figures["age_seconds"] < 0:
        return f"is {figures['age_seconds']} seconds old"
    return None
