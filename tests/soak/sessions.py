"""The sessions of the clients: each client's own ones, and some that all clients share."""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

SHARED_SESSIONS = 4
# After so many turns a shared session gets another name.
SHARED_TURNS = 4000


@dataclass
class Remembered:
    """An acknowledged write with a key, to be sent again later."""

    request: str
    turns: list[dict[str, object]]
    seqs: list[int]


@dataclass
class Session:
    """What one client knows of a session. `doubt`: an attempt without an answer may still change the session."""

    name: str
    shared: bool = False
    tag: str | None = None  # of the last answer, if no other answer contradicts it
    last_seq: int = 0  # the highest that this client knows
    # The turns that are there, as far as this client knows, with the interactions that this client sent.
    kinds: dict[int, str | None] = field(default_factory=dict)
    remembered: list[Remembered] = field(default_factory=list)
    doubt: bool = False

    @property
    def is_certain(self) -> bool:
        """Return whether nothing but this client's next request can change the session."""
        return not self.shared and not self.doubt

    def erased(self) -> None:
        """Forget everything of a session that was erased, but the name and the keys."""
        self.tag, self.last_seq, self.kinds = None, 0, {}


class SharedNames:
    """The names of sessions or people that clients share, which all clients of the process look up here."""

    def __init__(self, prefix: str, count: int) -> None:
        """Begin with a new name for each of `count`."""
        self._prefix = prefix
        self._lock = threading.Lock()
        self._generations: Iterator[int] = itertools.count(1)
        self._names = [self._next(number) for number in range(count)]

    def name(self, number: int) -> str:
        """Return the present name at a place."""
        with self._lock:
            return self._names[number]

    def renew(self, name: str) -> None:
        """Put another name in the place of this one, unless another client did so before."""
        with self._lock:
            if name in self._names:
                number = self._names.index(name)
                self._names[number] = self._next(number)

    def _next(self, number: int) -> str:
        return f"{self._prefix}-{number}-{next(self._generations)}"
