"""One client of people: it writes in their sessions, changes and reads the users, exports them and erases them.

All clients of people write for the same few people, each in sessions of its own. A session begins with a POST of the
person, or with a PATCH of a service that names the person. If that PATCH has no answer, the client does not use the
session. A service names the session's whole tag in each POST. Otherwise the POST would make a session without a user if
another client has just erased the person.
"""

import itertools
import random
import threading

from tests.soak import changing, erasing, people, reading, writing
from tests.soak.asking import Asker
from tests.soak.journal import Journal
from tests.soak.people import SHARED_PEOPLE, Person
from tests.soak.records import Turn, turn_id
from tests.soak.sessions import Session, SharedNames
from tests.soak.tokens import Tokens

# The relative shares of the requests.
SHARES = {
    "write": 38,
    "read": 8,
    "put": 8,
    "patch": 4,
    "remove": 3,
    "again": 2,
    "erase": 1,
    "save": 22,
    "look": 10,
    "find": 2,
    "list": 1,
    "walk": 1,
    "export": 8,
    "erase_user": 6,
}
SESSIONS = 4  # of a person that a client writes to
SESSION_TURNS = 150
# A step marks more sessions than this, or erases sessions. So the erasure of so many takes several steps.
LARGE = (101, 140)
# More turns than a page of an export has.
LONG_BATCHES, LONG_BATCH = 11, 100
LARGE_EVERY = 60  # requests


class PersonClient:
    """A client with a journal, and with sessions of people that it shares with other clients."""

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
        """Take the API's host:port. After `stop` no new request begins. `large`: it also erases many sessions."""
        self.asker = Asker(name, address, journal, random.Random(f"{seed}/{name}"), tokens)
        self._stop = stop
        self._numbers = itertools.count(1)
        self._names = shared
        self._known: dict[str, Person] = {}
        self._large = large

    def run(self) -> None:
        """Make one request after the other until `stop` is set."""
        for number in itertools.count(1):
            if self._stop.is_set():
                break
            if self._large and number % LARGE_EVERY == 1:
                self._erase_large()
            place = self.asker.chance.randrange(SHARED_PEOPLE)
            name = self._names.name(place)
            person = self._known.setdefault(name, Person(name, itself=place % 2 == 0))
            self.asker.user = person.name if person.itself else None
            self._do(person)
        self.asker.disconnect()

    def _do(self, person: Person) -> None:
        """Make one request about a person or in one of the person's sessions."""
        asker = self.asker
        what = asker.chance.choices(list(SHARES), list(SHARES.values()))[0]
        if what == "save":
            people.save(asker, person)
        elif what == "look":
            people.look(asker, person)
        elif what == "find" and not person.itself:
            people.find(asker, person)
        elif what == "list" and not person.itself:
            people.walk(asker)
        elif what == "walk":
            reading.walk(asker, person.name)
        elif what == "export":
            people.export(asker, person)
        elif what == "erase_user":
            if not people.erase(asker, person):
                self._names.renew(person.name)
        elif (session := self._session(person)) is not None:
            self._do_in(person, session, what)

    def _do_in(self, person: Person, session: Session, what: str) -> None:
        asker, keeps = self.asker, True
        if what == "read" and session.last_seq:
            reading.read(asker, session, asker.chance.randrange(session.last_seq))
        elif what == "put" and session.kinds:
            changing.put(asker, session)
        elif what == "patch" and person.itself:
            changing.patch(asker, session)
        elif what == "remove" and session.last_seq:
            changing.remove(asker, session)
        elif what == "again":
            writing.send_again(asker, session, erased=False)
        elif what == "erase" and session.last_seq:
            keeps = erasing.erase(asker, session) and person.itself
        elif person.itself:
            writing.write(asker, session)
        else:
            keeps = self._write_as_service(session)
        if not keeps or session.last_seq > SESSION_TURNS:
            person.sessions.remove(session)

    def _write_as_service(self, session: Session) -> bool:
        """Write only if the session is still there. Return whether it is."""
        if session.tag is None:
            reading.read(self.asker, session)
        if session.tag is not None:
            writing.write(self.asker, session, match=session.tag)
            return True
        return False

    def _session(self, person: Person) -> Session | None:
        """Return a session of the person, or None if a new one could not be made."""
        chance = self.asker.chance
        if len(person.sessions) < SESSIONS and chance.random() < 1 / (1 + len(person.sessions)):
            session = self._new_session()
            if not person.itself:
                changing.patch(self.asker, session, user=person.name)
                if session.tag is None:
                    return None
            person.sessions.append(session)
        return chance.choice(person.sessions) if person.sessions else None

    def _erase_large(self) -> None:
        """Write in many sessions of a shared person. Export and erase the person while others write."""
        asker = self.asker
        person = Person(self._names.name(0), itself=True)
        asker.user = person.name
        people.save(asker, person)
        long = self._new_session()
        for _ in range(LONG_BATCHES):
            self._fill(long, LONG_BATCH)
        for _ in range(asker.chance.randint(*LARGE)):
            self._fill(self._new_session(), 1)
        people.export(asker, person)
        people.look(asker, person)
        if not people.erase(asker, person):
            self._names.renew(person.name)
        people.export(asker, person)
        people.look(asker, person)

    def _fill(self, session: Session, turns: int) -> None:
        """Write so many turns to a session in one request."""
        if not self._stop.is_set():
            name = self.asker.next_name()
            writing.send(
                self.asker, session, name, [Turn(f"[{turn_id(name, number)}]", "yes") for number in range(turns)]
            )

    def _new_session(self) -> Session:
        """Return a new session. Another client may erase the person, so the client is never certain of its state."""
        return Session(f"soak-{self.asker.client}-{next(self._numbers)}", shared=True)
