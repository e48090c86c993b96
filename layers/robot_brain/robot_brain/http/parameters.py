"""Parse path, query and header parameters by hand. They are few, so a read loads no validation library."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from robot_brain.caller import USER_ID_RULE, is_user_id
from robot_brain.errors import InvalidRequestError, MalformedRequestError, UnsupportedMediaTypeError, Violation
from robot_brain.limits import (
    MAX_CURSOR_LENGTH,
    MAX_INTEGER,
    MAX_KEY_LENGTH,
    MAX_SESSION_ID_LENGTH,
    MAX_TAG_DIGITS,
    MAX_VERSION_LENGTH,
)

# Strings, which `re` compiles and caches on first use, because each Lambda function uses only a few of them.
_NOT_IN_SESSION_ID = r"[\x00-\x1f\x7f-\x9f/\\?#%]"
_CURSOR = rf"[\x21-\x7e]{{1,{MAX_CURSOR_LENGTH}}}"
_CONTROL = r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
# RFC 3339, without its lower-case letters and its leap seconds.
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_MOMENT = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(T{_CLOCK}:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]{_CLOCK}))?"
_LONE_SURROGATE = "[\ud800-\udfff]"
_BAD_ESCAPE = r"%(?![0-9A-Fa-f]{2})"
# The class lists excluded characters, because it then compiles in a tenth of the time.
_ENTITY_TAG = r'(?:W/)?("[^\x00-\x20\x22\x7f\ud800-\udfff]*")\s*(?:,\s*|$)'
_IF_MATCH = rf'"([0-9]{{1,{MAX_TAG_DIGITS}}})(\.[0-9A-Za-z]{{1,{MAX_VERSION_LENGTH}}})?"'
_USER_TAG = rf'"([0-9A-Za-z]{{1,{MAX_VERSION_LENGTH}}})"'
# Printable ASCII without the comma: an HTTP API joins repeated headers with one.
_KEY = rf"[\x20-\x2b\x2d-\x7e]{{1,{MAX_KEY_LENGTH}}}"
_QUOTED = '"[^"]*"'


def session_id(text: str, loc: list[str | int]) -> str:
    """Return `text` if it is a valid session id. Raises InvalidRequestError at `loc` if it is not."""
    if not 1 <= len(text) <= MAX_SESSION_ID_LENGTH:
        raise InvalidRequestError.at(
            loc, f"a session id has 1 to {MAX_SESSION_ID_LENGTH} characters", "session_id_length"
        )
    if text in (".", "..") or re.search(_NOT_IN_SESSION_ID, text) or re.search(_LONE_SURROGATE, text):
        raise InvalidRequestError.at(
            loc,
            r"a session id holds no control character and none of / \ ? # %, and is not . or ..",
            "session_id_characters",
        )
    return text


def user_id(text: str, loc: list[str | int]) -> str:
    """Return `text` if it is a valid user id. Raises InvalidRequestError at `loc` if it is not."""
    if not is_user_id(text):
        raise InvalidRequestError.at(loc, USER_ID_RULE, "user_id")
    return text


def listed_user_id(found: Mapping[str, str], name: str) -> str | None:
    """Return the parameter as the id of a user, None if absent. Raises InvalidRequestError if it cannot be one."""
    return user_id(found[name], ["query", name]) if name in found else None


def cursor(found: Mapping[str, str], name: str) -> str | None:
    """Return the parameter as an opaque cursor, None if absent. Raises InvalidRequestError if it cannot be one."""
    text = found.get(name)
    if text is not None and not re.fullmatch(_CURSOR, text):
        raise InvalidRequestError.at(["query", name], "must be the page.cursor of an earlier answer", "cursor")
    return text


def short_text(found: Mapping[str, str], name: str, most: int) -> str | None:
    """Return the parameter as an id of 1 to `most` characters, None if absent. Raises InvalidRequestError."""
    text = found.get(name)
    if text is not None and not (1 <= len(text) <= most and not re.search(_CONTROL, text)):
        raise InvalidRequestError.at(["query", name], f"has 1 to {most} characters, and no control character", "id")
    return text


def moment(found: Mapping[str, str], name: str) -> str | None:
    """Return the parameter as a time of ISO 8601 in UTC, None if absent. A date is its first moment in UTC.

    Raises InvalidRequestError if it is no time, a time without an offset, or one outside the years 1 to 9999 in UTC.
    """
    text = found.get(name)
    if text is None:
        return None
    try:
        if not re.fullmatch(_MOMENT, text):
            raise ValueError
        # In UTC, because PostgreSQL refuses an offset of 16 hours or more, which RFC 3339 allows.
        return datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00Z").astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise InvalidRequestError.at(
            ["query", name],
            "must be a time such as 2026-11-28T12:00:00Z, with + written as %2B, or a date such as 2026-11-28",
            "time",
        ) from None


def flag(found: Mapping[str, str], name: str) -> bool:
    """Return whether the parameter is `true`. It is false if absent. Raises InvalidRequestError for any other text."""
    text = found.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidRequestError.at(["query", name], "must be true or false", "flag")
    return text == "true"


def query(raw: str, allowed: Collection[str]) -> dict[str, str]:
    """Return the parameters of a raw query string.

    Raises MalformedRequestError if its percent-encoding cannot be decoded.
    Raises InvalidRequestError if a parameter is unknown or given more than once.
    """
    if re.search(_BAD_ESCAPE, raw):
        raise MalformedRequestError("the query string has a % that is not followed by two hexadecimal digits")
    found: dict[str, str] = {}
    errors: list[Violation] = []
    for pair in filter(None, raw.split("&")):
        name, _, value = (_decoded(part) for part in pair.replace("+", " ").partition("="))
        if name not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            errors.append(
                {"loc": ["query", name], "msg": f"unknown parameter; known: {known}", "type": "unknown_parameter"}
            )
        elif name in found:
            errors.append({"loc": ["query", name], "msg": "given more than once", "type": "repeated_parameter"})
        else:
            found[name] = value
    if errors:
        raise InvalidRequestError(errors)
    return found


def _decoded(text: str) -> str:
    if "%" not in text:
        return text
    pieces = text.split("%")
    try:
        data = pieces[0].encode() + b"".join(bytes.fromhex(piece[:2]) + piece[2:].encode() for piece in pieces[1:])
        return data.decode()
    except UnicodeError:
        raise MalformedRequestError("the query string is not UTF-8") from None


def whole_number(found: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    """Return the parameter as a whole number, None if absent. Raises InvalidRequestError if not in least..most."""
    text = found.get(name)
    return None if text is None else _whole_number(text, ["query", name], least, most)


def required_number(found: Mapping[str, str], name: str, least: int, most: int) -> int:
    """Return the parameter as a whole number. Raises InvalidRequestError if it is absent or not in least..most."""
    if name not in found:
        raise InvalidRequestError.at(["query", name], "is missing", "missing")
    return _whole_number(found[name], ["query", name], least, most)


def seq(text: str, loc: list[str | int]) -> int:
    """Return `text` as the seq of a turn. Raises InvalidRequestError at `loc` if it cannot be one."""
    return _whole_number(text, loc, 1, MAX_INTEGER)


def _whole_number(text: str, loc: list[str | int], least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
        raise InvalidRequestError.at(loc, f"must be a whole number from {least} to {most}", "whole_number")
    return int(text)


def exclude(found: Mapping[str, str], name: str, *others: str) -> None:
    """Raise InvalidRequestError if the request has a parameter together with one of the others."""
    for other in others:
        if name in found and other in found:
            raise InvalidRequestError.at(["query", other], f"cannot be combined with {name}", "exclusive_parameters")


def if_match(header: str | None) -> str | None:
    """Return the state in an If-Match header: `7` for a last seq, or `7.1f` for a whole entity tag.

    Returns None if the header is absent. Raises MalformedRequestError for any other syntax.
    """
    if header is None:
        return None
    found = re.fullmatch(_IF_MATCH, header.strip())
    if not found:
        raise MalformedRequestError(
            'If-Match must be one entity tag of the session, or the last seq in quotes: "7", or "0" for a new session'
        )
    return f"{int(found[1])}{found[2] or ''}"


def user_if_match(header: str | None) -> str | None:
    """Return the version in an If-Match header with a user's entity tag, None if the header is absent.

    Raises MalformedRequestError for any other syntax.
    """
    if header is None:
        return None
    found = re.fullmatch(_USER_TAG, header.strip())
    if not found:
        raise MalformedRequestError('If-Match must be one entity tag of the user, such as "5f3a"')
    return found[1]


def if_none_match(header: str | None) -> list[str]:
    """Return the entity tags of an If-None-Match header, or ["*"]. Treat weak tags as strong ones.

    Ignore a tag that cannot be parsed, because the only effect is a full answer instead of 304.
    """
    if header is None:
        return []
    return ["*"] if header.strip() == "*" else re.findall(_ENTITY_TAG, header)


def idempotency_key(header: str | None) -> str | None:
    """Return the key, or None if it is absent.

    Raises MalformedRequestError if the key is not 1 to 255 printable ASCII characters without a comma. A value with a
    comma may be two keys, because HTTP APIs join repeated headers.
    """
    if header is not None and not re.fullmatch(_KEY, header):
        raise MalformedRequestError(
            f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable ASCII characters"
            " without a comma, and be sent once"
        )
    return header


def content_type(header: str) -> None:
    """Raise UnsupportedMediaTypeError if a Content-Type header is not JSON, or if it was sent more than once."""
    if header == "application/json":
        return
    # HTTP APIs join repeated headers with a comma. A comma inside quotes belongs to a parameter.
    if "," in header and "," in re.sub(_QUOTED, "", header):
        raise UnsupportedMediaTypeError("Send Content-Type once, as application/json.")
    if header.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaTypeError


def content_encoding(header: str) -> None:
    """Raise UnsupportedMediaTypeError if a Content-Encoding header names an encoding."""
    if header and header.strip().lower() not in ("", "identity"):
        raise UnsupportedMediaTypeError(
            "Send the body as plain JSON, without Content-Encoding: encoded bodies are not supported."
        )
