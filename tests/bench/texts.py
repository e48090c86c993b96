"""The texts of the benchmarks: real conversations if they lie beside the project, else made ones of the same length."""

from __future__ import annotations

import gzip
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

from local.settings import ROOT

REAL = ROOT.parent / "shared" / "data" / "conversations.jsonl.gz"
_TURNS = 2000
# The deciles of the lengths of the real texts, in characters.
_USER = (1, 4, 14, 18, 23, 29, 35, 42, 50, 65, 231)
_ROBOT = (1, 31, 38, 45, 52, 59, 65, 74, 85, 97, 566)
_WORDS = ("a large oat latte", "please", "with", "an extra shot", "would you like", "anything else", "to go", "today")


def are_real() -> bool:
    """Return whether the texts are real ones."""
    return REAL.is_file()


def turn(number: int) -> dict[str, Any]:
    """Return one of two thousand turns, always the same one for a number."""
    user_message, robot_response = pairs()[number % _TURNS]
    return {"robot_personality": "barista", "user_message": user_message, "robot_response": robot_response}


@cache
def pairs() -> list[tuple[str, str]]:
    """Return two thousand texts of users, each with the robot's answer."""
    return _real(REAL) if are_real() else _made()


def _real(path: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            found += [(said["user_message"], said["robot_response"]) for said in json.loads(line)["turns"]]
            if len(found) >= _TURNS:
                return found[:_TURNS]
    raise ValueError(f"{path} holds {len(found)} turns, fewer than {_TURNS}")


def _made() -> list[tuple[str, str]]:
    chance = random.Random(1)
    return [(_text(chance, _USER), _text(chance, _ROBOT)) for _ in range(_TURNS)]


def _text(chance: random.Random, deciles: tuple[int, ...]) -> str:
    decile = chance.randrange(10)
    length = chance.randint(deciles[decile], deciles[decile + 1])
    words: list[str] = []
    while sum(map(len, words)) + len(words) <= length:
        words.append(chance.choice(_WORDS))
    return " ".join(words)[:length]
