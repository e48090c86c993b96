"""Parse a request's body into a JSON object, and check the rules for every JSON text."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any

from robot_brain.errors import InvalidRequestError, MalformedRequestError, RequestTooLargeError
from robot_brain.limits import MAX_NESTING, MAX_REQUEST_BYTES

# In JSON text: an escaped pair of surrogates, then an escape of NUL or of a surrogate.
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_FORBIDDEN_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
# Outside of its strings JSON text has only these characters: brackets, which become alike, and the rest.
_BRACKETS_ALONE = str.maketrans("{}", "[]", " \t\n\r,:+-.0123456789Eaeflnrstu")
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")
_NOT_ZERO = re.compile("[-0.]*[1-9]")
_BYTE_ORDER_MARK = "\ufeff"


def parse(body: str, is_base64: bool) -> dict[str, Any]:
    """Return the object in `body`. If a key is repeated, the last value counts. One leading byte order mark is ignored.

    Raises MalformedRequestError if the body is not valid base64, UTF-8 or JSON. Also raises it for NaN, infinity and
    any number that a double cannot represent.
    Raises RequestTooLargeError if the body is over 4 MiB.
    Raises InvalidRequestError for NUL, a lone surrogate, nesting over 64, or JSON that is not an object.
    """
    text = _text(body, is_base64)
    try:
        document = _DECODER.decode(text)
    except RecursionError:
        raise _too_deep([]) from None
    except ValueError as error:
        raise MalformedRequestError(_reason(error, text)) from None
    if not isinstance(document, dict):
        raise InvalidRequestError.at(["body"], "must be a JSON object", "object")
    # The walk takes a loop of Python for each value, so it is only for text that seems to break one of its rules.
    if _is_suspect(text):
        _walk(document)
    return document


def value_of(text: str) -> Any:
    """Return the value of a short JSON text, or None if `parse` would refuse it."""
    try:
        return None if _FORBIDDEN.search(text) or _is_suspect(text) else _DECODER.decode(text)
    except (RecursionError, ValueError):
        return None


def _text(body: str, is_base64: bool) -> str:
    try:
        data = base64.b64decode(body, validate=True) if is_base64 else body.encode()
    except (binascii.Error, ValueError):
        raise MalformedRequestError("the body is not valid base64" if is_base64 else "the body is not UTF-8") from None
    if len(data) > MAX_REQUEST_BYTES:
        raise RequestTooLargeError
    if is_base64:
        try:
            body = data.decode()
        except UnicodeDecodeError:
            raise MalformedRequestError("the body is not UTF-8") from None
    # RFC 8259 allows a parser to ignore the mark, which editors on Windows put before a text.
    return body.removeprefix(_BYTE_ORDER_MARK)


def _reason(error: ValueError, text: str) -> str:
    """Return what is wrong with `text`, and at which position, without a quote from the text."""
    if not text.strip():
        return "the body is not JSON: it is empty"
    if not isinstance(error, json.JSONDecodeError):
        return f"the body cannot be read: {error}"
    # Some of the decoder's messages already end in "at", "starting at" or a colon.
    return f"the body is not JSON: {error.msg.removesuffix(' at').rstrip(': ')} at character {error.pos}"


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is too large for a double")
    # The double is zero, but the text has another digit than 0 before its exponent: the number would be lost.
    if not value and _NOT_ZERO.match(text):
        raise ValueError("a number is too near to zero for a double")
    return value


def _integer(text: str) -> int:
    # A double has at most 309 digits before its point.
    if len(text) > 300 and (len(text) > 310 or math.isinf(float(text))):
        raise ValueError("a number is too large for a double")
    return int(text)


_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_constant)


def _too_deep(loc: list[str | int]) -> InvalidRequestError:
    return InvalidRequestError.at(["body", *loc][:8], f"is nested deeper than {MAX_NESTING}", "nesting")


def _is_suspect(text: str) -> bool:
    """Return whether valid JSON has an escape of NUL or of a lone surrogate, or is nested too deep.

    If a key is repeated, the text may have more than the parsed document. Each step here runs in C.
    """
    if "\\" in text:
        # Take escaped backslashes away. Each backslash that is left begins an escape.
        text = text.replace("\\\\", "_")
        if "\\u" in text and _FORBIDDEN_ESCAPE.search(_PAIR.sub("_", text)):
            return True
    if text.count("{") + text.count("[") <= MAX_NESTING:
        return False
    outside = "".join(text.replace('\\"', "_").split('"')[::2])
    brackets = outside.translate(_BRACKETS_ALONE)
    # Each pass removes the innermost pairs of brackets, and no others.
    for _ in range(MAX_NESTING):
        brackets = brackets.replace("[]", "")
    return bool(brackets)


def _walk(document: dict[str, Any]) -> None:
    """Raise InvalidRequestError for NUL, a lone surrogate or nesting over 64, each with its place."""
    pending: list[tuple[Any, list[str | int]]] = [(document, [])]
    while pending:
        value, loc = pending.pop()
        if isinstance(value, str):
            if _FORBIDDEN.search(value):
                raise InvalidRequestError.at(["body", *loc], "contains NUL or a lone surrogate", "forbidden_character")
        elif isinstance(value, dict):
            if len(loc) >= MAX_NESTING:
                raise _too_deep(loc)
            for key, member in value.items():
                if _FORBIDDEN.search(key):
                    raise InvalidRequestError.at(
                        ["body", *loc], "has a key with NUL or a lone surrogate", "forbidden_character"
                    )
                pending.append((member, [*loc, key]))
        elif isinstance(value, list):
            if len(loc) >= MAX_NESTING:
                raise _too_deep(loc)
            pending.extend((member, [*loc, index]) for index, member in enumerate(value))
