"""Fold e-mail addresses, so that two spellings of one address are equal.

Python does this, because SQL can fold case only from PostgreSQL 18 on. A look-up by e-mail needs this module, so it
does not import the core of Pydantic.
"""

from __future__ import annotations

import re
import unicodedata

from robot_brain.errors import InvalidRequestError
from robot_brain.limits import MAX_EMAIL_KEY_BYTES, MAX_EMAIL_LENGTH

# A string, which `re` compiles and caches on first use.
_EMAIL = "[^@ ]+@[^@ ]+"


def is_email(text: str) -> bool:
    """Return whether `text` has one @ and something on each side. The address need not exist.

    Invisible characters are refused. Otherwise two users could seem to have the same e-mail.
    """
    return text.isprintable() and re.fullmatch(_EMAIL, text) is not None


def email_key(email: str, loc: list[str | int]) -> str:
    """Return what all spellings of an e-mail have in common. Raises InvalidRequestError at `loc` if it is no e-mail.

    Unicode's NFKC and case folding: https://www.unicode.org/reports/tr31/#NFKC_Casefold_Identifiers. Folding can break
    the normal form, so the result is normalized again.
    """
    key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email).casefold())
    is_short = len(email) <= MAX_EMAIL_LENGTH and len(key.encode(errors="replace")) <= MAX_EMAIL_KEY_BYTES
    if not (is_short and is_email(email) and is_email(key)):
        raise InvalidRequestError.at(loc, "must be an e-mail address", "email")
    return key
