"""How many requests the suite has made in this process, by kind. The summary of the run prints it."""

from collections import Counter

ASKED: Counter[str] = Counter()
