"""Pydantic's core without the package around it.

`import pydantic_core` also loads `pydantic_core.core_schema`: types for programs that write schemas, and 15 ms of each
cold start. Ours are written by `make contract`, so only the extension module is loaded. A later `import pydantic_core`
of anybody finds the same extension and is whole.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = ["PydanticCustomError", "SchemaValidator", "ValidationError", "to_json"]

_PACKAGE = "pydantic_core"


def _load() -> None:
    """Import the extension module with an empty package in place of its own. Raises ImportError."""
    if f"{_PACKAGE}._pydantic_core" in sys.modules:
        return
    found = PathFinder.find_spec(_PACKAGE)
    if found is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    package = ModuleType(_PACKAGE)
    package.__path__ = list(found.submodule_search_locations or [])
    sys.modules[_PACKAGE] = package
    try:
        pass
    finally:
        del sys.modules[_PACKAGE]


if TYPE_CHECKING:
    from pydantic_core import PydanticCustomError, SchemaValidator, ValidationError, to_json
else:
    _load()
    _core = sys.modules[f"{_PACKAGE}._pydantic_core"]
    PydanticCustomError = _core.PydanticCustomError
    SchemaValidator = _core.SchemaValidator
    ValidationError = _core.ValidationError
    to_json = _core.to_json
