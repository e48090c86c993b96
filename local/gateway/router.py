"""Choose the route of a request by its method and its decoded path, as an HTTP API does."""

import re
from collections.abc import Sequence

from local.template import Route


class Router:
    """The routes of an HTTP API. The most specific route that matches the decoded path takes the request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Take the routes in any order."""

        def rank(route: Route) -> tuple[int, bool]:
            # API Gateway prefers routes with fewer parameters, then those with a named method.
            return route.path.count("{"), route.method == "ANY"

        self._routes = [(route, self._pattern(route.path)) for route in sorted(routes, key=rank)]

    def match(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route and its path parameters, or None if no route matches.

        The path is already decoded, so `%2F` separates segments as `/` does.
        """
        for route, pattern in self._routes:
            if route.method in (method, "ANY") and (found := pattern.fullmatch(path)):
                names = re.findall(r"\{(\w+)\}", route.path)
                return route, dict(zip(names, found.groups(), strict=True))
        return None

    def knows(self, path: str) -> bool:
        """Return whether a route of any method matches the path."""
        return any(pattern.fullmatch(path) for _, pattern in self._routes)

    @staticmethod
    def _pattern(path: str) -> re.Pattern[str]:
        literal_and_parameter = re.split(r"(\{\w+\})", path)
        return re.compile(
            "".join("([^/]+)" if part.startswith("{") else re.escape(part) for part in literal_and_parameter), re.DOTALL
        )
