"""The SQL functions that append and read. Each function here makes one call: one statement, one round trip.

The SQL functions that change or erase sessions are in `changes`, those of users in `users` and `erasures`, those of
a refresh in `steps`, and the list of sessions in `session_list`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

from robot_brain import telemetry
from robot_brain.caller import Caller
from robot_brain.database.call import call
from robot_brain.database.connection import lazy_connection
from robot_brain.database.refusals import of_the_only_turn
from robot_brain.deadline import Deadline
from robot_brain.errors import InvalidRequestError, SessionNotFoundError
from robot_brain.settings import settings

# The schema version that these calls need. An older schema refuses them, because it would lose what it does not know.
SCHEMA_VERSION = 7

# Each value has the name of its parameter.
_WRITE = """
select body, replayed, etag from robot_brain_api.write_message(
  p_tenant_id => %(tenant_id)s,
  p_session_id => %(session_id)s,
  p_messages => %(messages)s,
  p_user_metadata => %(user_metadata)s,
  p_if_match => %(if_match)s,
  p_key => %(key)s,
  p_first_id => %(first_id)s,
  p_repeated => %(repeated)s,
  p_as_user => %(as_user)s,
  p_schema_version => %(schema_version)s)
"""
_READ = """
select body, etag from robot_brain_api.read_session(
  p_tenant_id => %(tenant_id)s,
  p_session_id => %(session_id)s,
  p_limit => %(limit)s,
  p_before => %(before)s,
  p_after => %(after)s,
  p_max_chars => %(max_chars)s,
  p_known_etags => %(known_etags)s,
  p_as_user => %(as_user)s,
  p_schema_version => %(schema_version)s)
"""
_STATS = """
select body, stale from robot_brain_api.stats(
  p_tenant_id => %(tenant_id)s,
  p_session_id => %(session_id)s,
  p_max_age => %(max_age)s,
  p_as_user => %(as_user)s,
  p_schema_version => %(schema_version)s)
"""
_HEALTH = "select body from robot_brain_api.health(p_max_age => %(max_age)s, p_schema_version => %(schema_version)s)"


class Written(NamedTuple):
    """A write's answer as JSON text, whether an earlier request wrote it, and the entity tag if known."""

    body: str
    replayed: bool
    etag: str | None


class Page(NamedTuple):
    """A page as JSON text, or None if the client's copy is current, and the session's entity tag."""

    body: str | None
    etag: str


class Figures(NamedTuple):
    """Statistics as JSON text, and whether a refresh is due and would change them."""

    body: str
    stale: bool


class Health(NamedTuple):
    """The server's own report as JSON text, with what only the client can measure."""

    body: str
    milliseconds: float
    tls: bool
    backend_pid: int


def write_message(
    caller: Caller,
    session_id: str,
    if_match: str | None,
    key: str | None,
    deadline: Deadline,
    *,
    messages: str,
    user_metadata: str | None,
    is_batch: bool,
) -> Written:
    """Append `messages`, a JSON array of turns, to a session, and return the answer.

    `is_batch` says whether the client sent an array, or a single turn: errors name their places accordingly.
    The id of the first turn is made here. Without a client `key` a retry finds the write by that id, so it cannot write
    twice. With a key the id tells a retry of this call from an earlier request of the client.
    Raises SessionNotFoundError if the session is another user's, PreconditionFailedError, IdempotencyKeyReusedError,
    IdempotencyKeyErasedError, SessionBeingErasedError, InvalidRequestError, or a DatabaseError.
    """
    first_id = random_uuid()
    arguments = {
        **arguments_of(caller),
        "session_id": session_id,
        "messages": messages,
        "user_metadata": user_metadata,
        "if_match": if_match,
        "key": key,
        "first_id": first_id,
        "repeated": False,
    }
    retried_with = {"repeated": key is None}
    try:
        answer = call("write_message", _WRITE, arguments, deadline, writes=True, retried_with=retried_with)
    except InvalidRequestError as error:
        raise error if is_batch else of_the_only_turn(error) from error
    body, replayed, etag = answer.row
    if replayed:
        telemetry.count("Replays")
    return Written(body, replayed and not _begins_with(body, first_id), etag)


def read_session(
    caller: Caller,
    session_id: str,
    *,
    limit: int,
    before: int | None,
    after: int | None,
    max_chars: int | None,
    known_etags: Sequence[str],
    deadline: Deadline,
) -> Page:
    """Return a page of a session's turns. Raises SessionNotFoundError or a DatabaseError."""
    arguments = {
        **arguments_of(caller),
        "session_id": session_id,
        "limit": limit,
        "before": before,
        "after": after,
        "max_chars": max_chars,
        "known_etags": list(known_etags),
    }
    body, etag = call("read_session", _READ, arguments, deadline).row
    if etag is None:
        raise SessionNotFoundError
    return Page(body, etag)


def stats(caller: Caller, session_id: str | None, max_age: int, deadline: Deadline) -> Figures:
    """Return the tenant's figures, or one session's. Raises SessionNotFoundError or a DatabaseError.

    They are stale if the last refresh is older than `max_age` seconds and turns were written since, or if too many rows
    are uncounted. If `max_age` is 0 they are never stale.
    """
    arguments = {**arguments_of(caller), "session_id": session_id, "max_age": max_age}
    body, stale = call("stats", _STATS, arguments, deadline).row
    if body is None:
        raise SessionNotFoundError
    return Figures(body, stale)


def health(deadline: Deadline) -> Health:
    """Return the database's report on itself, and how long the answer took. Raises a DatabaseError.

    A probe makes one attempt. If it fails on a reused connection, that connection may simply be stale, so it makes
    a second attempt on a new connection.
    """
    arguments = {"max_age": settings().stats_max_age, "schema_version": SCHEMA_VERSION}
    attempts = 2 if lazy_connection().is_open else 1
    answer = call("health", _HEALTH, arguments, deadline, attempts=attempts)
    server = answer.connection.pgconn
    return Health(answer.row[0], round(answer.seconds * 1000, 3), bool(server.ssl_in_use), server.backend_pid)


def arguments_of(caller: Caller) -> dict[str, object]:
    """Return the arguments that each call for a caller has."""
    return {"tenant_id": caller.tenant_id, "as_user": caller.as_user, "schema_version": SCHEMA_VERSION}


def audited(caller: Caller) -> dict[str, object]:
    """Return the arguments that each call has that the audit trail records."""
    return {**arguments_of(caller), "actor": caller.actor, "request_id": caller.request_id}


def _begins_with(body: str, first_id: str) -> bool:
    """Return whether the answer to a write has this id as that of its first turn."""
    return str(json.loads(body)["messages"][0]["id"]).replace("-", "") == first_id


def random_uuid() -> str:
    """Return a random UUID (RFC 9562, version 4) as 32 hexadecimal digits."""
    # The module uuid would slow a cold start. The module random would repeat its numbers after a SnapStart restore.
    number = bytearray(os.urandom(16))
    number[6] = number[6] & 0x0F | 0x40
    number[8] = number[8] & 0x3F | 0x80
    return number.hex()
