"""Ask Neon's API whether the compute is awake. The API does not wake it.

https://api-docs.neon.tech/reference/getprojectendpoint: GET /projects/{project_id}/endpoints/{endpoint_id} answers
{"endpoint": {"current_state": "init" | "active" | "idle", …}}. Neon allows 700 requests a minute.
"""

from __future__ import annotations

import json
from typing import Literal

from robot_brain import telemetry
from robot_brain.deadline import Deadline
from robot_brain.errors import RobotBrainError
from robot_brain.services import https
from robot_brain.settings import Settings, credentials

State = Literal["active", "idle"]

# Seconds, with the time to fetch the key from its secret.
_LONGEST = 3.0
# Bytes, with headers. Neon's description of an endpoint has about two thousand.
_LARGEST_ANSWER = 65_536
_ADVICE = {
    401: "put a key of this project into NEON_API_KEY",
    403: "put a key of this project into NEON_API_KEY",
    404: "see NEON_PROJECT_ID and NEON_ENDPOINT_ID",
}


class _UnknownStateError(Exception):
    """Neon's API did not return the state of the compute."""


def compute_state(settings: Settings, deadline: Deadline) -> State | None:
    """Return "active" if the compute is awake and "idle" if it is asleep, within three seconds and `deadline`.

    Returns None if Neon's API is not configured. Also returns None, and logs one warning, if the state is unknown: an
    error, no answer in time, or another state. No request is sent twice, no redirect is followed, and the key is never
    logged.
    """
    if not settings.neon_endpoint_id:
        return None
    try:
        return _ask(settings, deadline.at_most(_LONGEST))
    except https.NoAnswerError as error:
        reason = f"Neon's API at {error}"
    except (_UnknownStateError, RobotBrainError) as error:
        reason = str(error)
    telemetry.logger().warning("the state of the compute is unknown", extra={"reason": reason})
    return None


def _ask(settings: Settings, deadline: Deadline) -> State:
    key = settings.neon_api_key
    if not key:
        from robot_brain.services.secret import fetch_neon_api_key

        key = fetch_neon_api_key(settings.database_secret_arn, settings.secrets_endpoint, credentials(), deadline)
    endpoint = f"/projects/{settings.neon_project_id}/endpoints/{settings.neon_endpoint_id}"
    headers = {"authorization": f"Bearer {key}", "accept": "application/json"}
    url = settings.neon_api_url.rstrip("/") + endpoint
    status, text = https.request("GET", url, None, headers, deadline, _LARGEST_ANSWER)
    if status != 200:
        raise _UnknownStateError(f"Neon's API answered {status}; {_ADVICE.get(status, 'a later request may succeed')}")
    state = _current_state(text)
    if state == "active" or state == "idle":
        return state
    raise _UnknownStateError("Neon's API answered without a known state")


def _current_state(text: bytes) -> object:
    try:
        endpoint = found.get("endpoint") if isinstance(found := json.loads(text), dict) else None
    except (ValueError, RecursionError):
        return None
    return endpoint.get("current_state") if isinstance(endpoint, dict) else None
