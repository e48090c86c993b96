"""How a request says who sends it. Without credentials the API of `make run` answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from robot_brain_client.answers import Call


class Auth(Protocol):
    """Makes the headers that say who sends a request."""

    def headers(self, call: Call, host: str, path: str) -> dict[str, str]:
        """Return the headers for this attempt. `path` includes the base path of the API's address."""


class Bearer:
    """Send a token with each request, for an API that was built with AUTH=jwt.

    `token` is the token, or a function that returns one that is still valid. It is called before each attempt.
    """

    def __init__(self, token: str | Callable[[], str]) -> None:
        self._token = token

    def headers(self, call: Call, host: str, path: str) -> dict[str, str]:
        """Return the header with the token."""
        token = self._token if isinstance(self._token, str) else self._token()
        return {"authorization": f"Bearer {token}"}
