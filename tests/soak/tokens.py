"""The access tokens of a run: of services that see all users, and of end users."""

from joserfc.jwk import RSAKey

from local.issuer import make_token
from local.settings import ALL_USERS_SCOPE

LIFETIME_SECONDS = 2 * 86_400  # longer than a run


class Tokens:
    """Makes the tokens of one issuer, and keeps them."""

    def __init__(self, key: RSAKey, issuer: str) -> None:
        """Take the issuer's key and URL."""
        self._key = key
        self._issuer = issuer
        self._made: dict[str | None, str] = {}

    def bearer(self, user: str | None = None) -> str:
        """Return the value of the header Authorization for an end user, or for a service without `user`."""
        if user not in self._made:
            claims = {"scope": ALL_USERS_SCOPE} if user is None else {}
            self._made[user] = make_token(self._key, self._issuer, user or "a service", claims, LIFETIME_SECONDS)
        return f"Bearer {self._made[user]}"
