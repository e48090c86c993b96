"""Turn errors into answers: problem+json (RFC 9457)."""

from __future__ import annotations

import json
from typing import Any

from robot_brain.errors import (
    InvalidRequestError,
    RequestError,
    RobotBrainError,
    SettingsError,
    UnexpectedDatabaseError,
    UnexpectedEventError,
)

CONTENT_TYPE = "application/problem+json"


def problem(error: Exception, request_id: str) -> tuple[int, dict[str, str], str]:
    """Return the status, headers and body of the answer to an error, without the details that only the log may have."""
    shown = error if isinstance(error, RobotBrainError) else UnexpectedDatabaseError()
    if isinstance(shown, RequestError):
        # This text is for the client. For every other error the client reads the kind, and only the log has the text.
        detail = str(shown)
    elif shown.status == 500 and not isinstance(shown, SettingsError | UnexpectedEventError):
        detail = UnexpectedDatabaseError.summary()
    else:
        detail = shown.summary()
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": shown.title,
        "status": shown.status,
        "detail": detail,
        "request_id": request_id,
    }
    # A cache may store 404, 410 and 413 unless the answer forbids it (RFC 9111). The next answer may differ.
    headers = {"content-type": CONTENT_TYPE, "cache-control": "no-store"}
    if isinstance(shown, RequestError):
        document |= {name: fact for name, fact in shown.facts.items() if name != "etag"}
        if shown.facts.get("etag"):
            headers["etag"] = str(shown.facts["etag"])
    if isinstance(shown, InvalidRequestError):
        document["errors"] = shown.errors
    if shown.retry_after is not None:
        headers["retry-after"] = str(shown.retry_after)
    return shown.status, headers, json.dumps(document)
