"""Answer pages of other origins as an HTTP API does (CORS).

The API answers preflights itself, and replaces the CORS headers of a function by its own. AWS documents these headers
for preflights and for answers of functions. So the gateway's own errors lack them here, and no page can read them.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from local.gateway.payload import HttpResponse
from local.http_api import CorsConfiguration

LOCAL_PAGE = re.compile(r"http://(localhost|127\.0\.0\.1)(:[0-9]{1,5})?")


class Cors:
    """The CORS of an API. Pages of this machine (`http://localhost` and `http://127.0.0.1`, any port) are allowed."""

    def __init__(self, configuration: CorsConfiguration) -> None:
        """Take the configuration of the template."""
        self._configuration = configuration

    def allows(self, origins: Sequence[str]) -> bool:
        """Return whether a request with these `Origin` headers comes from one page that may call the API."""
        if len(origins) != 1:
            return False
        allowed = self._configuration.origins
        return (
            origins[0] in allowed
            or "*" in allowed
            or any(each in ("http://*", "https://*") and origins[0].startswith(each[:-1]) for each in allowed)
            or LOCAL_PAGE.fullmatch(origins[0]) is not None
        )

    def preflight(self, origins: Sequence[str]) -> HttpResponse:
        """Return the answer to a preflight. A page that may not call the API gets no CORS header."""
        headers = []
        if self.allows(origins):
            headers = self._origin(origins)
            for name, values in (
                ("access-control-allow-methods", self._configuration.methods),
                ("access-control-allow-headers", self._configuration.headers),
            ):
                if values:
                    headers.append((name, ",".join(values)))
            if self._configuration.max_age is not None:
                headers.append(("access-control-max-age", str(self._configuration.max_age)))
        return HttpResponse(204, headers, b"")

    def answer(self, response: HttpResponse, origins: Sequence[str]) -> HttpResponse:
        """Return a function's response with the API's CORS headers in place of its own."""
        headers = [(name, value) for name, value in response.headers if not name.startswith("access-control-")]
        if self.allows(origins):
            headers += self._origin(origins)
            if self._configuration.exposed:
                headers.append(("access-control-expose-headers", ",".join(self._configuration.exposed)))
        return replace(response, headers=headers)

    def _origin(self, origins: Sequence[str]) -> list[tuple[str, str]]:
        origin = "*" if "*" in self._configuration.origins else origins[0]
        return [("access-control-allow-origin", origin)]
