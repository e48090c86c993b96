"""Refusals: what a SQL function raises about the request itself, each by its SQLSTATE.

DETAIL has facts for the client as JSON. It quotes no content.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg

from robot_brain.errors import (
    IdempotencyKeyErasedError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    PreconditionFailedError,
    RequestError,
    SearchOffError,
    SessionBeingErasedError,
    SessionNotFoundError,
    UserBeingErasedError,
    UserPreconditionFailedError,
)
from robot_brain.limits import MAX_ITEMS_BYTES, MAX_METADATA_BYTES, MAX_PATH_LENGTH, MAX_REMOVED_TURNS

Facts = dict[str, Any]


def _metadata_too_large(_: Facts) -> RequestError:
    return InvalidRequestError.at(
        ["body", "user_metadata"],
        f"the session's user_metadata would be larger than {MAX_METADATA_BYTES // 1024} KiB",
        "metadata_too_large",
    )


def _items_too_large(turn: int | None) -> InvalidRequestError:
    """Return the error for items that are too large: those of a turn of `messages`, or of the body's only turn."""
    place: list[str | int] = [] if turn is None else ["messages", turn]
    return InvalidRequestError.at(
        ["body", *place, "items"], f"must be at most {MAX_ITEMS_BYTES // 1024} KiB as stored", "items_too_large"
    )


def of_the_only_turn(error: InvalidRequestError) -> InvalidRequestError:
    """Return the error for a body that is the turn itself. SQL always gets an array and names a place in it."""
    first = ["body", "messages", 0]
    return InvalidRequestError(
        [
            {**each, "loc": ["body", *each["loc"][3:]] if each["loc"][:3] == first else each["loc"]}
            for each in error.errors
        ]
    )


def _too_many_turns(facts: Facts) -> RequestError:
    return InvalidRequestError.at(
        ["query", "after"],
        f"one request removes at most {MAX_REMOVED_TURNS} turns; begin with after={int(facts['after'])}",
        "too_many_turns",
    )


def _interaction_differs(_: Facts) -> RequestError:
    return InvalidRequestError.at(
        ["body", "interaction"], "the turn has another interaction, which cannot be changed", "interaction_differs"
    )


def _wrong_cursor(_: Facts) -> RequestError:
    return InvalidRequestError.at(
        ["query", "cursor"], "must be a page.cursor of the same list, with the same filters", "cursor"
    )


def _wrong_state(facts: Facts) -> RequestError:
    # A user has no seqs.
    return PreconditionFailedError(facts=facts) if "last_seq" in facts else UserPreconditionFailedError(facts=facts)


def _email_taken(_: Facts) -> RequestError:
    return InvalidRequestError.at(["body", "email"], "another user has this e-mail", "email_taken")


def _no_word(_: Facts) -> RequestError:
    return InvalidRequestError.at(
        ["query", "q"],
        "needs a word to look for, in each alternative of `or`. A word after - only excludes turns",
        "no_word",
    )


def _wrong_filter(facts: Facts) -> RequestError:
    if "metadata" in facts:
        return InvalidRequestError.at(["query", "metadata"], "has a number that is too long", "metadata_filter")
    return InvalidRequestError.at(["query", "path"], _PATH_RULES[facts["path"]], f"path_{facts['path']}")


# By the reason that metadata_path gives.
_PATH_RULES = {
    "length": f"has 1 to {MAX_PATH_LENGTH} characters, and no number of thousands of digits",
    "syntax": 'must be a jsonpath of PostgreSQL, such as $.likes.milk == "oat"',
    "kind": "may only compare fields with values by ==, joined by && and ||, such as "
    '$.likes.milk == "oat" or $.orders[*] ? (@.item == "mocha")',
}

_BY_SQLSTATE: dict[str, Callable[[Facts], RequestError]] = {
    "RB404": lambda _: SessionNotFoundError("This id is taken. Use another id."),
    "RB410": lambda _: IdempotencyKeyErasedError(),
    "RB412": _wrong_state,
    "RB419": lambda _: SessionBeingErasedError(),
    "RB422": lambda facts: IdempotencyKeyReusedError(facts=facts),
    "RB423": _metadata_too_large,
    "RB424": lambda facts: _items_too_large(facts.get("turn")),
    "RB425": _email_taken,
    "RB426": _too_many_turns,
    "RB427": _interaction_differs,
    "RB428": _wrong_cursor,
    "RB429": lambda _: UserBeingErasedError(),
    "RB430": _no_word,
    "RB431": _wrong_filter,
    "RB501": lambda _: SearchOffError(),
}


def refusal(error: psycopg.Error) -> RequestError | None:
    """Return the refusal that an error of a call is, or None if it is another error."""
    make = _BY_SQLSTATE.get(error.sqlstate or "")
    return make(json.loads(error.diag.message_detail or "{}")) if make else None
