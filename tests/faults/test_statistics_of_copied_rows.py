"""Figures of rows that no write of this database made: from a restored dump, and from logical replication."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.faults.counting import Counting, wait_until
from tests.faults.counting_server import KINDS, PASSWORD, SEEDS, counting_server
from tests.support.servers.authority import Authority
from tests.support.servers.postgres import Postgres

SOURCE, TARGET = "source", "target"
# All tables, with the columns that a copy may name.
_TABLES = """
select c.relname, (
  select array_agg(a.attname::text order by a.attnum) from pg_attribute a
  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
)
from pg_class c
where c.relnamespace = 'robot_brain'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
"""
_LAST = "insert into robot_brain.users (tenant_id, id, created_at, updated_at) values (%s, 'last', now(), now())"
_ALL_COPIED = "select from pg_subscription_rel where srsubstate <> 'r'"


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Postgres]:
    """A server with a clock of its own, and two migrated databases.

    Each test has its own server. Replication waits by the clock, so a step back in one test could delay the next one.
    """
    with counting_server(request.param, authority, SOURCE, TARGET) as postgres:
        yield postgres


@pytest.fixture(params=range(SEEDS))
def both(server: Postgres) -> Iterator[tuple[Counting, Counting]]:
    """Writers for two databases, with the same tenants."""
    seed = secrets.token_hex(4)
    source, target = (Counting(server, database, PASSWORD, seed) for database in (SOURCE, TARGET))
    yield source, target
    for counting in (source, target):
        counting.close()
    print(f"{source.compared.figures + target.compared.figures} figures compared")


def copy_tenant(source: Counting, target: Counting, tenant: str) -> None:
    """Copy all rows of a tenant from one snapshot into one transaction, as a dump and its restore do."""
    with psycopg.connect(source.admin_url) as old, psycopg.connect(target.admin_url) as new:
        old.execute("set transaction isolation level repeatable read")
        for table, columns in old.execute(_TABLES).fetchall():
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            place = sql.Identifier("robot_brain", table)
            read = sql.SQL("copy (select {} from {} where tenant_id = {}) to stdout").format(names, place, tenant)
            write = sql.SQL("copy {} ({}) from stdin").format(place, names)
            with old.cursor().copy(read) as rows, new.cursor().copy(write) as into:
                for row in rows:
                    into.write(row)


def test_a_tenant_that_is_copied_in_the_middle_of_its_writes_is_counted_once(both: tuple[Counting, Counting]) -> None:
    source, target = both
    moved, stays = source.tenants
    source.settle(source.burst(tenants=[moved]))
    source.refresh()
    source.settle(source.burst(tenants=[moved]))
    # The other database has its own tenant, and refreshes after most of these turns were written.
    target.settle(target.burst(tenants=[stays]))
    writing = source.burst(tenants=[moved])
    target.refresh()
    target.clock.set(target.chance.choice((90, -90, 3600, -3600)))
    copy_tenant(source, target, moved)
    target.look()
    source.settle(writing)
    target.settle(target.burst(tenants=[moved, stays]))
    target.look()
    target.finish()


def test_a_counted_tenant_that_is_copied_is_in_every_figure_after_a_refresh(both: tuple[Counting, Counting]) -> None:
    source, target = both
    moved, _ = source.tenants
    source.settle(source.burst(tenants=[moved]))
    source.refresh()
    target.refresh()
    copy_tenant(source, target, moved)
    target.finish()


@contextmanager
def replicated(source: Counting, target: Counting) -> Iterator[None]:
    """Replicate all tables of Robot Brain during the block, existing rows too. At its end the target has caught up."""
    name = f"copy_{secrets.token_hex(4)}"
    with admin(source) as old, admin(target) as new:
        tables = [table for table, _ in new.execute(_TABLES).fetchall()]
        # Rows of migrations and earlier writes would conflict with the rows that come.
        every = sql.SQL(", ").join(sql.Identifier("robot_brain", table) for table in tables)
        new.execute(sql.SQL("truncate {}").format(every))
        publish = "create publication {} for tables in schema robot_brain with (publish_via_partition_root = true)"
        old.execute(sql.SQL(publish).format(sql.Identifier(name)))
        # Both databases are on one server, which cannot make the slot while it makes the subscription.
        old.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [name])
        # From PostgreSQL 16 on the owner of a table applies its rows, under row-level security, without this option.
        as_owner = ", run_as_owner = true" if target.postgres.version >= 16 else ""
        subscribe = f"create subscription {{}} connection {{}} publication {{}} with (create_slot = false{as_owner})"
        new.execute(sql.SQL(subscribe).format(sql.Identifier(name), source.admin_url, sql.Identifier(name)))
        try:
            wait_until(lambda: not new.execute(_ALL_COPIED).fetchall())
            yield
            # Commits arrive in order. So if this row is there, all earlier commits are there too.
            old.execute(_LAST, [name])
            last = "select from robot_brain.users where tenant_id = %s"
            wait_until(lambda: bool(new.execute(last, [name]).fetchall()))
        finally:
            for end in ("alter subscription {} disable", "alter subscription {} set (slot_name = none)"):
                new.execute(sql.SQL(end).format(sql.Identifier(name)))
            new.execute(sql.SQL("drop subscription {}").format(sql.Identifier(name)))
            active = "select from pg_replication_slots where slot_name = %s and active"
            wait_until(lambda: not old.execute(active, [name]).fetchall())
            old.execute("select pg_drop_replication_slot(%s)", [name])
            old.execute(sql.SQL("drop publication {}").format(sql.Identifier(name)))


def admin(counting: Counting) -> "psycopg.Connection[Any]":
    return psycopg.connect(counting.admin_url, autocommit=True)


def test_a_replica_of_the_rows_has_their_figures_at_each_moment(both: tuple[Counting, Counting]) -> None:
    source, target = both
    source.settle(source.burst())
    source.refresh()
    source.settle(source.burst())
    with replicated(source, target):
        for seconds in source.chance.sample((90, -90, 3600, -3600), 2):
            writing = source.burst()
            source.refresh()
            target.look()
            source.clock.set(seconds)
            target.look()
            source.settle(writing)
            source.refresh()
    source.look()
    target.look()
    # The clients write to the new database from now on.
    target.settle(target.burst())
    target.finish()


def test_a_replica_shows_its_longest_sessions_after_its_first_refresh(both: tuple[Counting, Counting]) -> None:
    source, target = both
    source.settle(source.burst())
    source.refresh()
    with replicated(source, target):
        source.settle(source.burst())
        source.refresh()
    target.finish()
