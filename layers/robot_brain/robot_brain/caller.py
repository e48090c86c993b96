"""The caller of a request: an event's authorizer says which tenant and which user it is. No other module looks at it.

The gateway has checked the signature or the token. A header, the query or the body never changes the caller. If
something is missing, the request is refused and no value is guessed.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from robot_brain.errors import ForbiddenError
from robot_brain.limits import MAX_ACTOR_LENGTH, MAX_USER_ID_LENGTH
from robot_brain.settings import TENANT, settings

_ROLE = r"arn:aws[a-z-]*:sts::([0-9]{12}):assumed-role/([A-Za-z0-9_+=,.@-]{1,64})/[A-Za-z0-9_+=,.@-]{1,64}"
# An ARN, or the subject of a service that is no user id, such as a URL.
_ACTOR = rf"[\x21-\x7e]{{1,{MAX_ACTOR_LENGTH}}}"
# As in the id of a session, because both are parts of paths.
_NOT_IN_USER_ID = r"[\x00-\x1f\x7f-\x9f/\\?#%\ud800-\udfff]"
USER_ID_RULE = (
    f"a user id has 1 to {MAX_USER_ID_LENGTH} characters, "
    r"no control character and none of / \ ? # %, and is not . or .."
)
# The gateway writes a claim that is an array as `[a b]`, and one that is an object as `map[a:b]`.
_NO_TEXT = r"(?:map)?\[.*\]"
_CLAIMS = "claims of a token"


class Caller(NamedTuple):
    """The tenant whose rows a request may use, the user if known, and whether all users' sessions may be seen.

    `actor` and `request_id` are for the audit trail: who acts, if the gateway says it, and in which request.
    """

    tenant_id: str
    user_id: str | None
    sees_all: bool
    actor: str | None = None
    request_id: str | None = None

    @property
    def as_user(self) -> str | None:
        """The end user whose sessions the request is limited to. None if the caller sees all."""
        return None if self.sees_all else self.user_id

    def require_all(self, what: str) -> None:
        """Raise ForbiddenError for an end user. `what` names what the caller asked for."""
        if not self.sees_all:
            raise ForbiddenError(f"An end user may not {what}.")

    def require_user(self, user_id: str) -> None:
        """Raise ForbiddenError if the caller is an end user and not this user."""
        if self.as_user not in (None, user_id):
            raise ForbiddenError("An end user may name only itself as a user.")

    def listed_user(self, named: str | None) -> str | None:
        """Return the user whose sessions a list or a search has, None for all users.

        `named` is the user that the request names. Raises ForbiddenError if an end user names another.
        """
        if self.sees_all:
            return named
        if named not in (None, self.user_id):
            raise ForbiddenError("An end user may name only itself as a user.")
        return self.user_id


def caller_of(authorizer: Mapping[str, Any], request_id: str | None = None) -> Caller:
    """Return the caller in `requestContext.authorizer` of an event. It acts as the token's subject or the signer's ARN.

    Raises ForbiddenError if the authorizer lacks anything that the settings need, or if a value is unusable.
    """
    found = settings()
    if found.auth == "jwt":
        claims = _part(_part(authorizer, "jwt", _CLAIMS), "claims", _CLAIMS)
        sees_all = bool(found.all_users_scope) and found.all_users_scope in _scopes(claims)
        user = _user(claims, required=not sees_all)
        actor = user or _actor(claims.get("sub"))
        return Caller(_tenant(found.tenant_from, claims, {}), user, sees_all, actor, request_id)
    identity = _part(authorizer, "iam", "identity of a signer") if found.auth == "iam" else {}
    return Caller(_tenant(found.tenant_from, {}, identity), None, True, _actor(identity.get("userArn")), request_id)


def is_user_id(text: str) -> bool:
    """Return whether `text` can be the id of a user."""
    return 1 <= len(text) <= MAX_USER_ID_LENGTH and text not in (".", "..") and not re.search(_NOT_IN_USER_ID, text)


def _part(whole: Mapping[str, Any], name: str, what: str) -> Mapping[str, Any]:
    """Return a member that is an object with members. Raises ForbiddenError if it is missing or anything else."""
    part = whole.get(name)
    if not isinstance(part, dict) or not part:
        raise ForbiddenError(f"The gateway passed on no {what}. Is an authorizer missing?")
    return part


def _tenant(source: str, claims: Mapping[str, Any], identity: Mapping[str, Any]) -> str:
    kind, _, name = source.partition(":")
    if kind == "claim":
        return _text(claims, name, _is_tenant, "tenant")
    if source == "iam:account":
        account = identity.get("accountId")
        if not isinstance(account, str) or not _is_tenant(account):
            raise ForbiddenError("The signer's account cannot be a tenant.")
        return account
    if source == "iam:role":
        # The name of the role's session is left out, because its caller chooses it.
        arn = identity.get("userArn")
        role = re.fullmatch(_ROLE, arn) if isinstance(arn, str) else None
        # An ARN of another account than the identity's contradicts it, so it names no tenant.
        if role is None or identity.get("accountId", role[1]) != role[1]:
            raise ForbiddenError("The signer has no role.")
        return f"{role[1]}:{role[2]}"
    return settings().tenant_id


def _user(claims: Mapping[str, Any], *, required: bool) -> str | None:
    try:
        return _text(claims, "sub", lambda text: is_user_id(text) and not re.fullmatch(_NO_TEXT, text), "user")
    except ForbiddenError:
        if required:
            raise
        return None


def _actor(value: object) -> str | None:
    """Return the name of the actor. It only describes the caller, so a missing or unusable one refuses nothing."""
    if isinstance(value, str) and re.fullmatch(_ACTOR, value) and not re.fullmatch(_NO_TEXT, value):
        return value
    return None


def _is_tenant(text: str) -> bool:
    return re.fullmatch(TENANT, text) is not None


def _text(claims: Mapping[str, Any], name: str, is_valid: Callable[[str], bool], what: str) -> str:
    """Return a claim. Raises ForbiddenError if it is missing, or if it cannot be what it is needed for."""
    if name not in claims:
        raise ForbiddenError(f"The token has no claim {name}.")
    text = claims[name]
    if not isinstance(text, str) or not is_valid(text):
        raise ForbiddenError(f"The claim {name} of the token cannot be a {what}.")
    return text


def _scopes(claims: Mapping[str, Any]) -> set[str]:
    """Return the scopes of a token. `scope` is a text with spaces, and some issuers write an array `scp`."""
    scopes: set[str] = set()
    for name in ("scope", "scp"):
        text = claims.get(name, "")
        if not isinstance(text, str):
            raise ForbiddenError(f"The claim {name} of the token is not a text.")
        scopes.update(text.removeprefix("[").removesuffix("]").split(" "))
    return scopes
