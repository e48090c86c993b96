"""For each SQL function, the calls that use what a caller knows of another. `test_coverage` compares with pg_proc."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Generic, TypeVar

from tests.isolation.parties import SOUGHT, Known

Value = Callable[[Any], object]
# What a caller knows: a session of another caller, or a person of another tenant.
What = TypeVar("What")


@dataclass(frozen=True)
class Case(Generic[What]):
    """A call: `foreign` has the parameters whose values belong to another caller, `fixed` has the others."""

    name: str
    foreign: Mapping[str, Value]
    fixed: Mapping[str, object] = field(default_factory=dict)
    # Only a caller that sees all may give these parameters.
    service_only: bool = False
    # The call has the first id of the owner's write. No client knows it, and the layer makes a new one for each write.
    has_first_id: bool = False

    def arguments(self, known: What) -> dict[str, object]:
        """Return the arguments of the call with the values that are known."""
        return {**self.fixed, **{name: value(known) for name, value in self.foreign.items()}}


def _turns(known: Known) -> str:
    return json.dumps(known.messages)


def _retried(known: Known) -> str:
    return json.dumps([known.retried])


def _turn(known: Known) -> str:
    return json.dumps(known.turn)


def _metadata(known: Known) -> str:
    return json.dumps(known.metadata)


def _first(known: Known, name: str) -> Any:
    return known.messages[0][name]


def _path(known: Known) -> str:
    return f"$.name == {json.dumps(known.metadata['name'])}"


def _tag(known: Known) -> str:
    return f'"{known.etag}"'


ID: dict[str, Value] = {"p_session_id": attrgetter("id")}
KEY: dict[str, Value] = {"p_key": attrgetter("key")}
STATE: dict[str, Value] = {"p_if_match": attrgetter("etag")}
SEQ: dict[str, Value] = {"p_if_match": lambda known: str(known.last_seq)}
FIRST: dict[str, Value] = {"p_first_id": attrgetter("first_id"), "p_messages": _retried}
WRITE = ID | {"p_messages": _turns}
TURN: dict[str, Any] = {"robot_personality": "own", "user_message": "q", "robot_response": "a", "metadata": {}}
NO_TURN = {"p_if_match": "0"}

FUNCTION_CASES: dict[str, list[Case[Known]]] = {
    "write_message": [
        Case("its turns again", WRITE),
        Case("its key and its body", WRITE | KEY),
        Case("its key and another body", ID | KEY, {"p_messages": json.dumps([TURN])}),
        Case("its key, its body and its whole tag", WRITE | KEY | STATE),
        Case("its whole tag", WRITE | STATE),
        Case("its last seq as If-Match", WRITE | SEQ),
        Case("If-Match of a session without turns", WRITE, NO_TURN),
        Case("its metadata", WRITE | {"p_user_metadata": _metadata}),
        Case("the first id of its write", ID | FIRST, has_first_id=True),
        Case("a retry with the first id of its write", ID | FIRST, {"p_repeated": True}, has_first_id=True),
    ],
    "read_session": [
        Case("its newest page", ID),
        Case("the page before its last seq", ID | {"p_before": lambda known: known.last_seq + 1}, {"p_limit": 1}),
        Case("the page after its first seq", ID | {"p_after": lambda known: known.last_seq - 1}, {"p_limit": 200}),
        Case("what fits few characters", ID, {"p_max_chars": 1}),
        Case("its tag in If-None-Match", ID | {"p_known_etags": lambda known: [_tag(known)]}),
        Case("any tag in If-None-Match", ID, {"p_known_etags": ["*"]}),
    ],
    "list_sessions": [
        Case("a page after its place", {"p_cursor": lambda known: known.cursors[0]}),
        Case("a page after the end of its list", {"p_cursor": lambda known: known.cursors[-1]}),
        Case("a list with previews", {}, {"p_preview": True, "p_limit": 100}),
        Case("its metadata", {"p_metadata": _metadata}),
        Case("its metadata as a path", {"p_path": _path}),
        Case("its metadata and its cursor", {"p_metadata": _metadata, "p_cursor": lambda known: known.cursors[0]}),
        Case("its user as filter", {"p_user_id": attrgetter("user")}, service_only=True),
        Case("its user and cursor", {"p_user_id": attrgetter("user"), "p_cursor": lambda known: known.cursors[0]},
             service_only=True),
    ],
    "patch_session": [
        Case("an empty patch", ID, {"p_user_metadata": "{}"}),
        Case("its metadata", ID | {"p_user_metadata": _metadata}),
        Case("a member of its metadata removed", ID, {"p_user_metadata": '{"name": null}'}),
        Case("its whole tag", ID | STATE, {"p_user_metadata": "{}"}),
        Case("its last seq as If-Match", ID | SEQ, {"p_user_metadata": '{"a": 1}'}),
        Case("If-Match of a session without turns", ID, {"p_user_metadata": "{}", **NO_TURN}),
        Case("its user", ID | {"p_user_id": attrgetter("user")}, {"p_sets_user_id": True}, service_only=True),
    ],
    "remove_turns": [
        Case("all its turns", ID, {"p_after": 0}),
        Case("its last turn", ID | {"p_after": lambda known: max(known.last_seq - 1, 0)}),
        Case("its whole tag", ID | STATE, {"p_after": 0}),
        Case("its last seq as If-Match", ID | SEQ, {"p_after": 0}),
        Case("a wrong state as If-Match", ID, {"p_after": 0, "p_if_match": "77"}),
    ],
    "replace_turn": [
        Case("its first turn as it is", ID | {"p_turn": _turn}, {"p_seq": 1}),
        Case("its last turn", ID | {"p_turn": _turn, "p_seq": lambda known: known.last_seq}),
        Case("its whole tag", ID | {"p_turn": _turn} | STATE, {"p_seq": 1}),
        Case("a wrong state as If-Match", ID | {"p_turn": _turn}, {"p_seq": 1, "p_if_match": "77"}),
        Case("a seq that no turn has", ID | {"p_turn": _turn}, {"p_seq": 2_000_000}),
    ],
    "erase_session": [
        Case("an erasure", ID),
        Case("its whole tag", ID | STATE),
        Case("a wrong state as If-Match", ID, {"p_if_match": "77"}),
        Case("the next step of an erasure", ID, {"p_continue": True}),
        Case("a first step", ID, {"p_continue": False}),
    ],
    "search": [
        Case("its words", {"p_query": lambda known: _first(known, "user_message")}),
        Case("the beginning of its word", {"p_query": lambda known: _first(known, "user_message")[:-6]},
             {"p_prefix": True, "p_in": "user", "p_limit": 50}),
        Case("all turns", {}, {"p_query": SOUGHT, "p_limit": 50}),
        Case("all turns, by relevance", {}, {"p_query": SOUGHT, "p_order": "relevance"}),
        Case("turns of its session", ID, {"p_query": SOUGHT}),
        Case("turns of its session, by relevance", ID, {"p_query": SOUGHT, "p_order": "relevance"}),
        Case("turns of its user", {"p_user_id": attrgetter("user")}, {"p_query": SOUGHT}),
        Case("turns of its personality", {"p_personality": lambda known: _first(known, "robot_personality")},
             {"p_query": SOUGHT}),
        Case("turns with its metadata", {"p_metadata": lambda known: json.dumps(_first(known, "metadata"))},
             {"p_query": SOUGHT}),
        Case("turns of a time", {}, {"p_query": SOUGHT, "p_from": "2000-01-01", "p_to": "9999-01-01"}),
        Case("a page after its place", {"p_cursor": attrgetter("search_cursor")}, {"p_query": SOUGHT}),
    ],
    "stats": [
        Case("the figures of all sessions", {}),
        Case("the figures of its session", ID),
        Case("the figures of its session with a largest age", ID, {"p_max_age": 60}),
    ],
}  # fmt: skip

# Functions without a tenant, each with the reason.
WITHOUT_CASE: dict[str, str] = {
    "chain_audit": "takes no value of a tenant and returns a number of entries, which only the schedule reports",
    "clear_keys": "takes no value of a tenant and returns a number of keys, which only the schedule reports",
    "continue_erasure": "takes no value of a tenant and returns a number of turns, which only the schedule reports",
    "fill_search": "takes no value of a tenant and returns a number of turns, which only the schedule reports",
    "health": "takes no value of a tenant and returns facts about the server",
    "make_month": "takes no value of a tenant and returns a month",
    "refresh_stats": "takes no value of a tenant and returns a number of rows, which only the schedule reports",
    "refresh_view": "takes no value of a tenant and returns a time",
}

# Parameters that the layer sets itself, each with the reason. No request changes them.
WITHOUT_FOREIGN_VALUE: dict[str, str] = {
    "p_tenant_id": "the caller's tenant, from its credentials; test_forged_callers tries to choose another",
    "p_as_user": "the caller's user, from its credentials; test_forged_callers tries to choose another",
    "p_actor": "who acts, from the caller's credentials; test_forged_actors tries to name another",
    "p_request_id": "the id that Lambda gave the request; test_forged_actors tries to name another",
    "p_schema_version": "a constant of the layer",
}
