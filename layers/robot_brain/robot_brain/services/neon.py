"""Whether Neon's compute is awake, asked of Neon's API, which does not wake it.

https://api-docs.neon.tech/reference/getprojectendpoint: GET /projects/{project_id}/endpoints/{endpoint_id} answers
{"endpoint": {"current_state": "init" | "active" | "idle", …}}. Allowed are 700 requests a minute.
"""

from __future__ import annotations

import json
import threading
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Literal

from robot_brain import telemetry
from robot_brain.deadline import Deadline
from robot_brain.errors import RobotBrainError
from robot_brain.settings import Settings, credentials

State = Literal["active", "idle"]

# Seconds, the key's way out of its secret included.
_LONGEST = 3.0
# Bytes. An endpoint is described in two thousand.
_LARGEST_ANSWER = 65_536
_ADVICE = {
    401: "put a key of this project into NEON_API_KEY",
    403: "put a key of this project into NEON_API_KEY",
    404: "see NEON_PROJECT_ID and NEON_ENDPOINT_ID",
}


class _UnknownStateError(Exception):
    """Neon's API did not tell the state of the compute."""


def compute_state(settings: Settings, deadline: Deadline) -> State | None:
    """Return whether the compute runs ("active") or sleeps ("idle"), within three seconds and `deadline`.

    None where Neon is not configured; and, with one warning in the log, where the API could not tell: an error, no
    answer in time, another state. Nothing is repeated, no redirect is followed, and the key is never logged.
    """
    if not settings.neon_endpoint_id:
        return None
    states: list[State] = []
    reasons: list[str] = []
    host = settings.neon_api_url.partition("://")[2].partition("/")[0]

    def ask() -> None:
        try:
            states.append(_ask(settings, within))
        except (_UnknownStateError, RobotBrainError) as error:
            reasons.append(str(error))
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            # Not its text: that of a ValueError may quote the header with the key.
            reasons.append(f"Neon's API at {host} did not answer as it should: {type(error).__name__}")

    try:
        within = deadline.at_most(_LONGEST)
        # A thread, because a socket's time-out counts anew for each byte, and name look-ups have none.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(within.remaining())
    except RobotBrainError as error:
        reasons.append(str(error))
    if states:
        return states[0]
    reason = reasons[0] if reasons else f"Neon's API at {host} did not answer in time"
    telemetry.logger().warning("the state of the compute is unknown", extra={"reason": reason})
    return None


def _ask(settings: Settings, deadline: Deadline) -> State:
    key = settings.neon_api_key
    if not key:
        from robot_brain.services.secret import fetch_neon_api_key

        key = fetch_neon_api_key(settings.database_secret_arn, settings.secrets_endpoint, credentials(), deadline)
    scheme, _, rest = settings.neon_api_url.partition("://")
    host, slash, path = rest.partition("/")
    kind = HTTPSConnection if scheme == "https" else HTTPConnection
    connection = kind(host, timeout=deadline.remaining())
    try:
        connection.request(
            "GET",
            f"{slash}{path.rstrip('/')}/projects/{settings.neon_project_id}/endpoints/{settings.neon_endpoint_id}",
            headers={"authorization": f"Bearer {key}", "accept": "application/json"},
        )
        response = connection.getresponse()
        text = response.read(_LARGEST_ANSWER)
        status = response.status
    finally:
        connection.close()
    if status != 200:
        raise _UnknownStateError(f"Neon's API answered {status}; {_ADVICE.get(status, 'it may be better soon')}")
    state = _current_state(text)
    if state == "active" or state == "idle":
        return state
    raise _UnknownStateError("Neon's API answered without a state that is known here")


def _current_state(text: bytes) -> object:
    endpoint = found.get("endpoint") if isinstance(found := json.loads(text), dict) else None
    return endpoint.get("current_state") if isinstance(endpoint, dict) else None
