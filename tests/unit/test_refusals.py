"""Refusals of the SQL functions: each names the place of the fault, and quotes nothing."""

import json

import psycopg
import pytest
from psycopg.pq import DiagnosticField

from robot_brain.database.refusals import of_the_only_turn, refusal
from robot_brain.errors import (
    IdempotencyKeyReusedError,
    InvalidRequestError,
    PreconditionFailedError,
    UserBeingErasedError,
    UserPreconditionFailedError,
)
from robot_brain.http.problems import problem


def refused(sqlstate: str, detail: str = "") -> Exception:
    """Return the refusal of an error with this SQLSTATE and DETAIL."""
    info: dict[int, bytes | None] = {
        DiagnosticField.SQLSTATE: sqlstate.encode(),
        DiagnosticField.MESSAGE_DETAIL: detail.encode() or None,
    }
    error = psycopg.DatabaseError("", info=info)
    error.sqlstate = sqlstate
    found = refusal(error)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("sqlstate", "detail", "loc", "kind"),
    [
        ("RB423", "", ["body", "user_metadata"], "metadata_too_large"),
        ("RB424", '{"turn": 3}', ["body", "messages", 3, "items"], "items_too_large"),
        ("RB424", '{"turn": null}', ["body", "items"], "items_too_large"),
        ("RB425", "", ["body", "email"], "email_taken"),
        ("RB426", '{"after": 17}', ["query", "after"], "too_many_turns"),
        ("RB427", "", ["body", "interaction"], "interaction_differs"),
        ("RB428", "", ["query", "cursor"], "cursor"),
    ],
)
def test_a_refusal_that_a_rule_explains_names_its_place(
    sqlstate: str, detail: str, loc: list[str | int], kind: str
) -> None:
    error = refused(sqlstate, detail)
    assert isinstance(error, InvalidRequestError)
    assert [(found["loc"], found["type"]) for found in error.errors] == [(loc, kind)]


def test_a_removal_of_too_many_turns_is_refused_with_the_seq_to_begin_with() -> None:
    error = refused("RB426", '{"after": 17}')
    assert isinstance(error, InvalidRequestError)
    assert error.errors[0]["msg"].endswith("after=17")


def test_a_failed_precondition_has_the_state_of_the_session() -> None:
    error = refused("RB412", '{"last_seq": 7, "etag": "\\"7.1f\\""}')
    assert isinstance(error, PreconditionFailedError)
    assert error.facts == {"last_seq": 7, "etag": '"7.1f"'}


def test_a_failed_precondition_of_a_user_has_its_entity_tag_and_names_no_session() -> None:
    error = refused("RB412", '{"etag": "\\"5f3a\\""}')
    assert type(error) is UserPreconditionFailedError
    status, headers, body = problem(error, "id-1")
    assert (status, headers["etag"]) == (412, '"5f3a"')
    assert "session" not in body
    assert "last_seq" not in body


@pytest.mark.parametrize("detail", ["", "{}", '{"etag": null}'])
def test_a_failed_precondition_of_an_unknown_user_has_no_entity_tag(detail: str) -> None:
    status, headers, _ = problem(refused("RB412", detail), "id-1")
    assert (status, set(headers)) == (412, {"content-type", "cache-control"})


def test_a_user_who_is_being_erased_is_refused_with_the_time_to_wait() -> None:
    error = refused("RB429")
    assert type(error) is UserBeingErasedError
    status, headers, body = problem(error, "id-1")
    assert (status, headers["retry-after"]) == (409, "1")
    assert json.loads(body)["title"] == "User being erased"


def test_a_key_of_another_request_names_what_the_key_created() -> None:
    for facts in ({"user_id": "ann"}, {"session_id": "one"}):
        error = refused("RB422", json.dumps(facts))
        assert isinstance(error, IdempotencyKeyReusedError)
        assert json.loads(problem(error, "id-1")[2]).items() >= facts.items()


def test_the_refusal_of_a_taken_email_quotes_no_address() -> None:
    assert "@" not in problem(refused("RB425"), "id-1")[2]


def test_a_search_without_a_word_names_its_parameter() -> None:
    error = refused("RB430")
    assert isinstance(error, InvalidRequestError)
    assert [(each["loc"], each["type"]) for each in error.errors] == [(["query", "q"], "no_word")]


def test_a_search_that_is_off_is_501_with_what_to_do_and_no_retry() -> None:
    status, headers, body = problem(refused("RB501"), "id-1")
    assert (status, set(headers)) == (501, {"content-type", "cache-control"})
    assert "make migrate SEARCH=on" in json.loads(body)["detail"]


def test_another_error_is_no_refusal() -> None:
    for error in (psycopg.OperationalError("closed"), psycopg.errors.lookup("40001")()):
        assert refusal(error) is None


def test_the_place_of_a_fault_in_the_only_turn_names_no_array() -> None:
    fault = InvalidRequestError.at(["body", "messages", 0, "items"], "is wrong", "wrong")
    assert of_the_only_turn(fault).errors[0]["loc"] == ["body", "items"]
    fault = InvalidRequestError.at(["body", "user_metadata"], "is wrong", "wrong")
    assert of_the_only_turn(fault).errors[0]["loc"] == ["body", "user_metadata"]
