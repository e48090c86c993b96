"""Compile bodies into literals for pydantic_core, so that the layer validates without the package pydantic.

At a cold start, Pydantic's models and adapters take four times as long as a literal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter

_HEAD = '''"""Bodies of requests as schemas of pydantic_core. Written by `make contract` from contract/: do not edit."""

from typing import Any

{imports}
'''
# Pydantic adds these for itself. The core does not use them to validate.
_LEFT_OUT = {"cls", "computed_fields", "metadata", "ref"}
_WIDTH = 120
_CHECKS = ("robot_brain.bodies.personal", "robot_brain.bodies.sizes")


class CompileError(Exception):
    """A body contains something that the compiler does not support."""


class _Name(str):
    """A Python name, written without quotes."""


def compile_bodies(bodies: tuple[Any, ...]) -> str:
    """Return the source of a module with a schema for each of `bodies`, and for each form nested in a body.

    Raises CompileError if a schema uses a function outside the modules of checks, or if a form is recursive.
    """
    compiler = _Compiler()
    for body in bodies:
        compiler.add(TypeAdapter(body).core_schema)
    imports = [
        f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(compiler.functions.items())
    ]
    text = _HEAD.format(imports="\n".join(imports))
    for name, schema in compiler.constants.items():
        text += f"\n{name}: Any = {_written(schema, 0, len(name) + 7)}\n"
    return text


class _Compiler:
    """Collects a constant for each form, nested ones first, and the functions that the forms call."""

    def __init__(self) -> None:
        self.constants: dict[str, Any] = {}
        # The names of the functions by their module.
        self.functions: dict[str, set[str]] = {}
        self._definitions: dict[str, Any] = {}

    def add(self, schema: Mapping[str, Any]) -> _Name:
        """Add the schema of a form and return its name."""
        if schema["type"] == "definitions":
            # Pydantic puts forms here that are used twice, or that contain themselves.
            self._definitions |= {each["ref"]: each for each in schema["definitions"]}
            return self.add(schema["schema"])
        if schema["type"] == "definition-ref":
            return self._defined(schema["schema_ref"])
        if schema["type"] != "typed-dict":
            raise CompileError(f"a body must be a TypedDict, not {schema['type']}")
        name = _Name(re.sub("(?<=[a-z])(?=[A-Z])", "_", schema["cls"].__name__).upper())
        fields = {field: self._converted(each) for field, each in schema["fields"].items()}
        rest = {key: self._converted(value) for key, value in schema.items() if key not in {*_LEFT_OUT, "fields"}}
        rest["config"].pop("title")
        converted = {"type": rest.pop("type"), "fields": fields, **rest}
        if self.constants.setdefault(name, converted) != converted:
            raise CompileError(f"two forms have the name {schema['cls'].__name__}")
        return name

    def _converted(self, value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("type") in ("typed-dict", "definition-ref"):
                return self.add(value)
            return {key: self._converted(each) for key, each in value.items() if key not in _LEFT_OUT}
        if isinstance(value, list):
            return [self._converted(each) for each in value]
        if callable(value):
            return self._function(value)
        if isinstance(value, str | int | float | None):
            return value
        raise CompileError(f"cannot write {value!r} as a literal")

    def _defined(self, ref: str) -> _Name:
        definition = self._definitions.pop(ref, None)
        if definition is None:
            raise CompileError(f"{ref.partition(':')[0]} contains itself")
        name = self.add(definition)
        self._definitions[ref] = definition
        return name

    def _function(self, function: Callable[..., Any]) -> _Name:
        if function is dict:
            return _Name("dict")
        if function.__module__ not in _CHECKS:
            raise CompileError(f"{function.__module__}.{function.__name__} is not in {' or '.join(_CHECKS)}")
        self.functions.setdefault(function.__module__, set()).add(function.__name__)
        return _Name(function.__name__)


def _written(value: Any, indent: int, before: int) -> str:
    """Return `value` as Python in ruff's format. `before` is the number of characters before it on its line."""
    if isinstance(value, dict):
        parts = [(f"{json.dumps(key)}: ", each) for key, each in value.items()]
        opening, closing = "{", "}"
    elif isinstance(value, list):
        parts = [("", each) for each in value]
        opening, closing = "[", "]"
    elif isinstance(value, _Name):
        return str(value)
    else:
        return json.dumps(value) if isinstance(value, str) else repr(value)
    line = opening + ", ".join(label + _written(each, 0, -(10**6)) for label, each in parts) + closing
    # Inside another value one more character follows: a comma.
    if before + len(line) + (1 if indent else 0) <= _WIDTH:
        return line
    inner = " " * (indent + 4)
    lines = [f"{inner}{label}{_written(each, indent + 4, indent + 4 + len(label))}," for label, each in parts]
    return "\n".join([opening, *lines, " " * indent + closing])
