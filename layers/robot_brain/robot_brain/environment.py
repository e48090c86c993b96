"""The state of this process, which is one execution environment of Lambda. No other module holds state.

Other modules define functions that make an object, and store the object here with `made`: settings, connection,
patterns, logger and metrics.
A test replaces `current` to start another environment with other variables. So write `environment.current`, and never
import `current` itself.

There is no lock, because Lambda sends one request at a time. A helper thread may only log.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

_Made = TypeVar("_Made")


class Environment:
    """The variables, the objects that live as long as the process, and the log fields of the running request."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        # Each object under the function that made it.
        self.objects: dict[Callable[[], Any], Any] = {}
        # True until the first request or event has ended.
        self.cold = True
        # The fields of the running request's one line, and its metrics in Powertools' form.
        self.fields: dict[str, object] = {}
        self.measures: dict[str, dict[str, str | list[float]]] = {}

    def made(self, make: Callable[[], _Made]) -> _Made:
        """Return the result of `make`, which runs once. If it raises, raise its error; the next call runs it again."""
        if make not in self.objects:
            self.objects[make] = make()
        found: _Made = self.objects[make]
        return found


# `os.environ` itself, not a copy: an environment restored by SnapStart has other credentials than its snapshot.
current = Environment(os.environ)
