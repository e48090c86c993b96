"""The address of the API."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def address(url: str) -> SplitResult:
    """Return the parts of the API's address. Raises ValueError if it is no such address."""
    parts = urlsplit(url.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(
            f"Not the address of an API: {url!r}. Write it as http://127.0.0.1:3000, or as the stack's output ApiUrl"
        )
    return parts
