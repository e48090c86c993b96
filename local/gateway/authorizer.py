"""Decide about a bearer token as the JWT authorizer of an HTTP API does, and return its claims.

API Gateway checks the signature with the issuer's keys, and the claims iss, aud (or client_id), exp, nbf and iat. Two
things are stricter here. Only RS256 is accepted, and a token that names a member twice is refused: two readers could
read such a token differently.
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry, deserialize_compact
from joserfc.util import urlsafe_b64decode

from local.gateway.issuer_keys import IssuerKeys, KeysError
from local.http_api import HttpApi, JwtConfiguration

ALGORITHM = "RS256"
BEARER = re.compile(r"(?:bearer +)?(\S+)", re.IGNORECASE)
COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
LATEST = 2**53  # a time beyond it is no exact number in JSON
# A header that is unknown does not matter, as with API Gateway. Its length is limited by the server of the front.
REGISTRY = JWSRegistry(algorithms=[ALGORITHM], strict_check_header=False)
REGISTRY.max_header_length = 8192
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class UnauthorizedError(Exception):
    """The request has no valid token. The text is the reason, and empty if there is no token at all."""

    @property
    def challenge(self) -> str:
        """The value of the header `www-authenticate`."""
        reason = str(self)
        return f'Bearer scope="" error="invalid_token" error_description="{reason}"' if reason else "Bearer"


class JwtAuthorizer:
    """Checks tokens for one configuration of the template."""

    def __init__(
        self, configuration: JwtConfiguration, keys: IssuerKeys, clock: Callable[[], float] = time.time
    ) -> None:
        """Take the issuer and the audience, the issuer's keys, and a clock in seconds since 1970."""
        self._configuration = configuration
        self._keys = keys
        self._clock = clock

    async def claims(self, authorization: Sequence[str]) -> dict[str, str]:
        """Return the claims as the texts that the event gets. `authorization` are the headers of this name.

        Raises UnauthorizedError if there is no token, or if it is not valid now.
        """
        token = _bearer(authorization)
        try:
            header_part, payload_part, _ = token.split(".")
            header, claims = _object(header_part), _object(payload_part)
            texts = {name: claim_text(value) for name, value in claims.items() if value is not None}
        except (ValueError, RecursionError) as error:
            raise UnauthorizedError("the token is malformed") from error
        _check_signature(token, await self._key(header))
        self._check_claims(claims)
        return texts

    async def _key(self, header: Mapping[str, Any]) -> RSAKey:
        """Return the issuer's key that the header names. Keys and addresses in the token itself are never used."""
        if header.get("alg") != ALGORITHM:
            raise UnauthorizedError("the signing algorithm of the token is not supported")
        if "crit" in header or "b64" in header:
            raise UnauthorizedError("the token has a critical extension")
        key_id = header.get("kid")
        if not isinstance(key_id, str):
            raise UnauthorizedError("the token has no key id")
        try:
            key = await self._keys.find(key_id)
        except KeysError as error:
            raise UnauthorizedError("the keys of the issuer cannot be fetched") from error
        if key is None:
            raise UnauthorizedError("the issuer has no key with the key id of the token")
        return key

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        if claims.get("iss") != self._configuration.issuer:
            raise UnauthorizedError("the issuer does not match")
        # client_id counts only if aud is not present.
        given = claims["aud"] if "aud" in claims else claims.get("client_id")
        audience = given if isinstance(given, list) and "aud" in claims else [given]
        if not any(isinstance(each, str) and each in self._configuration.audience for each in audience):
            raise UnauthorizedError("the token does not have a valid audience")
        now = self._clock()
        if "exp" not in claims or not now < _time(claims, "exp"):
            raise UnauthorizedError("the token has expired")
        if any(name in claims and _time(claims, name) > now for name in ("nbf", "iat")):
            raise UnauthorizedError("the token is not valid yet")


def authorizers_of(api: HttpApi) -> dict[str, JwtAuthorizer]:
    """Return the authorizers of the API by name. Each fetches the keys of its own issuer."""
    return {name: JwtAuthorizer(each, IssuerKeys(each.issuer)) for name, each in api.authorizers.items()}


def _bearer(authorization: Sequence[str]) -> str:
    # The gateway joins repeated headers. Two tokens with a comma between them are no token.
    value = ",".join(authorization).strip()
    if not value:
        raise UnauthorizedError
    found = BEARER.fullmatch(value)
    if found is None or not COMPACT.fullmatch(found[1]):
        raise UnauthorizedError("the token is malformed")
    return found[1]


def _object(part: str) -> dict[str, Any]:
    """Return the JSON object of a part of the token. Raises ValueError if it is no object or repeats a member."""
    text = urlsafe_b64decode(part.encode()).decode("utf-8")
    value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    # JSON can name half of a pair of surrogates, and the event cannot contain it.
    if LONE_SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise ValueError("half of a pair of surrogates")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a member is repeated")
    return made


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _check_signature(token: str, key: RSAKey) -> None:
    try:
        deserialize_compact(token, key, registry=REGISTRY)
    except (JoseError, ValueError) as error:
        raise UnauthorizedError("the signature is not valid") from error


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LATEST:
        raise UnauthorizedError(f"the claim {name} is no time")
    return value


def claim_text(value: Any) -> str:
    """Return a claim as API Gateway writes it into the event: `[a b]` for a list, `map[k:v]` for an object.

    Raises ValueError if it is a number beyond a double.
    """
    if value is None:
        return "<nil>"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(map(claim_text, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{name}:{claim_text(value[name])}' for name in sorted(value))}]"
    if isinstance(value, float) and abs(value) == float("inf"):
        raise ValueError("a number is beyond a double")
    return str(int(value)) if value == int(value) else format(Decimal(repr(value)), "f")
