"""The bodies of the API, made by `make contract`. An answer may have members that are not here."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class AuditEntry(TypedDict):
    """An operation, its time and its actor."""

    table_name: str
    record_id: str
    action: Literal["INSERT", "UPDATE", "DELETE", "EXPORT", "ERASE"]
    old_data: dict[str, Any] | None
    new_data: dict[str, Any] | None
    user_id: str | None
    request_id: str | None
    created_at: str
    n: int | None
    hash: str | None


class AuditPage(TypedDict):
    """A page of the audit trail."""

    entries: list[AuditEntry]
    page: ListCursor


class Batch(TypedDict):
    """Turns to append in this order."""

    messages: list[Turn]
    user_metadata: NotRequired[dict[str, Any]]


class BrokenRule(TypedDict):
    """One rule that the request breaks."""

    loc: list[str | int]
    msg: str
    type: str


class Connections(TypedDict):
    """The connections of this execution environment: opened, reused and discarded."""

    opened: int
    reused: int
    retired: int


class Cursors(TypedDict):
    """The cursors of the pages before and after this one."""

    before: int | None
    after: int | None


class DatabaseHealth(TypedDict):
    """The condition of the database."""

    status: Literal["healthy", "degraded", "waking", "unhealthy"]
    reasons: list[Literal["suspended", "slow", "statistics", "search", "retries", "schema", "schema_missing", "read_only", "waking", "overloaded", "away", "refused", "deadline", "unexpected"]]
    compute: Literal["active", "idle"] | None
    latency_ms: float | None
    tls: bool | None
    pooled: bool | None
    server_version: str | None
    schema_version: int | None
    statistics: StatisticsAge
    search: SearchProgress
    environment: Environment


class Day(TypedDict):
    """The figures of one day (UTC)."""

    date: str
    sessions: int
    messages: int


class Environment(TypedDict):
    """Counters of this one execution environment."""

    scope: str
    connections: Connections
    retries: int
    failures: int
    wakes: int


class Export(TypedDict):
    """A page of all that is held about a person."""

    user: User | None
    sessions: list[Session]
    turns: list[ExportedTurn]
    page: ListCursor


class ExportedTurn(TypedDict):
    """A turn in an export."""

    id: str
    seq: int
    robot_personality: str
    user_message: str
    robot_response: str
    items: NotRequired[list[dict[str, Any]]]
    metadata: dict[str, Any]
    created_at: str
    updated_at: NotRequired[str]
    session_id: str
    interaction: NotRequired[StoredInteraction]


class GatewayMessage(TypedDict):
    """An answer of API Gateway itself, in place of the function's answer."""

    message: str


class Health(TypedDict):
    """The service is up."""

    status: Literal["ok"]
    version: str


class Hit(TypedDict):
    """A turn that matches."""

    session_id: str
    seq: int
    created_at: str
    robot_personality: str
    snippet: str
    score: NotRequired[float]


class IdempotencyKeyReused(TypedDict):
    """The Idempotency-Key was used for another request."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    request_id: str
    session_id: NotRequired[str]
    seq: NotRequired[int]
    user_id: NotRequired[str]


class Interaction(TypedDict):
    """What the robot did during a turn, for the statistics."""

    interaction_type: str
    duration_ms: int
    success: bool
    robot_id: NotRequired[str]
    metadata: NotRequired[dict[str, Any]]


class InvalidRequest(TypedDict):
    """The request can be parsed, but breaks rules."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[BrokenRule]


class ListCursor(TypedDict):
    """The place after this page."""

    cursor: str | None


class ListedSession(TypedDict):
    """A session in a list."""

    id: str
    user_id: NotRequired[str]
    created_at: str
    last_active: str
    message_count: int
    last_seq: int
    user_metadata: dict[str, Any]
    preview: NotRequired[Preview]


class OneTurn(TypedDict):
    """One turn to append."""

    robot_personality: str
    user_message: str
    robot_response: str
    items: NotRequired[list[dict[str, Any]]]
    metadata: NotRequired[dict[str, Any]]
    interaction: NotRequired[Interaction]
    user_metadata: NotRequired[dict[str, Any]]


class Page(TypedDict):
    """A session and a page of its turns."""

    session: Session
    messages: list[StoredTurn]
    page: Cursors


class Patched(TypedDict):
    """The session after a patch."""

    session: Session


class Personality(TypedDict):
    """The figures of one personality."""

    robot_personality: str
    messages: int
    avg_response_length: float | None


class PreconditionFailed(TypedDict):
    """The session is not in the state that If-Match names."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    request_id: str
    last_seq: int


class Preview(TypedDict):
    """The beginning of a session's last turn: at most 200 code points of each text."""

    seq: int
    user_message: str
    robot_response: str


class Problem(TypedDict):
    """An error."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    request_id: str


class Profile(TypedDict):
    """The profile of a user."""

    first_name: NotRequired[str]
    last_name: NotRequired[str]
    avatar_url: NotRequired[str]


class ProfileContent(TypedDict):
    """The profile of a user."""

    first_name: NotRequired[str]
    last_name: NotRequired[str]
    avatar_url: NotRequired[str]


class ProfilePatch(TypedDict):
    """What to change of a profile."""

    first_name: NotRequired[str | None]
    last_name: NotRequired[str | None]
    avatar_url: NotRequired[str | None]


class Removed(TypedDict):
    """The result of a removal."""

    session_id: str
    removed: int
    message_count: int
    last_seq: int


class Replaced(TypedDict):
    """The result of a replacement."""

    session_id: str
    seq: int
    updated_at: str | None


class Replacement(TypedDict):
    """The new content of a turn."""

    user_message: str
    robot_response: str
    items: NotRequired[list[dict[str, Any]]]
    metadata: NotRequired[dict[str, Any]]
    interaction: NotRequired[Interaction]


class SearchCursor(TypedDict):
    """The place after this page."""

    cursor: str | None
    complete: bool


class SearchPage(TypedDict):
    """A page of a search."""

    as_of: str
    hits: list[Hit]
    page: SearchCursor


class SearchProgress(TypedDict):
    """Which turns the search does not find by its index yet."""

    language: str | None
    queued_turns: int | None
    oldest_queued_seconds: int | None
    filled_from: str | None


class Session(TypedDict):
    """A session without its turns."""

    id: str
    user_id: NotRequired[str]
    created_at: str
    last_active: str
    message_count: int
    last_seq: int
    user_metadata: dict[str, Any]


class SessionCursor(TypedDict):
    """The place after this page."""

    cursor: str | None
    complete: NotRequired[bool]


class SessionFigures(TypedDict):
    """The current figures of one session."""

    session_id: str
    message_count: int
    last_message: str | None
    avg_response_length: float | None


class SessionList(TypedDict):
    """A page of sessions."""

    sessions: list[ListedSession]
    page: SessionCursor


class SessionPatch(TypedDict):
    """What to change of a session."""

    user_metadata: NotRequired[dict[str, Any]]
    user_id: NotRequired[str | None]


class StatisticsAge(TypedDict):
    """The last refresh of the statistics."""

    as_of: str | None
    age_seconds: int | None


class StoredInteraction(TypedDict):
    """The interaction of a turn as it is stored."""

    robot_id: str
    interaction_type: str
    duration_ms: int
    success: bool
    metadata: dict[str, Any]


class StoredTurn(TypedDict):
    """A turn as it is stored."""

    id: str
    seq: int
    robot_personality: str
    user_message: str
    robot_response: str
    items: NotRequired[list[dict[str, Any]]]
    metadata: dict[str, Any]
    created_at: str
    updated_at: NotRequired[str]


class TenantFigures(TypedDict):
    """The tenant's figures."""

    as_of: str
    age_seconds: int
    totals: Totals
    personalities: list[Personality]
    daily: list[Day]
    top_sessions: list[TopSession]


class TopSession(TypedDict):
    """One of the sessions with the most turns."""

    session_id: str
    message_count: int
    last_message: str


class Totals(TypedDict):
    """The totals of the tenant."""

    sessions: int
    messages: int
    interactions: int


class Turn(TypedDict):
    """A user message and a robot response."""

    robot_personality: str
    user_message: str
    robot_response: str
    items: NotRequired[list[dict[str, Any]]]
    metadata: NotRequired[dict[str, Any]]
    interaction: NotRequired[Interaction]


class User(TypedDict):
    """A user with its profile."""

    id: str
    email: NotRequired[str]
    created_at: str
    updated_at: str
    profile: Profile


class UserContent(TypedDict):
    """A user."""

    email: NotRequired[str]
    password_hash: NotRequired[str]
    profile: NotRequired[ProfileContent]


class UserCounts(TypedDict):
    """What an erasure would delete."""

    sessions: int
    messages: int
    interactions: int


class UserList(TypedDict):
    """A page of users."""

    users: list[User]
    page: ListCursor


class UserPatch(TypedDict):
    """A JSON Merge Patch (RFC 7396) of a user."""

    email: NotRequired[str | None]
    password_hash: NotRequired[str | None]
    profile: NotRequired[ProfilePatch | None]


class Written(TypedDict):
    """The result of a write."""

    session_id: str
    message_count: int
    last_seq: int
    messages: list[WrittenTurn]


class WrittenTurn(TypedDict):
    """The id, position and time of a new turn."""

    id: str
    seq: int
    created_at: str
