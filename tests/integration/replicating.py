"""Run the commands of docs/replication.md between two servers."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.settings import ROOT
from ops.migrate import migrate
from tests.integration.plain_dumps import programs
from tests.support.servers.authority import Authority
from tests.support.servers.databases import Database, create_database, set_app_login
from tests.support.servers.postgres import MIGRATOR, SUPERUSER, Postgres, start_embedded, start_tls

DOCUMENT = ROOT / "docs" / "replication.md"
NAME = "brain"
# What the document asks for. The other servers of the tests have neither.
SETTINGS = {"wal_level": "logical", "max_wal_senders": "20", "max_replication_slots": "20"}
_CONNECTION = "postgresql://owner:password@old-host/brain"
_BLOCK = re.compile(r"(?P<above>[^\n]+):\n\n```(?P<kind>sh|sql)\n(?P<text>.*?)```", re.S)


@dataclass(frozen=True)
class Move:
    """Two servers, and the role whose subscription copies the rows: a superuser, or the role that migrates."""

    old: Database
    new: Database
    subscriber: str

    @property
    def as_superuser(self) -> bool:
        """Whether a superuser owns the subscription."""
        return self.subscriber == SUPERUSER

    def run(self, heading: str) -> None:
        """Run the commands below a heading of the document, in their order."""
        for above, kind, text in commands(heading):
            if kind == "sh":
                for line in text.splitlines():
                    self.operate(line)
            elif "old database" in above:
                self.sql(self.old, MIGRATOR, text)
            elif self._applies(above):
                self.sql(self.new, self.subscriber, text)

    def _applies(self, above: str) -> bool:
        """Return whether a command for the new database is for its version and role."""
        if "without a superuser" in above:
            return not self.as_superuser
        if "PostgreSQL 15" in above:
            return self.new.postgres.version < 16
        return "PostgreSQL 16" not in above or self.new.postgres.version >= 16

    def operate(self, command: str) -> None:
        """Run a `make …` of the document on the new database, by the role that migrates."""
        words = command.split()
        assert words[0] == "make"
        name = words[1] if words[1] != "ops" else words[2].removeprefix("DO=")
        subprocess.run(
            [sys.executable, "-m", "ops", name],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath), "DIRECT_DATABASE_URL": self.new.direct_url},
            check=True,
        )

    def sql(self, database: Database, role: str, text: str) -> str:
        """Run SQL with psql, and return what it prints."""
        server = database.postgres
        url = server.admin_url(NAME) if role == SUPERUSER else server.direct_url(NAME)
        return psql(server, url, text.replace(_CONNECTION, self.connection()))

    def connection(self) -> str:
        """Return the connection string of the old database for the new server."""
        url = self.old.direct_url
        if self.old.postgres.kind == "tls" and self.new.postgres.kind == "embedded":
            # The servers of PyPI have no TLS.
            return url.partition("?")[0] + "?sslmode=disable"
        return url


def psql(server: Postgres, url: str, text: str) -> str:
    """Run SQL with psql on a new connection, and return what it prints."""
    command = [str(programs(server) / "psql"), "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-f", "-", url]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    return done.stdout


def commands(heading: str, document: Path = DOCUMENT) -> list[tuple[str, str, str]]:
    """Return the blocks below a heading of a document: the line above, the kind, and the text.

    Those that need AWS are left out.
    """
    _, _, rest = document.read_text(encoding="utf-8").partition(f"# {heading}\n")
    assert rest, heading
    section = re.split(r"^##", rest, maxsplit=1, flags=re.M)[0]
    found = [(each["above"].rpartition("\n")[2], each["kind"], each["text"]) for each in _BLOCK.finditer(section)]
    unverified = section.count("\nUnverified: ")
    assert len(found) + unverified == section.count("```sql") + section.count("```sh"), (
        "a line above a block must end with a colon"
    )
    return found


@contextmanager
def servers(old: str, new: str, authority: Authority) -> Iterator[tuple[Postgres, Postgres]]:
    """Run two servers for logical replication."""
    one = _start(old, authority)
    try:
        other = _start(new, authority)
        try:
            yield one, other
        finally:
            other.stop()
    finally:
        one.stop()


def _start(kind: str, authority: Authority) -> Postgres:
    if kind == "embedded":
        return start_embedded(settings=SETTINGS)
    server = start_tls(authority, SETTINGS)
    with (server.folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 127.0.0.1/32 scram-sha-256\n")
    with server.admin() as admin:
        admin.execute("select pg_reload_conf()")
    return server


def make_move(old: Postgres, new: Postgres, subscriber: str) -> Move:
    """Make a migrated old database with a login, and an empty new one."""
    databases = []
    for server in (old, new):
        with server.admin() as admin:
            # As the role of Neon's console.
            admin.execute(f"alter role {MIGRATOR} bypassrls replication".encode())
            if server.version >= 16:
                admin.execute(f"grant pg_create_subscription to {MIGRATOR}".encode())
            create_database(admin, NAME)
        password = server.migrator_password
        app_url = server.address.url("robot_brain_app_a", password, NAME)
        databases.append(Database(server.kind, NAME, app_url, server.direct_url(NAME), server))
    migrate(databases[0].direct_url)
    with old.admin() as admin:
        set_app_login(admin, old.migrator_password)
    return Move(databases[0], databases[1], subscriber)
