"""The state of this process, an execution environment of Lambda: all of it is here, and only here.

Each other module defines what it needs and keeps it with `made`: settings, connection, patterns, logger, metrics.
A test starts another environment with other variables: it replaces `current`. So write `environment.current`, and never
import `current` itself.

No lock: Lambda sends one request at a time. A helper thread may log, nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

_Made = TypeVar("_Made")


class Environment:
    """The variables, the objects that live as long as the process, and what the running request has to log."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        # By what made them.
        self.objects: dict[Callable[[], Any], Any] = {}
        # Until the first request or event has ended.
        self.cold = True
        # Of the running request: the fields of its one line, and its metrics in Powertools' form.
        self.fields: dict[str, object] = {}
        self.measures: dict[str, dict[str, str | list[float]]] = {}

    def made(self, make: Callable[[], _Made]) -> _Made:
        """Return what `make` makes, which is made once. What `make` raises is raised, and the next call tries again."""
        if make not in self.objects:
            self.objects[make] = make()
        found: _Made = self.objects[make]
        return found


# `os.environ` itself, not a copy: a restored SnapStart environment has other credentials than its snapshot had.
current = Environment(os.environ)
