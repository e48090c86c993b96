"""Checks of what describes a person. The contract names them, and the compiled validators call them."""

from __future__ import annotations

import re

from robot_brain.bodies.core import PydanticCustomError
from robot_brain.bodies.email import is_email

# The PHC string format, and the older form of bcrypt and crypt, which begins in the same way.
# https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md
# The shortest one in use is of MD5: 22 characters of hash after its salt. Few passwords in this form are that long.
_HASH = r"\$[a-z0-9-]{1,32}\$[\x21-\x7e]{20,}"
_URL = r"https?://[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+"


def check_email(value: str) -> str:
    """Return `value`. Raises PydanticCustomError if it has not the form of an e-mail address."""
    if not is_email(value):
        raise PydanticCustomError("email", "must be an e-mail address")
    return value


def check_password_hash(value: str) -> str:
    """Return `value`. Raises PydanticCustomError if it is no hash, for example because it is the password itself."""
    if not re.fullmatch(_HASH, value):
        raise PydanticCustomError(
            "password_hash", "must be the hash of a password as a PHC string, such as $argon2id$v=19$..."
        )
    return value


def check_url(value: str) -> str:
    """Return `value`. Raises PydanticCustomError if it is no URL that a page can show as a picture."""
    if not re.fullmatch(_URL, value):
        raise PydanticCustomError("url", "must be a URL that begins with https:// or http://")
    return value
