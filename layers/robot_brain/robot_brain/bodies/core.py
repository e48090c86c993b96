"""Import only the extension module of pydantic_core, without the Python package around it.

The package's own __init__ builds about a hundred TypedDicts that only type checkers use. They take 11 of the 181 ms of
a write's imports, and we use three names. The module gets its usual name, so that a later `import pydantic_core` finds
the same one.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import PydanticCustomError, SchemaValidator, ValidationError

__all__ = ["PydanticCustomError", "SchemaValidator", "ValidationError"]


def _extension() -> ModuleType:
    """Return the extension module. Raises ImportError if it is missing, or not built for this Python and processor."""
    name = "pydantic_core._pydantic_core"
    if name not in sys.modules:
        package = find_spec("pydantic_core")
        spec = package and PathFinder.find_spec(name, package.submodule_search_locations)
        if not spec or not spec.loader:
            raise ImportError(f"{name} is missing, or not built for this Python", name=name)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


if not TYPE_CHECKING:
    _found = _extension()
    PydanticCustomError = _found.PydanticCustomError
    SchemaValidator = _found.SchemaValidator
    ValidationError = _found.ValidationError
