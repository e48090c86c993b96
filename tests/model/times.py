"""The times in answers."""

from __future__ import annotations

import re

from tests.model.answer import MismatchError

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def time_in(text: object, not_before: str | None = None) -> str:
    """Return the text. Raises MismatchError if it is not a time in UTC, or if it is before another one."""
    if not isinstance(text, str) or not _TIME.fullmatch(text) or (not_before is not None and text < not_before):
        raise MismatchError(f"the time {text}, which is not before {not_before}")
    return text
