"""A local issuer in a thread, tokens that it would never make, and what the authorizer decides about them."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import ECKey, OctKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64encode

from local.gateway.authorizer import JwtAuthorizer, UnauthorizedError
from local.gateway.issuer_keys import IssuerKeys
from local.http_api import JwtConfiguration
from local.issuer import Issuer

NOW = 1_800_000_000
Key = RSAKey | ECKey | OctKey


@dataclass(frozen=True)
class Lab:
    """A running issuer: its URL and its private key."""

    url: str
    key: RSAKey

    @property
    def header(self) -> dict[str, Any]:
        """The header of a good token."""
        return {"alg": "RS256", "kid": self.key.thumbprint()}

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of a good token."""
        return {"iss": self.url, "aud": "robot-brain", "sub": "ann", "exp": NOW + 60}

    def token(self, claims: Mapping[str, Any] | None = None, **header: Any) -> str:
        """Return a token of the issuer with further or other claims and header members."""
        return sign({**self.header, **header}, {**self.claims, **(claims or {})}, self.key)

    def decide(self, *authorization: str, audience: tuple[str, ...] = ("robot-brain",)) -> dict[str, str]:
        """Return the claims of the token in these `Authorization` headers. Raises UnauthorizedError."""
        authorizer = JwtAuthorizer(JwtConfiguration(self.url, audience), IssuerKeys(self.url), clock=lambda: NOW)
        return asyncio.run(authorizer.claims(authorization))

    def reason(self, *authorization: str) -> str:
        """Return why these headers are refused."""
        try:
            claims = self.decide(*authorization)
        except UnauthorizedError as error:
            return str(error)
        raise AssertionError(f"the token was accepted: {claims}")


def sign(header: Mapping[str, Any] | str, claims: Mapping[str, Any] | str, key: Key, alg: str = "") -> str:
    """Return a signed token. A header or claims as text are used unchanged. `alg` signs in another way than named."""
    texts = (each if isinstance(each, str) else json.dumps(each) for each in (header, claims))
    signed = b".".join(urlsafe_b64encode(text.encode()) for text in texts)
    name = alg or json.loads(header if isinstance(header, str) else json.dumps(header))["alg"]
    signature = JWSRegistry.algorithms[name].sign(signed, key)
    return (signed + b"." + urlsafe_b64encode(signature)).decode()


@contextmanager
def running_issuer(key: RSAKey, port: int = 0) -> Iterator[Lab]:
    """Run an issuer with this key in a thread of its own, on any free port or on `port`."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    issuer = Issuer(key, bound)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(issuer.__aenter__(), loop).result()
        yield Lab(issuer.url, key)
        asyncio.run_coroutine_threadsafe(issuer.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
