"""A login whose password a test changes, with a secret that holds its URL."""

import json
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.aws import secrets_manager
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.databases import Database

# The login of these tests. All other tests log in as robot_brain_app_a.
LOGIN = "robot_brain_app_b"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


class Rotated:
    """LOGIN of one database, whose password a test changes, and a secret that holds its URL."""

    def __init__(self, database: Database, client: Any, arn: str) -> None:
        self.database = database
        self.client = client
        self.arn = arn

    def execute(self, statement: str) -> None:
        with self.database.admin() as admin:
            admin.execute(statement.encode())

    def new_password(self) -> str:
        """Give LOGIN another password, and return its URL."""
        password = secrets.token_urlsafe(24)
        self.execute(f"alter role {LOGIN} login password '{password}'")
        parts = psycopg.conninfo.conninfo_to_dict(self.database.app_url)
        return self.database.app_url.replace(f"{parts['user']}:{parts['password']}@", f"{LOGIN}:{password}@")

    def store(self, url: str) -> None:
        """Write a URL into the secret."""
        self.client.put_secret_value(SecretId=self.arn, SecretString=json.dumps({"DATABASE_URL": url, "other": "x"}))

    def end_connections(self) -> None:
        """End the connections of LOGIN in PostgreSQL. A client of a pooler stays connected to the pooler."""
        self.execute(f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = '{LOGIN}'")

    def variables(self, url: str) -> Mapping[str, str]:
        """Return the functions' environment, with Secrets Manager at `url`."""
        return {"DATABASE_SECRET_ARN": self.arn, "AWS_ENDPOINT_URL_SECRETS_MANAGER": url, **KEYS}


@contextmanager
def rotated_login(database: Database, moto: str) -> Iterator[Rotated]:
    """Yield LOGIN with a secret of its own. Afterwards it cannot log in, as a migration made it."""
    client = secrets_manager(moto)
    arn = client.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString="{}")["ARN"]
    made = Rotated(database, client, arn)
    yield made
    made.execute(f"alter role {LOGIN} nologin password null")
    made.end_connections()


@contextmanager
def warm(rotated: Rotated, url: str, **more: str) -> Iterator[Bundle]:
    """Yield an environment that has a connection as LOGIN, and a session `s` with one turn."""
    rotated.store(rotated.new_password())
    with deployed({**rotated.variables(url), **more}) as functions:
        assert functions.write("s", turn()).status == 201
        yield functions


def kept(_: Rotated, __: Bundle) -> None:
    """Leave the environment its open connection."""


def ended(rotated: Rotated, _: Bundle) -> None:
    """End the connection in the server. A pooler has to log in again, with what it remembers."""
    rotated.end_connections()


def idle(_: Rotated, __: Bundle) -> None:
    """Let the connection become too old to be used again (DB_IDLE_TIMEOUT is 1 ms)."""
    time.sleep(0.01)


ENDS: dict[str, tuple[Callable[[Rotated, Bundle], None], dict[str, str]]] = {
    "kept": (kept, {}),
    "ended": (ended, {}),
    "idle": (idle, {"DB_IDLE_TIMEOUT": "1"}),
}


# PgBouncer keeps a client waiting if the server refuses the pooler's own login, and gives no answer. Two roles in turn
# avoid this: see test_no_request_fails_if_the_old_role_loses_its_rights.
ENDINGS = [(kind, end) for kind in ("tls", "pooled") for end in ENDS if (kind, end) != ("pooled", "ended")]
