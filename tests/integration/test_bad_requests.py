"""Every bad request gets the right status and the place of its fault, reveals no secrets and stores no rows."""

from collections.abc import Iterator

import psycopg
import pytest

from robot_brain.limits import MAX_ANSWER_BYTES, MAX_REQUEST_BYTES
from tests.integration.bad_bodies import BREAKING_A_RULE, UNREADABLE
from tests.integration.bad_changes import CHANGES
from tests.integration.bad_parameters import HEADERS, KEPT, KEPT_KEY, PATHS, QUERIES, REFUSED_BY_STATE
from tests.integration.bad_users import USERS
from tests.integration.edge import Bad, assert_problem, function_of, marked, points, post, row_counts
from tests.support.bundle import EVENTS, Bundle, deployed, event
from tests.support.servers.databases import Database, Template

TABLE = [*UNREADABLE, *BREAKING_A_RULE, *PATHS, *QUERIES, *HEADERS, *REFUSED_BY_STATE, *CHANGES, *USERS]
FILES = sorted(path.stem for path in (EVENTS / "bad").glob("*.json"))

_FILES_STATUS = {
    "edit_session_content_type": 415,
    "edit_session_erase_if_match": 400,
    "edit_session_if_match": 400,
    "edit_session_not_json": 400,
    "edit_session_remove_if_match": 400,
    "edit_user_content_type": 415,
    "edit_user_create_idempotency_key": 400,
    "edit_user_erase_dry_run_if_match": 400,
    "edit_user_erase_if_match": 400,
    "edit_user_if_match": 400,
    "edit_user_not_json": 400,
    "read_audit_percent": 400,
    "read_session_percent": 400,
    "search_not_utf8": 400,
    "search_percent": 400,
    "write_message_base64": 400,
    "write_message_comma_in_key": 400,
    "write_message_content_encoding": 415,
    "write_message_content_type": 415,
    "write_message_idempotency_key": 400,
    "write_message_if_match": 400,
    "write_message_nan": 400,
    "write_message_not_json": 400,
    "write_message_replace_content_type": 415,
    "write_message_replace_if_match": 400,
    "write_message_replace_not_json": 400,
    "write_message_underflow": 400,
}


@pytest.fixture(scope="module")
def quiet(embedded_template: Template) -> Iterator[tuple[Bundle, psycopg.Connection]]:
    """One database with the session `kept` for the whole table, because no bad request may write."""
    with (
        embedded_template.clone("embedded") as database,
        deployed({"DATABASE_URL": database.app_url}) as functions,
        database.admin() as admin,
    ):
        assert post(KEPT, "kept", idempotency_key=KEPT_KEY)(functions).status == 201
        yield functions, admin


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.says)
def test_a_bad_request_is_refused_and_writes_nothing(quiet: tuple[Bundle, psycopg.Connection], row: Bad) -> None:
    functions, admin = quiet
    before = row_counts(admin)

    reply = row.send(functions)

    assert_problem(reply, row.status, functions.context.aws_request_id)
    assert points(reply, row.points), reply.body
    # An answer has `errors` if a rule is broken. A key that was used for another request breaks no rule of the body.
    assert ("errors" in reply.json) == (row.status == 422 and isinstance(row.points, list))
    assert "retry-after" not in reply.headers
    assert row_counts(admin) == before


def test_no_two_bad_requests_have_the_same_name() -> None:
    sentences = [row.says for row in TABLE]
    assert len(set(sentences)) == len(sentences)


# A bad request is refused before a connection is used, so the kind of server does not matter.
@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("name", FILES)
def test_a_bad_event_file_is_refused_and_writes_nothing(database: Database, bundle: Bundle, name: str) -> None:
    request = event(f"bad/{name}")

    reply = bundle.call(function_of(request), request)

    assert_problem(reply, _FILES_STATUS.get(name, 422), bundle.context.aws_request_id)
    with database.admin() as admin:
        assert set(row_counts(admin).values()) == {0}


def test_a_request_with_300_000_mistakes_gets_a_short_answer(quiet: tuple[Bundle, psycopg.Connection]) -> None:
    functions, admin = quiet
    before = row_counts(admin)
    body = marked(**{str(number): 0 for number in range(300_000)})

    reply = post(body)(functions)

    assert_problem(reply, 422, functions.context.aws_request_id)
    assert reply.json["errors"] == [
        {"loc": ["body"], "msg": "breaks the rules in 300000 places", "type": "too_many_errors"}
    ]
    assert len(reply.body or "") < 100_000
    assert row_counts(admin) == before


@pytest.mark.parametrize("place", ["unknown", "nul", "query"])
def test_a_very_long_name_is_not_repeated_whole(quiet: tuple[Bundle, psycopg.Connection], place: str) -> None:
    functions, _ = quiet
    name = "€" * (MAX_REQUEST_BYTES // 4)
    send = {
        "unknown": post(marked(**{name: 0})),
        "nul": post(marked(metadata={name: "\0"})),
        "query": post(marked(), query=f"{name}=1"),
    }[place]

    reply = send(functions)

    assert_problem(reply, 422, functions.context.aws_request_id)
    assert len(reply.body or "") < MAX_ANSWER_BYTES // 100
