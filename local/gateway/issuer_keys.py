"""The public keys of an issuer, fetched as a JWT authorizer fetches them: discovery first, then its key set."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

KEPT_SECONDS = 7200.0  # API Gateway may keep keys for two hours
PAUSE_SECONDS = 5.0  # an unknown key id causes at most one fetch in this time
FETCH_SECONDS = 5.0


class KeysError(Exception):
    """The issuer's keys cannot be fetched."""


class IssuerKeys:
    """The RSA keys of one issuer by key id. They are fetched at first use and kept."""

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the issuer's URL and a clock in seconds."""
        self._issuer = issuer
        self._clock = clock
        self._keys: dict[str, RSAKey] = {}
        self._asked: float | None = None
        self._lock = asyncio.Lock()

    async def find(self, key_id: str) -> RSAKey | None:
        """Return the key with this id, or None if the issuer has no such key.

        The keys are fetched again if the id is unknown or the keys are old. Two fetches are PAUSE_SECONDS apart, so
        that invented ids do not flood the issuer. Raises KeysError if a fetch fails.
        """
        async with self._lock:
            age = None if self._asked is None else self._clock() - self._asked
            known = key_id in self._keys and age is not None and age < KEPT_SECONDS
            if not known and (age is None or age >= PAUSE_SECONDS):
                self._asked = self._clock()
                self._keys = await self._fetch()
            return self._keys.get(key_id)

    async def _fetch(self) -> dict[str, RSAKey]:
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS)) as session:
                discovery = await _json(session, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
                if discovery["issuer"] != self._issuer:
                    raise KeysError(f"the discovery document of {self._issuer} names another issuer")
                key_set = await _json(session, discovery["jwks_uri"])
            return {
                each["kid"]: RSAKey.import_key({"kty": "RSA", "n": each["n"], "e": each["e"]})
                for each in key_set["keys"]
                if each.get("kty") == "RSA" and each.get("use", "sig") == "sig" and each.get("alg", "RS256") == "RS256"
            }
        except (aiohttp.ClientError, TimeoutError, JoseError, ValueError, TypeError, KeyError) as error:
            raise KeysError(f"the keys of {self._issuer} cannot be fetched: {error!r}") from error


async def _json(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        response.raise_for_status()
        return await response.json(content_type=None)
