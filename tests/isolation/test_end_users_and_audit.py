"""The audit trail is one and the same 403 for an end user, whatever it asks for and whatever its state is."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from robot_brain import environment
from robot_brain.database.connection import LazyConnection
from tests.isolation.asking import ask
from tests.isolation.calling import SCOPE, As, by_token, everything
from tests.isolation.parties import Json, Party
from tests.isolation.people import more_sessions
from tests.isolation.person import audit_cursor
from tests.support.bundle import Reply, deployed
from tests.support.servers.databases import Database

JWT = {"AUTH": "jwt", "TENANT_FROM": "claim:tenant"}
OF_TRAIL: list[Json] = [
    {},
    {"limit": 100},
    {"record": "tom"},
    {"record": "ann"},
    {"user": "ann"},
    {"user": "tom"},
    {"from": "2026-01-01", "to": "2027-01-01"},
    {"cursor": "beef"},
    {"cursor": audit_cursor("acme", 253402300799999999, 1)},
]


def put_ann(service: As, admin: psycopg.Connection) -> None:
    assert service.user("PUT", "ann", {"email": "ann@example.com"}).status == 201


def mark_ann(service: As, admin: psycopg.Connection) -> None:
    put_ann(service, admin)
    more_sessions(admin, Party("acme", "ann"))
    with admin.transaction():
        assert ask(admin, "erase_user", Party("acme"), {"p_user_id": "ann"}).row == ("erasing",)


def erase_ann(service: As, admin: psycopg.Connection) -> None:
    put_ann(service, admin)
    assert service.user("DELETE", "ann").status == 204


STATES: dict[str, Callable[[As, psycopg.Connection], None]] = {
    "unknown": lambda service, admin: None,
    "with a row": put_ann,
    "being erased": mark_ann,
    "erased": erase_ann,
}


@pytest.mark.parametrize("state", STATES)
def test_the_audit_trail_is_one_403_for_an_end_user_in_each_state_without_a_connection(
    embedded_database: Database, state: str
) -> None:
    variables = {**JWT, "DATABASE_URL": embedded_database.app_url}
    with deployed(variables), embedded_database.admin() as admin:
        STATES[state](by_token(Party("acme")), admin)
        assert by_token(Party("acme")).user("PUT", "tom", {}).status == 201
    with deployed(variables):
        # A user of the tenant, one that another tenant has, and one whose name is a tenant's.
        replies: list[Reply] = [
            by_token(Party("acme", user)).audit(**query) for user in ("ann", "zoe", "acme", "*") for query in OF_TRAIL
        ]
        assert LazyConnection not in environment.current.objects
        assert {each.status for each in replies} == {403}
        assert {everything(each).replace(each.json["request_id"], "") for each in replies} == {
            everything(replies[0]).replace(replies[0].json["request_id"], "")
        }
        # The scope for all users makes a service of the same subject.
        assert by_token(Party("acme", "ann"), scope=SCOPE).audit(record="tom").json["entries"] != []
