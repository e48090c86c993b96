"""A person of another tenant and an unknown one use the same indexes, as often, on small tables and on large ones.

All counters are equal: scans, rows, and blocks of each table and index. Calls that create rows are compared by scans
alone, because their rows go to pages with free space.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.isolation.counters import INDEXES, WITHOUT_INDEX, Counters, counted, scans, undone
from tests.isolation.function_cases import Case
from tests.isolation.parties import Party
from tests.isolation.people import People
from tests.isolation.person import Person
from tests.isolation.user_function_cases import USER_FUNCTION_CASES
from tests.support.servers.databases import Template

ASKER = Party("acme")
CREATORS = ("create_user", "save_user", "patch_session", "write_message")
# PL/pgSQL keeps a generic plan after five calls.
WARM_CALLS = 7
TABLES = (
    "users",
    "user_profiles",
    "user_erasures",
    "sessions",
    "conversations_default",
    "idempotency_keys",
    "erasures",
    "audit_logs",
)
GROW = """
with people as (
  insert into robot_brain.users (tenant_id, id, email, email_key, created_at, updated_at)
  select t, 'grown ' || n, n || '@example.com', n || '@example.com', now(), now()
  from generate_series(1, 3000) n, (values ('acme'), ('globex')) v (t)
  returning tenant_id, id
), profiles as (
  insert into robot_brain.user_profiles (tenant_id, user_id, first_name, created_at, updated_at)
  select p.tenant_id, p.id, 'x', now(), now() from people p
), entries as (
  insert into robot_brain.audit_logs (tenant_id, table_name, record_id, action, user_id, created_at)
  select p.tenant_id, 'users', p.id, 'INSERT', p.id, now() from people p
)
insert into robot_brain.sessions
  (tenant_id, id, user_id, created_at, last_active, active_hour, message_count, response_length, answer_bytes)
select p.tenant_id, p.id, p.id, now(), now(), now(), 1, 1, 1 from people p
"""


@dataclass(frozen=True)
class Town:
    """The people of the tenant globex, and some of the asker's."""

    people: People
    known: dict[str, Person]


@pytest.fixture(scope="module")
def small(embedded_template: Template) -> Iterator[Town]:
    """People in tables that have few rows and no statistics."""
    with embedded_template.clone("embedded") as database, database.admin() as admin, database.app() as app:
        for table in TABLES:
            admin.execute(f"alter table robot_brain.{table} set (autovacuum_enabled = off)".encode())
        People(app, admin, ASKER).make("profile")
        people = People(app, admin, Party("globex"))
        yield Town(people, people.make_each())


@pytest.fixture(scope="module")
def grown(small: Town) -> Town:
    """The same people after the tables have grown, and with statistics. The plans that were kept stay."""
    small.people.admin.execute(GROW)
    tables = ("users", "user_profiles", "sessions", "audit_logs")
    small.people.admin.execute(f"analyze {', '.join(f'robot_brain.{table}' for table in tables)}".encode())
    return small


def touched(town: Town, function: str, case: Case[Person], person: Person) -> Counters:
    """Return the counters of each table and index that one call touched."""
    # A row that was undone stays until the next vacuum, and another search for the same id would read it.
    asker = Party(f"fresh-{secrets.token_hex(8)}") if function in CREATORS else ASKER
    return counted(town.people.admin, asker, function, case.arguments(person.asked_by(asker.tenant)))


def check(town: Town, function: str) -> None:
    """Compare each case of a function in some states of the person."""
    for case in USER_FUNCTION_CASES[function]:
        for _ in range(WARM_CALLS):
            undone(
                town.people.admin,
                ASKER,
                function,
                case.arguments(town.known["profile"].made_up().asked_by(ASKER.tenant)),
            )
        for state in ("profile", "erasing", "erased"):
            person, name = town.known[state], f"{function}, {case.name}, {state}"
            for _ in range(5):
                tried = (person.made_up(), person, person.made_up())
                first, foreign, unknown = (touched(town, function, case, each) for each in tried)
                # The server may plan a statement again at any time. Then compare again.
                if scans(first) == scans(unknown):
                    break
            assert {each for each in scans(foreign) if not each.endswith(INDEXES)} <= WITHOUT_INDEX, name
            if function in CREATORS:
                assert scans(foreign) == scans(unknown), name
            else:
                assert foreign == unknown, name


@pytest.mark.parametrize("function", USER_FUNCTION_CASES)
def test_a_foreign_person_and_an_unknown_one_use_the_same_indexes_of_small_tables(small: Town, function: str) -> None:
    check(small, function)


@pytest.mark.parametrize("function", USER_FUNCTION_CASES)
def test_a_foreign_person_and_an_unknown_one_use_the_same_indexes_of_large_tables(grown: Town, function: str) -> None:
    check(grown, function)
