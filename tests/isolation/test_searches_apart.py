"""No word, id, name, metadata or cursor that looks like a lexeme of another caller finds a turn of that caller."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.isolation.asking import ask
from tests.isolation.parties import Party
from tests.support.searching import make_words
from tests.support.servers.databases import Database

# Each is a tenant, a session, a personality, a user, a value of metadata and a text.
# A lexeme that is no word begins with \x01 to \x06.
NAMES = (
    *("acme", "globex", "\x01globex", "\x02globex", "acme' | '\x01globex", "acme\\", "\\'", "'", "' & '", "!'globex'"),
    *("globex:*", "(globex)", "globex\x05", '"globex"', "\x04globex", "\x06", "\\\\x01globex", "acme\x01globex"),
)
AROUND = ("{}", "shared {}", "shared or {}", "{} or shared", "shared -{}", '"{}" or shared', "-{} shared", "'{}'")


def turns_of(tenant: str, name: str) -> str:
    """Return a turn whose parts all have a name. Its canary names the tenant."""
    text = f"shared {name} canary{NAMES.index(tenant)}z"
    turn = {"user_message": text, "robot_response": name, "robot_personality": name, "metadata": {"key": name}}
    return json.dumps([turn])


def found(app: psycopg.Connection, party: Party, **filters: object) -> list[Any]:
    """Return all hits of a search. A query without a word finds nothing."""
    hits: list[Any] = []
    cursor = filters.get("p_cursor")
    while True:
        answer = ask(app, "search", party, {"p_limit": 50, **filters, "p_cursor": cursor})
        if answer.sqlstate == "RB430":
            return []
        assert answer.sqlstate is None, answer
        body = json.loads(answer.row[0] or "")
        hits += body["hits"]
        cursor = body["page"]["cursor"]
        if cursor is None:
            return hits


@pytest.fixture
def app(embedded_database: Database) -> Iterator[psycopg.Connection]:
    """A connection to a database in which each tenant has a session of each name."""
    with embedded_database.app() as connection:
        for tenant, name in itertools.product(NAMES, NAMES):
            arguments = {"p_session_id": name, "p_messages": turns_of(tenant, name)}
            assert ask(connection, "write_message", Party(tenant), arguments).sqlstate is None
        yield connection


@pytest.mark.parametrize("filled", [False, True], ids=["queued", "filled"])
def test_no_name_and_no_query_leads_into_another_tenant(
    app: psycopg.Connection, embedded_database: Database, filled: bool
) -> None:
    if filled:
        make_words(embedded_database)
    for tenant in NAMES[:6]:
        party = Party(tenant)
        own = f"canary{NAMES.index(tenant)}z"
        assert len(found(app, party, p_query="shared")) == len(NAMES)
        for other in NAMES:
            if other != tenant:
                assert found(app, party, p_query=f"canary{NAMES.index(other)}z or {other}zz") == []
        for name in NAMES:
            for parameter in ("p_session_id", "p_personality", "p_metadata"):
                value = json.dumps({"key": name}) if parameter == "p_metadata" else name
                (hit,) = found(app, party, p_query="shared", **{parameter: value})
                assert (hit["session_id"], hit["robot_personality"]) == (name, name)
                assert own in hit["snippet"].replace("</mark>", "")
            assert found(app, party, p_query="shared", p_user_id=name) == []
        name = NAMES[(NAMES.index(tenant) + 1) % len(NAMES)]
        for around, prefix, text_of in itertools.product(AROUND, (False, True), (None, "robot")):
            for hit in found(app, party, p_query=around.format(name), p_prefix=prefix, p_in=text_of):
                assert own in hit["snippet"] or "canary" not in hit["snippet"], (tenant, name, around, text_of)


def test_an_end_user_finds_the_turns_of_its_sessions_alone(embedded_database: Database) -> None:
    service, ann, bea = Party("acme"), Party("acme", "ann"), Party("acme", "bea' | '\x02s")
    turn = json.dumps([{"robot_personality": "p", "user_message": "shared", "robot_response": "", "metadata": {}}])
    with embedded_database.app() as app:
        for party, session_id in ((service, "of none"), (ann, "of ann"), (bea, "of bea"), (ann, "moves")):
            ask(app, "write_message", party, {"p_session_id": session_id, "p_messages": turn})

        def ids(party: Party, **filters: object) -> list[str]:
            return sorted(hit["session_id"] for hit in found(app, party, p_query="shared", **filters))

        for _ in range(2):
            assert ids(ann) == ["moves", "of ann"]
            assert ids(bea) == ["of bea"]
            assert ids(service) == ["moves", "of ann", "of bea", "of none"]
            assert ids(service, p_user_id="ann") == ["moves", "of ann"]
            assert ids(Party("acme", "unknown")) == ids(Party("globex", "ann")) == []
            for other in ("of bea", "of none", "unknown", "of ann' | '\x02of bea"):
                assert ids(ann, p_session_id=other) == []
            assert ids(ann, p_user_id=bea.user) == []
            make_words(embedded_database)
        moved = ask(
            app,
            "patch_session",
            service,
            {"p_session_id": "moves", "p_user_metadata": "{}", "p_user_id": bea.user, "p_sets_user_id": True},
        )
        assert moved.sqlstate is None, moved
        assert ids(ann) == ["of ann"]
        assert ids(bea) == ["moves", "of bea"]
        assert ids(ann, p_session_id="moves") == []


def test_a_user_of_over_500_sessions_finds_the_turns_of_its_sessions_alone(embedded_database: Database) -> None:
    turn = json.dumps([{"robot_personality": "p", "user_message": "shared", "robot_response": "", "metadata": {}}])
    with embedded_database.app() as app:
        # Beyond 500 sessions their ids are no part of the query.
        of_user = {"ann": 510, "bea": 10}
        for user, number in of_user.items():
            for n in range(number):
                ask(app, "write_message", Party("acme", user), {"p_session_id": f"{user} {n}", "p_messages": turn})
        for _ in range(2):
            for user, number in of_user.items():
                hits = found(app, Party("acme", user), p_query="shared")
                assert sorted(hit["session_id"] for hit in hits) == sorted(f"{user} {n}" for n in range(number))
            make_words(embedded_database)


def test_a_cursor_of_another_caller_shows_the_callers_own_turns(app: psycopg.Connection) -> None:
    filters = {"p_query": "shared", "p_limit": 1}
    theirs = json.loads(ask(app, "search", Party("globex"), filters).row[0] or "")["page"]["cursor"]
    for hit in found(app, Party("acme"), p_query="shared", p_cursor=theirs, p_limit=50):
        assert "canary0z" in hit["snippet"]
