"""The users of a tenant: the look-up by e-mail and pages of the list, beside the OFFSET of the original design.

    PYTHONPATH=.:functions:layers/robot_brain python -m tests.bench.listing_users      USERS=1000000 OUTPUT=file

Two other tenants have a tenth as many users each, some with the same ids and e-mails. The order in the tables is
random. Each call is one of robot_brain_app's, under forced row-level security. The statement with OFFSET runs as
robot_brain_owner under the same policy. The target is for the CPU time of the server, because others use this machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg

from tests.bench import measure
from tests.bench.server_time import Taken, taken
from tests.support.plans import explain, own_statement
from tests.support.servers.databases import Database, make_template
from tests.support.servers.postgres import start_embedded

USERS = 1_000_000
SHARE = 0.9  # of the users are before the page by cursor
PAGE = 20
ROUNDS = 30
CALLS = 20  # of each fast call for a sample
MOST = 1.5
OURS = ("e-mail", "the first page", "the page by cursor")
_USERS = """
insert into robot_brain.users (tenant_id, id, email, email_key, created_at, updated_at)
select tenant, md5(n::text), 'user-' || n || '@Example.org', 'user-' || n || '@example.org', made, made
from (
  select tenant, n, now() - n * interval '1 year' / %(users)s as made
  from generate_series(1, %(users)s) n
  cross join lateral (
    select 'local' as tenant union all select unnest(array['other', 'another']) where n <= %(users)s / 10
  ) t
  order by md5(tenant || n)
) u
"""
_PROFILES = """
insert into robot_brain.user_profiles (tenant_id, user_id, first_name, last_name, avatar_url, created_at, updated_at)
select u.tenant_id, u.id, 'Ann', 'Lee ' || left(u.id, 8), 'https://example.org/' || u.id, u.created_at, u.updated_at
from robot_brain.users u
order by md5(u.id)
"""
_AT = """
select robot_brain.make_cursor((extract(epoch from u.created_at) * 1000000)::bigint, u.id, 'users')
from robot_brain.users u where u.tenant_id = 'local' and u.id = md5(%s::text)
"""
_LIST = "select body from robot_brain_api.list_users(p_tenant_id => 'local', p_cursor => %s, p_email_key => %s)"
_OFFSET = """
select u.id, u.email, u.created_at, u.updated_at, p.first_name, p.last_name, p.avatar_url
from robot_brain.users u
left join robot_brain.user_profiles p on p.tenant_id = u.tenant_id and p.user_id = u.id
where u.tenant_id = 'local'
order by {order}
limit {limit} offset {offset}
"""
# The original order, and the order of our index, which the planner can use for it.
_ORDERS = {"OFFSET": "u.created_at desc", "OFFSET, indexed": 'u.created_at desc, u.id collate "C" desc'}
# The variables of list_users that its statement uses, with their types.
_PAGE_TYPES = {"p_tenant_id": "text", "v_limit": "integer", "v_from": "timestamptz", "v_id": "text"}
_EMAIL_TYPES = {"p_tenant_id": "text", "p_email_key": "text"}


def main() -> None:
    """Run the benchmark and print its table and its RESULT line."""
    parser = measure.arguments(str(__doc__), rounds=ROUNDS)
    parser.add_argument("--users", type=int, default=int(os.environ.get("USERS") or USERS))
    options = parser.parse_args()
    server = start_embedded(settings={"max_wal_size": "4GB", "shared_buffers": "512MB"})
    try:
        with make_template(server).clone("embedded") as database:
            with database.admin() as admin:
                _fill(admin, options.users)
            samples = _time(database, options.users, options.rounds)
            plans = _plans(database, options.users)
        version = server.version
    finally:
        server.stop()
    rows = []
    for name, taken_ones in samples.items():
        wall, cpu = (measure.Spread.of([getattr(each, kind) for each in taken_ones]) for kind in Taken._fields)
        rows.append([name, f"{wall.median:.3f}", f"{cpu.median:.3f} ({cpu.low:.3f}..{cpu.high:.3f})", plans[name]])
    cpus = measure.Samples({name: [each.cpu for each in taken_ones] for name, taken_ones in samples.items()})
    cursor_over_first = round(cpus.ratio("the page by cursor", "the first page").median, 2)
    offset_over_cursor = round(min(cpus.ratio(name, "the page by cursor").median for name in _ORDERS))
    print(f"\n{options.users:,} users with profiles, milliseconds of one call on a unix socket\n")
    print(measure.table(["call", "median", "its CPU (quartiles)", "scans"], rows))
    print(
        f"\nThe page by cursor over the first page: {measure.target(cursor_over_first, MOST)}, is {cursor_over_first}"
    )
    print(f"The faster OFFSET over the page by cursor: {offset_over_cursor:,}\n")
    measure.report(
        "users",
        {"cursor_over_first": cursor_over_first, "offset_over_cursor": offset_over_cursor},
        options.output,
        users=options.users,
        milliseconds={
            name: {kind: measure.Spread.of([getattr(each, kind) for each in ones]).json() for kind in Taken._fields}
            for name, ones in samples.items()
        },
        plans=plans,
        machine=measure.machine(postgresql=f"{version}"),
    )


def _fill(admin: psycopg.Connection[Any], users: int) -> None:
    """Insert the users and profiles of three tenants."""
    with admin.transaction():
        # Each profile has its user, so a check of the foreign key for each row would find nothing.
        admin.execute("set local session_replication_role = replica")
        # Values in the text, because PostgreSQL finds two types for one parameter.
        psycopg.ClientCursor(admin).execute(_USERS, {"users": users})
        admin.execute(_PROFILES)
    admin.execute("vacuum (analyze) robot_brain.users, robot_brain.user_profiles")
    admin.execute("checkpoint")


def _time(database: Database, users: int, rounds: int) -> dict[str, list[Taken]]:
    """Return what each call took in each round, after one round that does not count."""
    number = round(users * SHARE)
    samples: dict[str, list[Taken]] = {name: [] for name in (*OURS, *_ORDERS)}
    with database.app() as app, database.admin() as owner:
        row = owner.execute(_AT, [number]).fetchone()
        assert row is not None
        _see_as_owner(owner)
        calls: dict[str, Callable[[], list[str]]] = {
            "e-mail": partial(_listed, app, None, f"user-{number}@example.org"),
            "the first page": partial(_listed, app, None, None),
            "the page by cursor": partial(_listed, app, row[0], None),
            **{name: partial(_offset, owner, name, number) for name in _ORDERS},
        }
        _check(owner, calls, number)
        for each in range(rounds + 1):
            for name, call in calls.items():
                used, times = (app, CALLS) if name in OURS else (owner, 1)
                once = taken(used, call, times)
                if each > 0:
                    samples[name].append(once)
    return samples


def _listed(app: psycopg.Connection[Any], cursor: str | None, email_key: str | None) -> list[str]:
    """Return the ids that a call of list_users answers."""
    row = app.execute(_LIST, [cursor, email_key]).fetchone()
    assert row is not None
    return [user["id"] for user in json.loads(row[0])["users"]]


def _offset(owner: psycopg.Connection[Any], name: str, number: int) -> list[str]:
    """Return the ids of the page after `number` users, by the statement `name` of _ORDERS."""
    statement = _OFFSET.format(order=_ORDERS[name], limit=PAGE, offset=number)
    return [row[0] for row in owner.execute(statement.encode()).fetchall()]


def _check(owner: psycopg.Connection[Any], calls: dict[str, Callable[[], list[str]]], number: int) -> None:
    """Raise AssertionError unless each call gives the users that it is measured for."""
    assert calls["the first page"]() == _offset(owner, "OFFSET", 0)
    assert calls["the page by cursor"]() == calls["OFFSET"]() == calls["OFFSET, indexed"]()
    assert calls["e-mail"]() == _offset(owner, "OFFSET", number - 1)[:1]


def _see_as_owner(connection: psycopg.Connection[Any]) -> None:
    """Be robot_brain_owner, who sees the tenant `local` alone, until the connection closes."""
    connection.execute("set role robot_brain_owner")
    connection.execute("select set_config('robot_brain.tenant_id', 'local', false)")


def _plans(database: Database, users: int) -> dict[str, str]:
    """Return the scans of each statement. The statements of list_users are those of its source."""
    number = round(users * SHARE)
    with database.admin() as owner:
        row = owner.execute(
            "select created_at::text, id from robot_brain.users where tenant_id = 'local' and id = md5(%s::text)",
            [number],
        ).fetchone()
        assert row is not None
        _see_as_owner(owner)
        plans = {}
        for name, order in _ORDERS.items():
            statement = _OFFSET.format(order=order, limit=PAGE, offset=number)
            offset = owner.execute(f"explain (analyze, timing off, format json) {statement}".encode()).fetchone()
            assert offset is not None
            plans[name] = _scans(offset[0][0]["Plan"])
        page = own_statement(owner, "list_users", "into v_count, v_users, v_from, v_id")
        email = own_statement(owner, "list_users", "v_users := array(").partition("then")[2].strip().removesuffix(")")
        keys = {"p_tenant_id": "local", "p_email_key": f"user-{number}@example.org"}
        for name, statement, types, values in (
            ("e-mail", email, _EMAIL_TYPES, keys),
            ("the first page", page, _PAGE_TYPES, _place("infinity", "")),
            ("the page by cursor", page, _PAGE_TYPES, _place(*row)),
        ):
            with owner.transaction():
                owner.execute("set local enable_seqscan = off")  # as list_users has it
                plan = explain(owner, statement, types, values, "force_custom_plan")
            plans[name] = _scans(plan.root["Plan"])
    return plans


def _place(created_at: str, user_id: str) -> dict[str, object]:
    return {"p_tenant_id": "local", "v_limit": PAGE, "v_from": created_at, "v_id": user_id}


def _scans(root: dict[str, Any]) -> str:
    """Return the joins, sorts and scans of a plan: the index or the table, and the rows that it returned."""
    found = []
    for node in _nodes(root):
        name = node.get("Index Name") or node.get("Relation Name")
        rows = round(node["Actual Rows"] * node["Actual Loops"])
        if name is not None:
            found.append(f"{name} ({rows:,} rows)")
        elif "Join" in node["Node Type"] or "Loop" in node["Node Type"] or "Sort" in node["Node Type"]:
            found.append(node["Node Type"].lower())
    return ", ".join(found)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for each in node.get("Plans", ()):
        yield from _nodes(each)


if __name__ == "__main__":
    main()
