"""The functions behind a relay that loses answers, and what happens between an attempt and its retry."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from tests.model.request import KNOWS_CALLERS
from tests.support.bundle import deployed
from tests.support.neon.relay import FaultRelay
from tests.support.servers.databases import APP, Database


class Between:
    """Statements that run before the next connection to the server, thus between an attempt and its retry."""

    def __init__(self, database: Database) -> None:
        self.statements: list[str] = []
        self._database = database

    def run(self) -> None:
        """Run the statements, once."""
        statements, self.statements = self.statements, []
        if statements:
            with self._database.app() as app:
                for statement in statements:
                    app.execute(statement.encode())


@contextmanager
def relayed(database: Database, tenant: str) -> Iterator[tuple[FaultRelay, Between]]:
    """Deploy the functions behind a relay, which runs statements before it lets a connection through."""
    between = Between(database)
    with ThreadPoolExecutor(1) as threads:

        def admit() -> Future[None]:
            return threads.submit(between.run)

        with FaultRelay(f"{database.postgres.address.host}/.s.PGSQL.5432", admit=admit) as relay:
            url = f"postgresql://{APP}@127.0.0.1:{relay.port}/{database.name}"
            with deployed({**KNOWS_CALLERS, "DATABASE_URL": url, "TENANT_ID": tenant}):
                yield relay, between
