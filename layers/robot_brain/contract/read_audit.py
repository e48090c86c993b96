"""GET /audit."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.problems import ANY_REQUEST, DATABASE
from contract.route import Answer, Fresh, Route
from contract.session_list import ListCursor
from contract.values import ANSWER, PARAMETERS, Cursor, Time
from robot_brain.errors import DatabaseReadOnlyError
from robot_brain.limits import DEFAULT_AUDIT_ENTRIES, MAX_ACTOR_LENGTH, MAX_AUDIT_ENTRIES, MAX_USER_ID_LENGTH

_NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]*$"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
# A time of RFC 3339, or a date.
Moment = Annotated[
    str,
    Field(
        pattern=rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(T{_CLOCK}:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]{_CLOCK}))?$",
    ),
]


@with_config(PARAMETERS)
class AuditQuery(TypedDict):
    """The choice of entries."""

    record: NotRequired[Annotated[str, Field(min_length=1, max_length=MAX_USER_ID_LENGTH, pattern=_NO_CONTROL)]]
    """Only the entries of this session or user. Not allowed with `user`."""
    user: NotRequired[Annotated[str, Field(min_length=1, max_length=MAX_ACTOR_LENGTH, pattern=_NO_CONTROL)]]
    """Only what this caller did."""
    since: NotRequired[Annotated[Moment, Field(alias="from")]]
    """Only the entries from this time on: RFC 3339, or a date for its first moment in UTC. Write `+` as `%2B`."""
    until: NotRequired[Annotated[Moment, Field(alias="to")]]
    """Only the entries before this time, in the same form."""
    limit: NotRequired[
        Annotated[int, Field(ge=1, le=MAX_AUDIT_ENTRIES, json_schema_extra={"default": DEFAULT_AUDIT_ENTRIES})]
    ]
    """The most entries in the page."""
    cursor: NotRequired[Annotated[Cursor, Field(json_schema_extra={"example": "the-page.cursor-of-the-answer-before"})]]
    """The `page.cursor` of an earlier answer, to continue its list. It needs the same filters."""


@with_config(ANSWER)
class AuditEntry(TypedDict):
    """An operation, its time and its actor."""

    table_name: str
    """`sessions`, `conversations` (turns), `users`, `user_profiles`, or a table that an operator's command changed."""
    record_id: str
    """The id of the session or the user. For `tenant_stats`, which an operator's recount corrects, the tenant."""
    action: Literal["INSERT", "UPDATE", "DELETE", "EXPORT", "ERASE"]
    old_data: dict[str, Any] | None
    """Ids, names of fields, counts and times before the change. Never a text."""
    new_data: dict[str, Any] | None
    """The same after the change."""
    user_id: str | None
    """The actor: the token's subject, the signer's ARN, or an operator's database role. Null if it is unknown."""
    request_id: str | None
    """The `request_id` of the request, as in the log. Null for an operator's command."""
    created_at: Time
    n: int | None
    """The place in the tenant's chain. Null until the next refresh."""
    hash: str | None
    """SHA-256 of the hash before it and this entry. Null until the next refresh."""


@with_config(ANSWER)
class AuditPage(TypedDict):
    """A page of the audit trail."""

    entries: Annotated[list[AuditEntry], Field(max_length=MAX_AUDIT_ENTRIES)]
    """The entries, newest first."""
    page: ListCursor


_ENTRY = {
    "table_name": "sessions",
    "record_id": "demo",
    "action": "UPDATE",
    "old_data": {"user_id": None},
    "new_data": {"user_id": "ann"},
    "user_id": "arn:aws:sts::123456789012:assumed-role/support/bob",
    "request_id": "8f0f2f5e-6d6f-4d4f-9d0b-0a6a5f5f7d0e",
    "created_at": "2026-11-28T12:00:00.070381Z",
    "n": 811,
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}

ROUTES = (
    Route(
        "GET",
        "/audit",
        name="read_audit",
        summary="Read the audit trail, newest first",
        description="It records changes of users and owners, edits and removals of turns, erasures and exports. "
        "A write of new turns is not in it. Only callers that see all users may read it.",
        query=AuditQuery,
        answers=(
            Answer(
                200, "The entries.", AuditPage, Fresh, {"read_audit": {"entries": [_ENTRY], "page": {"cursor": None}}}
            ),
        ),
        errors=(*ANY_REQUEST, *(kind for kind in DATABASE if kind is not DatabaseReadOnlyError)),
        broken_rule={"loc": ["query", "user"], "msg": "cannot be combined with record", "type": "exclusive_parameters"},
    ),
)
