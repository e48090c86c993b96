"""The document docs/openapi.json, and a check of values against its schemas."""

import json
from typing import Any

from jsonschema import Draft202012Validator

from local.settings import ROOT

Json = dict[str, Any]

DOCUMENT: Json = json.loads((ROOT / "docs" / "openapi.json").read_text())

_METHODS = ("get", "head", "post", "put", "patch", "delete")


def operations() -> dict[str, Json]:
    """Return each operation under its route, such as `GET /stats`."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
    }


def resolved(node: Json) -> Json:
    """Return what a reference names. Return any other node unchanged."""
    if "$ref" not in node:
        return node
    found = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def errors_of(schema: Json, value: Any) -> list[str]:
    """Return why `value` does not fit a schema of the document."""
    whole = schema | {"components": DOCUMENT["components"]}
    validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
