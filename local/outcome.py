"""The outcome of a function's invocation."""

import json
from dataclasses import dataclass

PAYLOAD_LIMIT = 6_291_556  # bytes of an event and of a response: Lambda's 6 MB and a little


@dataclass(frozen=True)
class Outcome:
    """The response's bytes, or the JSON of an error with the error's type in `error`."""

    payload: bytes
    error: str | None = None

    @property
    def described(self) -> str:
        """The error's type, and its message if the runtime made it. That of a handler may hold what a client wrote."""
        if self.error is None or not self.error.startswith(("Runtime.", "Sandbox.")):
            return str(self.error)
        return f"{self.error}: {json.loads(self.payload).get('errorMessage')}"


def failure(kind: str, message: str) -> Outcome:
    """Return the outcome of an error that the emulator itself found, in the form that Lambda gives it."""
    return Outcome(json.dumps({"errorType": kind, "errorMessage": message}).encode(), kind)


def reported_error(body: bytes | None, default: str) -> Outcome:
    """Return the outcome of an error that a runtime reported. `default` is its type if the report names no type."""
    try:
        described = json.loads(body or b"")
    except ValueError:
        return failure(default, "the runtime reported an error that is not JSON")
    kind = described.get("errorType") if isinstance(described, dict) else None
    return Outcome(body or b"", str(kind or default))
