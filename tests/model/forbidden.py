"""What only a service may have."""

from __future__ import annotations

from tests.model.request import LIST, LIST_USERS, PATCH, POST_USER, STATS, Request


def is_forbidden(request: Request) -> bool:
    """Return whether an end user asks for what only a service may have, in any state."""
    if request.user is None:
        return False
    if request.route == LIST:
        return "user_id" in request.query and request.query["user_id"] != request.user
    if request.route == STATS:
        return "session_id" not in request.query
    if request.route in (POST_USER, LIST_USERS):
        return True
    if "{user_id}" in request.route:
        return request.user_id != request.user
    return request.route == PATCH and "user_id" in request.body
