"""The environments that are asked while the password rotates, and the connections of the login roles meanwhile."""

import itertools
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from local.settings import ROOT
from tests.support.servers.databases import Database

LOGINS = "robot_brain_app%"
_OPEN = """
select usename, count(*) from pg_stat_activity
where usename like %s and backend_type = 'client backend' group by usename
"""


@dataclass
class Fleet:
    """The environments of a run, and their answers. `period` is the seconds between two requests of one of them."""

    period: float
    answers: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _names: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def start(
        self, variables: Mapping[str, str], number: int, period: float | None = None
    ) -> "list[subprocess.Popen[str]]":
        """Start environments. Return their processes, which `stop` ends."""
        path = os.pathsep.join(str(ROOT / folder) for folder in ("functions", "layers/robot_brain", "."))
        started = []
        for _ in range(number):
            name = f"rotation-{next(self._names)}"
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.rotation_client", name, str(period or self.period)],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            thread = threading.Thread(target=self._read, args=(name, process))
            thread.start()
            self._threads.append(thread)
            started.append(process)
        return started

    def stop(self, processes: "list[subprocess.Popen[str]]") -> None:
        """Let environments end after their present request, and wait for that."""
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in processes:
            process.wait(60)

    def join(self) -> None:
        """Wait until the answers of all ended environments are read."""
        for thread in self._threads:
            thread.join()

    def _read(self, name: str, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.answers += [{**json.loads(line), "name": name} for line in process.stdout]
        if process.wait():
            self.broken.append(f"{name} ended with {process.returncode}")


class Samples:
    """The connections of all login roles, looked at again and again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.most: Counter[str] = Counter()
        self.most_of_all = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Look until the block ends."""
        ended = threading.Event()
        thread = threading.Thread(target=self._look, args=(ended,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _look(self, ended: threading.Event) -> None:
        with self._database.admin() as admin:
            while not ended.wait(0.1):
                found: dict[str, int] = dict(admin.execute(_OPEN, [LOGINS]).fetchall())
                self.most_of_all = max(self.most_of_all, sum(found.values()))
                for role, count in found.items():
                    self.most[role] = max(self.most[role], count)
