"""A client of a pooler that changes its session and leaves. The next client gets the same server connection."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg

from tests.support.bundle import Bundle, Reply, turn
from tests.support.searching import whole
from tests.support.servers.databases import Database
from tests.support.servers.pgbouncer import POOL_SIZE, PgBouncer

# What differs between two equal requests: ids, also of entries of the audit trail, and times.
_OWN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z|\"id\" : \d+")
_END_SERVERS = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and usename like 'robot_brain_app%' and backend_type = 'client backend'
"""


@contextmanager
def one_server_connection(pooler: PgBouncer) -> Iterator[None]:
    """Let the pooler open one server connection alone for each login and database, so that all clients share it."""
    with pooler.console() as console:
        console.execute("set default_pool_size = 1")
        try:
            yield
        finally:
            console.execute(f"set default_pool_size = {POOL_SIZE}".encode())


def leak(database: Database, *statements: LiteralString | bytes) -> None:
    """Run statements as the login of the functions, on a client connection of its own, and leave."""
    with psycopg.connect(database.app_url, autocommit=True, prepare_threshold=None) as client:
        for statement in statements:
            client.execute(statement)


def end_servers(database: Database) -> None:
    """End the server connections of the logins, so that the pooler opens a new one."""
    with database.admin() as admin:
        admin.execute(_END_SERVERS)


def answers(bundle: Bundle, name: str) -> dict[str, Any]:
    """Use each kind of request on sessions and a user of their own. Return their answers without ids and times."""
    user = f"user-{name}"
    key, other_key = {"idempotency-key": f"key-{name}"}, {"idempotency-key": f"user-key-{name}"}
    sought = {"session_id": f"s-{name}", "user_id": user, "from": "2020-02-01", "to": "9999-12-31", "in": "user"}
    first = {**turn(1), "metadata": {"float": 1.25, "text": "é\\'\"\u2028"}, "items": [{"bytes": "\\x00"}]}
    interaction = {"interaction_type": "x", "duration_ms": 1, "success": True}
    found = {
        "create user": bundle.create_user({"email": f"{name}@example.com"}, other_key),
        "save user": bundle.user("PUT", user, {"email": f"save-{name}@example.com", "profile": {"first_name": "Kim"}}),
        "write": bundle.write(f"s-{name}", first, key),
        "write again": bundle.write(f"s-{name}", first, key),
        "write a batch": bundle.write(f"s-{name}", {"messages": [turn(n, interaction=interaction) for n in (2, 3)]}),
        "patch": bundle.patch(f"s-{name}", {"user_id": user, "user_metadata": {"a": {"b": name}}}),
        "replace": bundle.replace(f"s-{name}", 2, {"user_message": "new", "robot_response": "newer"}),
        "remove": bundle.remove(f"s-{name}", 2),
        "read": bundle.read(f"s-{name}", limit=10),
        "list": bundle.sessions(user_id=user, preview="true"),
        "search": whole(lambda: bundle.search("new", **sought)),
        "search, best first": whole(lambda: bundle.search("ne", **sought, order="relevance", prefix="true")),
        "users": bundle.users(email=f"save-{name}@example.com"),
        "export": bundle.export(user),
        "session": bundle.stats(session_id=f"s-{name}"),
        "audit": bundle.audit(record=f"s-{name}"),
        "erase session": bundle.erase(f"s-{name}"),
        "erase user": bundle.user("DELETE", user),
        "read erased": bundle.read(f"s-{name}"),
    }
    return {request: _seen(reply, name) for request, reply in found.items()}


def _seen(reply: Reply, name: str) -> tuple[int, str]:
    return reply.status, _OWN.sub("*", (reply.body or "")).replace(name, "NAME")
