"""Parse what a request looks for: texts, choices and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from robot_brain.errors import InvalidRequestError
from robot_brain.http import json_body
from robot_brain.limits import MAX_FILTER_LENGTH, MAX_NESTING, MAX_PATH_LENGTH

_FORBIDDEN = "[\x00\ud800-\udfff]"


def text(found: Mapping[str, str], name: str, most: int) -> str | None:
    """Return the parameter as a text of 1 to `most` code points, None if absent. Raises InvalidRequestError."""
    value = found.get(name)
    if value is not None and not (1 <= len(value) <= most and not re.search(_FORBIDDEN, value)):
        raise InvalidRequestError.at(
            ["query", name], f"has 1 to {most} characters, and no NUL or lone surrogate", "text"
        )
    return value


def required_text(found: Mapping[str, str], name: str, most: int) -> str:
    """Return the parameter as `text` does. Raises InvalidRequestError also if it is absent."""
    value = text(found, name, most)
    if value is None:
        raise InvalidRequestError.at(["query", name], "is missing", "missing")
    return value


def choice(found: Mapping[str, str], name: str, *words: str) -> str | None:
    """Return the parameter if it is one of `words`, None if absent. Raises InvalidRequestError for any other text."""
    value = found.get(name)
    if value is not None and value not in words:
        raise InvalidRequestError.at(["query", name], f"must be {' or '.join(words)}", "choice")
    return value


def json_object(found: Mapping[str, str], name: str, most: int) -> dict[str, Any] | None:
    """Return the parameter as a JSON object of at most `most` code points, None if absent. It has a member.

    Raises InvalidRequestError for any other text, and for what `json_body.parse` refuses.
    """
    value = found.get(name)
    if value is None:
        return None
    # A text of this length cannot be nested so deep that the parser gives up.
    parsed = json_body.value_of(value) if len(value) <= most else None
    if not isinstance(parsed, dict) or not parsed:
        raise InvalidRequestError.at(
            ["query", name],
            f"must be a JSON object with a member, of at most {most} characters. Its numbers fit into a double, its "
            f"texts have no NUL or lone surrogate, and it is nested {MAX_NESTING} deep at most",
            "json_object",
        )
    return parsed


def metadata_filters(found: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the parameters `metadata`, the text of a JSON object, and `path`. Raises InvalidRequestError."""
    metadata = json_object(found, "metadata", MAX_FILTER_LENGTH)
    return None if metadata is None else json.dumps(metadata), text(found, "path", MAX_PATH_LENGTH)


def scalars(found: Mapping[str, str], name: str, most: int) -> str | None:
    """Return the parameter as the text of a JSON object, None if absent. No value of it is an object or array.

    Raises InvalidRequestError for anything else.
    """
    parsed = json_object(found, name, most)
    if parsed is None:
        return None
    if any(isinstance(value, dict | list) for value in parsed.values()):
        raise InvalidRequestError.at(["query", name], "has a value that is an object or an array", "scalars")
    return json.dumps(parsed)
