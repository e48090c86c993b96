"""A token issuer for one machine: an RSA key in the state folder, OpenID discovery, the key set, and `POST /token`.

It gives anyone on this machine any token. So it listens on loopback only, and serves tests and examples.
"""

import json
import os
import re
import secrets
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from local.gateway.authorizer import ALGORITHM
from local.gateway.cors import Cors
from local.http_api import CorsConfiguration

AUDIENCE = "robot-brain"
KEY_FILE = "issuer-key.json"
LIFETIME_SECONDS = 3600
LONGEST_SECONDS = 31_536_000  # a year
FORM_LIMIT = 16_384  # bytes
# The issuer sets these itself, so that each of its tokens is valid.
RESERVED = ("iss", "aud", "exp", "nbf", "iat", "jti")
FORM = re.compile(r"application/x-www-form-urlencoded\s*(;.*)?", re.IGNORECASE)


class IssuerError(Exception):
    """The issuer's key cannot be used, or a token cannot be made."""


def load_key(folder: Path) -> RSAKey:
    """Return the key of the state folder. It is made once, readable by its owner only.

    Raises IssuerError if the file is not a private RSA key. Only the holder of the folder's lock may call this.
    """
    path = folder / KEY_FILE
    if not path.exists():
        key = RSAKey.generate_key(2048)
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)  # a crash may have left one
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(key.as_dict(private=True), file)
        os.replace(new, path)
    return read_key(folder)


def read_key(folder: Path) -> RSAKey:
    """Return the key of the state folder. Raises IssuerError if the file is missing or is not a private RSA key."""
    path = folder / KEY_FILE
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict) or "d" not in content:
            raise ValueError("it has no private part")
        return RSAKey.import_key(content)
    except (OSError, ValueError, TypeError, KeyError, JoseError) as error:
        raise IssuerError(f"{path} is not a private RSA key: delete it, and make run makes another") from error


def make_token(key: RSAKey, issuer: str, subject: str, claims: Mapping[str, Any], seconds: int) -> str:
    """Return an access token of `issuer` for `subject`, valid from now on for `seconds`.

    Raises IssuerError if the subject is empty, or if `claims` has a claim that the issuer sets itself.
    """
    if not subject:
        raise IssuerError("sub is missing")
    if refused := [name for name in (*RESERVED, "sub") if name in claims]:
        raise IssuerError(f"{', '.join(refused)} cannot be a further claim")
    now = int(time.time())
    own = {"iss": issuer, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + seconds, "jti": secrets.token_hex(16)}
    header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": key.thumbprint()}
    return jwt.encode(header, {"sub": subject, **claims, **own}, key, algorithms=[ALGORITHM])


class Issuer:
    """Serves the issuer on a bound socket. Use it as an async context manager."""

    def __init__(self, key: RSAKey, bound: socket.socket) -> None:
        """Take the key and a bound socket of 127.0.0.1."""
        self.url = "http://{}:{}".format(*bound.getsockname()[:2])
        self._key = key
        self._socket = bound
        self._cors = Cors(CorsConfiguration((), ("GET", "POST"), ("content-type",), max_age=3600))
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Start to listen."""
        application = web.Application(client_max_size=FORM_LIMIT)
        for method, path, handler in (
            ("GET", "/.well-known/openid-configuration", self._discovery),
            ("GET", "/.well-known/jwks.json", self._key_set),
            ("POST", "/token", self._token),
        ):
            application.router.add_route(method, path, handler)
            application.router.add_route("OPTIONS", path, self._preflight)
        application.on_response_prepare.append(self._allow_pages)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to listen."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _discovery(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/.well-known/jwks.json",
                "token_endpoint": f"{self.url}/token",
                "response_types_supported": ["token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
            }
        )

    async def _key_set(self, request: web.Request) -> web.Response:
        public = {name: self._key.as_dict(private=False)[name] for name in ("kty", "n", "e")}
        return web.json_response({"keys": [{**public, "kid": self._key.thumbprint(), "use": "sig", "alg": ALGORITHM}]})

    async def _token(self, request: web.Request) -> web.Response:
        origins = request.headers.getall("Origin", [])
        if origins and not self._cors.allows(origins):
            # CORS only hides the answer. A page whose name leads to this machine would read it.
            return _refused("the page is not one of this machine", 403)
        try:
            if not FORM.fullmatch(request.headers.get("Content-Type", "")):
                raise IssuerError("the content type must be application/x-www-form-urlencoded")
            fields = parse_qsl((await request.read()).decode(), keep_blank_values=True, errors="strict")
            form = dict(fields)
            if len(form) != len(fields):
                raise IssuerError("a field is repeated")
            subject = form.pop("sub", "")
            token = make_token(self._key, self.url, subject, form, LIFETIME_SECONDS)
        except (IssuerError, UnicodeDecodeError) as error:
            return _refused(str(error), 400)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME_SECONDS}
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def _preflight(self, request: web.Request) -> web.Response:
        answer = self._cors.preflight(request.headers.getall("Origin", []))
        return web.Response(status=answer.status, headers=dict(answer.headers))

    async def _allow_pages(self, request: web.Request, response: web.StreamResponse) -> None:
        origins = request.headers.getall("Origin", [])
        if self._cors.allows(origins):
            response.headers["Access-Control-Allow-Origin"] = origins[0]


def _refused(reason: str, status: int) -> web.Response:
    return web.json_response({"error": "invalid_request", "error_description": reason}, status=status)
