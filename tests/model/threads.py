"""Threads that run at the same time, each in an environment of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from robot_brain import environment
from robot_brain.database.connection import LazyConnection, lazy_connection
from robot_brain.environment import Environment


class _EnvironmentOfThread(Environment, threading.local):
    """An environment for each thread: a thread that uses it first gets a new one with the same variables."""


def in_threads(work: list[Callable[[], None]]) -> None:
    """Run all functions at the same time, each in an environment of its own. Raises the first failure."""
    failures: list[BaseException] = []
    before = environment.current

    def one(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)
        finally:
            if LazyConnection in environment.current.objects:
                lazy_connection().discard()

    environment.current = _EnvironmentOfThread(before.variables)
    try:
        threads = [threading.Thread(target=one, args=(function,)) for function in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        environment.current = before
    if failures:
        raise failures[0]
