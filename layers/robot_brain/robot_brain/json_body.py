"""A request's body as a JSON object, under the rules that hold for every JSON text we accept."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any

from robot_brain.errors import InvalidRequestError, MalformedRequestError, RequestTooLargeError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64

_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")


def parse(body: str, is_base64: bool) -> dict[str, Any]:
    """Return the object that `body` holds; of a repeated key the last counts.

    Raise MalformedRequestError for what is not UTF-8, base64 or JSON, and for numbers that are NaN, infinite or beyond
    a double; RequestTooLargeError over 4 MiB; InvalidRequestError for NUL, lone surrogates, nesting over 64, and for
    JSON that is not an object.
    """
    text = _text(body, is_base64)
    try:
        document = _DECODER.decode(text)
    except RecursionError:
        raise _too_deep([]) from None
    except ValueError as error:
        # The message of a JSONDecodeError says what and where, and quotes nothing.
        reason = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise MalformedRequestError(f"the body is not JSON: {reason}") from None
    if not isinstance(document, dict):
        raise InvalidRequestError.at(["body"], "must be a JSON object", "object")
    # NUL and surrogates can only come from an escape, and depth only from brackets: most bodies need no walk.
    if "\\u" in text or text.count("{") + text.count("[") > MAX_DEPTH:
        _walk(document)
    return document


def _text(body: str, is_base64: bool) -> str:
    try:
        data = base64.b64decode(body, validate=True) if is_base64 else body.encode()
    except (binascii.Error, ValueError):
        raise MalformedRequestError("the body is not valid base64" if is_base64 else "the body is not UTF-8") from None
    if len(data) > MAX_BYTES:
        raise RequestTooLargeError
    if not is_base64:
        return body
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedRequestError("the body is not UTF-8") from None


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is beyond a double")
    return value


def _integer(text: str) -> int:
    # 309 digits are the most that a double can have before its point.
    if len(text) > 300 and (len(text) > 310 or math.isinf(float(text))):
        raise ValueError("a number is beyond a double")
    return int(text)


_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_constant)


def _too_deep(loc: list[str | int]) -> InvalidRequestError:
    return InvalidRequestError.at(["body", *loc][:8], f"is nested deeper than {MAX_DEPTH}", "nesting")


def _walk(document: dict[str, Any]) -> None:
    pending: list[tuple[Any, list[str | int]]] = [(document, [])]
    while pending:
        value, loc = pending.pop()
        if isinstance(value, str):
            if _FORBIDDEN.search(value):
                raise InvalidRequestError.at(["body", *loc], "holds NUL or a lone surrogate", "forbidden_character")
        elif isinstance(value, dict):
            if len(loc) >= MAX_DEPTH:
                raise _too_deep(loc)
            for key, member in value.items():
                if _FORBIDDEN.search(key):
                    raise InvalidRequestError.at(
                        ["body", *loc], "has a key with NUL or a lone surrogate", "forbidden_character"
                    )
                pending.append((member, [*loc, key]))
        elif isinstance(value, list):
            if len(loc) >= MAX_DEPTH:
                raise _too_deep(loc)
            pending.extend((member, [*loc, index]) for index, member in enumerate(value))
