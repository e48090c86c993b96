"""Through a pooler in transaction mode a command cannot hold its lock. It says so, and leaves no lock in the pool."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from psycopg import sql

from ops.app_password import rotate
from ops.apply_files import LOCK
from ops.audit_chains import verify_chains
from ops.direct import connect
from ops.errors import MigrationError
from ops.migrate import migrate, plan
from ops.only_one import assert_held, only_one
from ops.recount import recount
from tests.integration.migrations import FILES, recorded
from tests.support.marks import over_tls
from tests.support.servers.databases import Database, create_database, drop_database
from tests.support.servers.pgbouncer import POOL_SIZE, PgBouncer
from tests.support.servers.postgres import MIGRATOR

pytestmark = over_tls

REFUSED = "^DIRECT_DATABASE_URL leads to a pooler in transaction mode, .*use the address of PostgreSQL itself"
ADVISORY = """
select count(*) from pg_locks
where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
"""
# What a command may leave behind on a connection that the next client gets.
SETTINGS = "select session_user, current_user, current_setting('row_security'), current_setting('statement_timeout')"
COMMANDS: dict[str, Callable[[str], object]] = {
    "migrate": migrate,
    "plan": plan,
    "recount": lambda url: list(recount(url)),
    "recount as a dry run": lambda url: list(recount(url, dry_run=True)),
}


def pooled(pooler: PgBouncer, database: str) -> str:
    return pooler.address.url(MIGRATOR, pooler.postgres.migrator_password, database)


@contextmanager
def configured(pooler: PgBouncer, **settings: object) -> Iterator[None]:
    """Change settings of the pooler during the block."""
    usual = {"server_round_robin": 0, "default_pool_size": POOL_SIZE, "pool_mode": "transaction"}
    with pooler.console() as console:
        try:
            for name, value in settings.items():
                console.execute(f"set {name} = {value}".encode())
            yield
        finally:
            for name in settings:
                console.execute(f"set {name} = {usual[name]}".encode())


def fill(url: str, connections: int) -> None:
    """Make the pool open this many connections to the server. All are idle afterwards."""
    with ExitStack() as stack:
        clients = [stack.enter_context(psycopg.connect(url, prepare_threshold=None)) for _ in range(connections)]
        assert len({client.execute("select pg_backend_pid()").fetchone() for client in clients}) == connections


@pytest.fixture(params=["one that exists", "three, newest first", "three in turn", "four in turn", "a pool of one"])
def through(request: pytest.FixtureRequest, pooler: PgBouncer, database: Database) -> Iterator[str]:
    """The migrating role's URL through the pooler in transaction mode, with this many connections to the server."""
    url = pooled(pooler, database.name)
    settings = {"in turn": {"server_round_robin": 1}, "of one": {"default_pool_size": 1}}
    with configured(pooler, **next((value for name, value in settings.items() if name in request.param), {})):
        fill(url, {"three": 3, "four,": 4, "four": 4}.get(request.param.split()[0].rstrip(","), 1))
        yield url


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_needs_a_lock_refuses_a_pooler_in_transaction_mode_and_leaves_nothing_in_the_pool(
    through: str, database: Database, command: str
) -> None:
    with psycopg.connect(through, autocommit=True) as client:
        before = client.execute(SETTINGS).fetchone()
    with database.admin() as admin:
        admin.execute("drop function robot_brain_api.health")
        with pytest.raises(MigrationError, match=REFUSED):
            COMMANDS[command](through)
        assert admin.execute("select to_regproc('robot_brain_api.health')").fetchone() == (None,)
        assert admin.execute(ADVISORY).fetchone() == (0,)
    with psycopg.connect(through, autocommit=True, prepare_threshold=None) as client:
        assert {client.execute(SETTINGS).fetchone() for _ in range(12)} == {before}
    # The pool serves the direct migration no lock, so it has nothing to wait for.
    assert migrate(database.direct_url) == ["functions/robot_brain_api/health"]


@pytest.mark.parametrize("connections", [1, POOL_SIZE])
def test_a_pooler_in_session_mode_serves_migrations_and_recounts(
    pooler: PgBouncer, database: Database, connections: int
) -> None:
    # In a pool of one the second connection of each command gets no answer, which takes 3 s.
    with configured(pooler, pool_mode="session", default_pool_size=connections), database.admin() as admin:
        name = f"{database.name}_session"
        create_database(admin, name)
        try:
            url = pooled(pooler, name)
            assert migrate(url) == FILES
            if connections > 1:
                assert [plan(url), migrate(url), list(recount(url))] == [[], [], []]
            with database.postgres.admin(name) as looking:
                assert recorded(looking) == FILES
                assert looking.execute(ADVISORY).fetchone() == (0,)
        finally:
            drop_database(admin, name)


@pytest.mark.parametrize("in_turn", [0, 1])
def test_a_transaction_in_another_process_than_the_lock_is_refused_and_the_lock_leaves_the_pool(
    pooler: PgBouncer, database: Database, in_turn: int
) -> None:
    """Another client may use the pool at the moment of the first check."""
    url = pooled(pooler, database.name)
    with configured(pooler, server_round_robin=in_turn), database.admin() as admin:
        with connect(url, "test") as connection, psycopg.connect(url) as other:
            connection.prepare_threshold = None
            with pytest.raises(MigrationError, match=REFUSED):
                _look_for_the_lock_in_another_process(admin, connection, other)
        assert admin.execute(ADVISORY).fetchone() == (0,)


def _look_for_the_lock_in_another_process(
    admin: psycopg.Connection, connection: psycopg.Connection, other: psycopg.Connection
) -> None:
    with only_one(connection, LOCK, "migration"):
        (holder,) = admin.execute("select pid from pg_locks where locktype = 'advisory'").fetchall()[0]
        while other.execute("select pg_backend_pid()").fetchone() != (holder,):
            other.rollback()
        try:
            with connection.transaction():
                assert_held(connection, LOCK)
        finally:
            other.rollback()


def test_commands_without_a_lock_work_through_a_pooler_in_transaction_mode(
    through: str, database: Database, pooler: PgBouncer
) -> None:
    assert list(verify_chains(through)) != []
    with database.admin() as admin:
        passwords = admin.execute(
            "select rolname, rolpassword, rolcanlogin from pg_authid where rolname ~ '^robot_brain_app_'"
        ).fetchall()
        try:
            admin.execute("alter role robot_brain_app_b nologin password null")
            role, _, url = rotate(through)
            assert (role, re.findall(":([0-9]+)/", url)) == ("robot_brain_app_b", [str(pooler.address.port)])
        finally:
            for name, password, can_log_in in passwords:
                login = sql.SQL("login" if can_log_in else "nologin")
                statement = sql.SQL("alter role {} {} password {}")
                admin.execute(statement.format(sql.Identifier(name), login, sql.Literal(password)))
        assert admin.execute(ADVISORY).fetchone() == (0,)
