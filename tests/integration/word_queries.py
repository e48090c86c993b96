"""Random queries, and a second opinion in Python on which turns they find."""

import random
from dataclasses import dataclass
from typing import Any

# Some are the beginning of another one. The first ones are common, and the last ones rare.
WORDS = ("tea", "milk", "teapot", "sugar", "cup", "cups", "lemon", "leaf", "kettle", "leaflet", "saffron", "quince")
_WEIGHTS = tuple(1 / (n + 1) for n in range(len(WORDS)))


@dataclass(frozen=True)
class Term:
    """A word, or the words of a phrase."""

    words: tuple[str, ...]
    excluded: bool = False
    # the only word is the beginning of a word
    begins: bool = False

    def text(self) -> str:
        """Return the term as a person types it."""
        words = " ".join(self.words)
        return ("-" if self.excluded else "") + (f'"{words}"' if len(self.words) > 1 else words)

    def matches(self, texts: list[list[str]]) -> bool:
        """Return whether the texts, as lists of words, have the term, or lack it if it is excluded."""
        return self.excluded != any(self._is_in(text) for text in texts)

    def _is_in(self, text: list[str]) -> bool:
        if self.begins:
            return any(word.startswith(self.words[0]) for word in text)
        size = len(self.words)
        return any(tuple(text[at : at + size]) == self.words for at in range(len(text) - size + 1))


@dataclass(frozen=True)
class Query:
    """Alternatives of terms. `part` is user or robot, or None for both texts."""

    alternatives: tuple[tuple[Term, ...], ...]
    part: str | None
    prefix: bool

    def text(self) -> str:
        """Return the query as a person types it."""
        return " or ".join(" ".join(term.text() for term in terms) for terms in self.alternatives)

    def matches(self, turn: dict[str, Any]) -> bool:
        """Return whether a turn, as it was written, is found by the words of the query."""
        parts = {"user": "user_message", "robot": "robot_response"}
        names = [parts[self.part]] if self.part else list(parts.values())
        texts = [turn[name].split() for name in names]
        return any(all(term.matches(texts) for term in terms) for terms in self.alternatives)


def random_words(chance: random.Random, most: int) -> str:
    """Return up to `most` words, which may be none."""
    return " ".join(chance.choices(WORDS, _WEIGHTS, k=chance.randint(0, most)))


def random_query(chance: random.Random) -> Query:
    """Return a query. Each alternative has a term that is not excluded, because the search refuses others."""
    alternatives = [_alternative(chance) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
    prefix = len(alternatives) == 1 and chance.random() < 0.4
    if prefix:
        *terms, last = alternatives[0]
        if len(last.words) == 1 and not last.excluded:
            beginning = last.words[0][: chance.randint(1, len(last.words[0]))]
            alternatives[0] = (*terms, Term((beginning,), begins=True))
    return Query(tuple(alternatives), chance.choice((None, None, "user", "robot")), prefix)


def _alternative(chance: random.Random) -> tuple[Term, ...]:
    terms = [_term(chance, excluded=False)]
    for _ in range(chance.choice((0, 0, 1, 2))):
        terms.append(_term(chance, excluded=chance.random() < 0.4))
    chance.shuffle(terms)
    return tuple(terms)


def _term(chance: random.Random, *, excluded: bool) -> Term:
    size = chance.choice((1, 1, 1, 2, 3))
    return Term(tuple(chance.choices(WORDS, _WEIGHTS, k=size)), excluded)
