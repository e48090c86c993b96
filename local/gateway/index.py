"""What the local front answers to `GET /` and `GET /openapi.json`. AWS has no such routes."""

import json
from collections.abc import Sequence
from html import escape

from local.gateway.payload import HttpResponse
from local.settings import ROOT
from local.template import Route

DOCUMENT_PATH = "/openapi.json"
TITLE = "Robot Brain on this machine"
PAGES = (
    ("docs/quickstart.md", "all options of make run, and what to do beside it"),
    ("docs/api.md", "the HTTP API"),
    ("docs/search.md", "what a search finds"),
    ("docs/callers.md", "signatures, tokens, tenants and users"),
    ("docs/settings.md", "every setting"),
    ("docs/deploy.md", "to AWS, which has no such page"),
)
# What a route needs in its query, so that its link works.
QUERIES = {"/search": "?q=mocha"}
STYLE = "body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}td{padding-right:2em}"


class Index:
    """The page at `/`, as HTML for a browser and as text for other clients."""

    def __init__(self, routes: Sequence[Route], commands: str, *, checks_tokens: bool) -> None:
        """Take the routes, commands to copy, and whether each route with an authorizer needs a token."""
        self._routes = sorted(routes, key=lambda route: (route.path, route.method))
        self._commands = commands
        self._checks_tokens = checks_tokens

    def answer(self, accept: Sequence[str]) -> HttpResponse:
        """Return the answer for these `Accept` headers."""
        if any("text/html" in each.lower() for each in accept):
            return self._response("text/html; charset=utf-8", self._html())
        return self._response("text/plain; charset=utf-8", self._text())

    @staticmethod
    def document(url: str) -> HttpResponse:
        """Return the API's OpenAPI document with `url` as its only server."""
        found = json.loads((ROOT / "docs" / "openapi.json").read_text())
        found["servers"] = [{"url": url, "description": "make run on this machine"}]
        headers = [("content-type", "application/json"), ("cache-control", "no-store")]
        return HttpResponse(200, headers, json.dumps(found, ensure_ascii=False).encode())

    @staticmethod
    def _response(kind: str, body: str) -> HttpResponse:
        headers = [
            ("content-type", kind),
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
            ("vary", "Accept"),
        ]
        return HttpResponse(200, headers, body.encode())

    @property
    def _access(self) -> str:
        open_paths = " and ".join(sorted({route.path for route in self._routes if route.authorizer is None}))
        if not self._checks_tokens:
            return f"No route needs credentials here. On AWS all but {open_paths} need a signature or a token."
        return f"It runs with AUTH=jwt, so all routes but {open_paths} need a token. make -s token SUB=ann prints one."

    def _needs_token(self, route: Route) -> bool:
        return self._checks_tokens and route.authorizer is not None

    def _text(self) -> str:
        width = max(len(f"{route.method} {route.path}") for route in self._routes)
        routes = "\n".join(f"  {f'{route.method} {route.path}':{width}}  {route.function}" for route in self._routes)
        pages = "\n".join(f"  {name:20}  {what}" for name, what in PAGES)
        return (
            f"{TITLE}\n\n{self._access}\n\n{self._commands}\n\nRoutes:\n{routes}\n\n"
            f"For programs:\n  GET {DOCUMENT_PATH}\n\nPages of the checkout:\n{pages}\n"
        )

    def _html(self) -> str:
        routes = "".join(
            f"<tr><td><code>{self._linked(route)}</code></td><td>{escape(route.function)}</td></tr>\n"
            for route in self._routes
        )
        pages = "".join(f"<tr><td><code>{name}</code></td><td>{what}</td></tr>\n" for name, what in PAGES)
        return (
            f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{TITLE}</title><style>{STYLE}</style>\n'
            f"<h1>{TITLE}</h1>\n<p>{escape(self._access)}</p>\n<pre>{escape(self._commands)}</pre>\n"
            f"<h2>Routes</h2>\n<table>\n{routes}</table>\n"
            f'<p>For programs: <a href="{DOCUMENT_PATH}">{DOCUMENT_PATH}</a></p>\n'
            f"<h2>Pages of the checkout</h2>\n<table>\n{pages}</table>\n</html>\n"
        )

    def _linked(self, route: Route) -> str:
        """Return the route as HTML, with a link if a browser can open it: a browser sends no token."""
        text = escape(f"{route.method} {route.path}")
        opens = route.method == "GET" and "{" not in route.path and not self._needs_token(route)
        link = escape(route.path + QUERIES.get(route.path, ""))
        return f'<a href="{link}">{text}</a>' if opens else text
