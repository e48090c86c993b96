"""One client of the HTTP API: it chooses by its seed what to do next, and in which session."""

import itertools
import random
import threading

from tests.soak import changing, erasing, reading, searching, writing
from tests.soak.asking import Asker
from tests.soak.journal import Journal
from tests.soak.sessions import SHARED_SESSIONS, SHARED_TURNS, Session, SharedNames
from tests.soak.tokens import Tokens

SESSION_TURNS = 150  # after that a client starts a new session of its own
SHARED = 0.3
# The relative shares of the requests.
SHARES = {
    "write": 50,
    "read": 20,
    "put": 15,
    "patch": 4,
    "remove": 4,
    "erase": 1.5,
    "again": 1.5,
    "walk": 0.7,
    "search": 10,
    "stats": 1.5,
    "health": 1.5,
}
NAMED = 0.3  # the share of sessions that begin with a PATCH, which names their user
RENAMED = 0.4  # the chance after each request that a session in doubt gets another name
LARGE_EVERY = 40  # requests


class Client:
    """A client with a journal and a session of its own, and some sessions that other clients also write to."""

    def __init__(
        self,
        name: str,
        address: str,
        journal: Journal,
        seed: str,
        stop: threading.Event,
        shared: SharedNames,
        tokens: Tokens,
        *,
        large: bool = False,
    ) -> None:
        """Take the API's host:port. After `stop` no new request begins. `large`: it also erases large sessions."""
        self.asker = Asker(name, address, journal, random.Random(f"{seed}/{name}"), tokens)
        self._stop = stop
        self._generations = itertools.count(1)
        self._names = shared
        self._known: dict[str, Session] = {}
        self._large = large
        self._own = Session("")

    def run(self) -> None:
        """Make one request after the other until `stop` is set."""
        self._own = self._new_session()
        for number in itertools.count(1):
            if self._stop.is_set():
                break
            if self._large and number % LARGE_EVERY == 1:
                self._erase_large()
            shared = self.asker.chance.random() < SHARED
            self._do(self._shared() if shared else self._own)
        self.asker.disconnect()

    def _do(self, session: Session) -> None:
        """Make one request, and choose another session if this one is full, erased, or in doubt."""
        chance = self.asker.chance
        what = chance.choices(list(SHARES), list(SHARES.values()))[0]
        renew = False
        if what == "stats":
            reading.stats(self.asker)
        elif what == "health":
            reading.look(self.asker)
        elif what == "search":
            searching.find(self.asker)
        elif what == "walk":
            reading.walk(self.asker, self.asker.client if chance.random() < reading.OF_USER else None)
        elif what == "write" or not session.last_seq:
            writing.write(self.asker, session)
        elif what == "read":
            after = None if chance.random() < 0.5 else chance.randrange(session.last_seq)
            reading.read(self.asker, session, after)
        elif what == "put":
            changing.put(self.asker, session)
        elif what == "patch":
            changing.patch(self.asker, session)
        elif what == "remove":
            changing.remove(self.asker, session)
        elif what == "again":
            writing.send_again(self.asker, session, erased=False)
        else:
            renew = not erasing.erase(self.asker, session)
        full = len(session.kinds) > SESSION_TURNS or session.last_seq > SHARED_TURNS
        if not session.shared and (renew or full or (session.doubt and chance.random() < RENAMED)):
            self._own = self._new_session()
        elif session.shared and (renew or session.last_seq > SHARED_TURNS):
            self._names.renew(session.name)

    def _erase_large(self) -> None:
        session = Session(f"{self._next_name()}-large")
        if erasing.build_large(self.asker, session):
            erasing.erase(self.asker, session)

    def _shared(self) -> Session:
        name = self._names.name(self.asker.chance.randrange(SHARED_SESSIONS))
        return self._known.setdefault(name, Session(name, shared=True))

    def _new_session(self) -> Session:
        session = Session(self._next_name())
        if self.asker.chance.random() < NAMED:
            changing.patch(self.asker, session, user=self.asker.client)
        return session

    def _next_name(self) -> str:
        return f"soak-{self.asker.client}-{next(self._generations)}"
