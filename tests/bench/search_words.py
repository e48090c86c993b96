"""Texts and queries for the search's benchmark, made by a seeded generator: the words have Zipf's frequencies.

A turn has about 380 characters and 56 different words. As the frequency of each word is known, so is the share of turns
that have it, and the queries of a class are words of such a share.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, product

WORDS = 120_000
_USER_WORDS = (4, 22)
_ROBOT_WORDS = (35, 87)
_MEAN_WORDS = (sum(_USER_WORDS) + sum(_ROBOT_WORDS)) / 2
# The law of Zipf and Mandelbrot: a word's frequency is 1 / (its rank + _SHIFT) ** _POWER.
_SHIFT, _POWER = 2.0, 1.2
_SHORT_WORDS = 100
# The least and the largest share of the turns that have a word of the class.
SHARES = {
    "word in > 10 %": (0.10, 1.0),
    "word in 1-10 %": (0.01, 0.10),
    "word in 0.1-1 %": (0.001, 0.01),
    "rare word": (0.00001, 0.0001),
}
TWO_WORDS, PHRASE, ABSENT = "two words", "phrase of two common words", "absent word"
CLASSES = (*SHARES, TWO_WORDS, PHRASE, ABSENT)


@dataclass(frozen=True)
class Vocabulary:
    """Words, the most frequent one first."""

    words: tuple[str, ...]
    # the sums of the frequencies up to each word
    sums: tuple[float, ...]

    def text(self, chance: random.Random, few_many: tuple[int, int]) -> str:
        """Return a text of so many words, in sentences."""
        picked = chance.choices(self.words, cum_weights=self.sums, k=chance.randint(*few_many))
        picked[len(picked) // 2] += "."
        return " ".join(picked).capitalize() + "."

    def turn(self, chance: random.Random) -> tuple[str, str]:
        """Return a user's text and the robot's answer."""
        return self.text(chance, _USER_WORDS), self.text(chance, _ROBOT_WORDS)

    def of_share(self, name: str) -> list[str]:
        """Return the words of a class of SHARES."""
        low, high = SHARES[name]
        total = self.sums[-1]
        frequencies = (one - other for one, other in zip(self.sums, (0.0, *self.sums), strict=False))
        shares = (1 - (1 - each / total) ** _MEAN_WORDS for each in frequencies)
        return [word for word, share in zip(self.words, shares, strict=True) if low <= share < high]


def vocabulary() -> Vocabulary:
    """Return the vocabulary, always the same one. Frequent words are short."""
    syllables = ["".join(each) for each in product("bdfgklmnprstvz", "aeiou", ("", "l", "n", "r", "s"))]
    chance = random.Random(7)
    chance.shuffle(syllables)
    longer = ["".join(pair) for pair in product(syllables, repeat=2)]
    chance.shuffle(longer)
    # Some pairs of syllables are the same word, such as ba-nos and ban-os.
    words = list(dict.fromkeys([*syllables[:_SHORT_WORDS], *longer]))[:WORDS]
    sums = accumulate(1 / (rank + _SHIFT) ** _POWER for rank in range(1, len(words) + 1))
    return Vocabulary(tuple(words), tuple(sums))


def queries(chance: random.Random, made_of: Vocabulary, number: int) -> dict[str, list[str]]:
    """Return so many queries of each class."""
    by_share = {name: made_of.of_share(name) for name in SHARES}
    common = by_share["word in > 10 %"]
    seldom = [*by_share["word in 1-10 %"], *by_share["word in 0.1-1 %"]]
    found = {name: chance.choices(words, k=number) for name, words in by_share.items()}
    found[TWO_WORDS] = [
        " ".join([chance.choice(common if n % 2 else seldom), chance.choice(seldom)]) for n in range(number)
    ]
    found[PHRASE] = ['"{}"'.format(" ".join(chance.sample(common, 2))) for _ in range(number)]
    found[ABSENT] = [f"absent{n}" for n in range(number)]
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
