"""Errors as answers: each error has its status, and an answer quotes the text only of an error of the request."""

import json

import pytest

from robot_brain import errors
from robot_brain.errors import InvalidRequestError, RequestError, RobotBrainError, Violation
from robot_brain.http.problems import problem
from tests.support.private_text import PRIVATE
from tests.support.raised_errors import raised_errors


def make(kind: type[RobotBrainError], text: str = PRIVATE) -> RobotBrainError:
    """Return an error of this kind. Its text is `text`, but the text of an InvalidRequestError is fixed."""
    if issubclass(kind, InvalidRequestError):
        return InvalidRequestError.at(["body"], "is wrong", "wrong")
    return kind(text)


STATUS = {
    "MalformedRequestError": 400,
    "ForbiddenError": 403,
    "SessionNotFoundError": 404,
    "TurnNotFoundError": 404,
    "UserNotFoundError": 404,
    "ConflictError": 409,
    "SessionBeingErasedError": 409,
    "UserBeingErasedError": 409,
    "IdempotencyKeyErasedError": 410,
    "PreconditionFailedError": 412,
    "UserPreconditionFailedError": 412,
    "RequestTooLargeError": 413,
    "UnsupportedMediaTypeError": 415,
    "InvalidRequestError": 422,
    "IdempotencyKeyReusedError": 422,
    "SettingsError": 500,
    "UnexpectedEventError": 500,
    "UnexpectedDatabaseError": 500,
    "SearchOffError": 501,
    "DatabaseWakingError": 503,
    "DatabaseOverloadedError": 503,
    "DatabaseAwayError": 503,
    "DatabaseReadOnlyError": 503,
    "DatabaseRefusedError": 503,
    "SchemaMissingError": 503,
    "SchemaOutdatedError": 503,
    "DeadlineExceededError": 504,
}
KINDS = sorted(raised_errors(), key=lambda kind: kind.__name__)


def test_every_error_that_is_raised_has_its_status() -> None:
    assert {kind.__name__: problem(make(kind), "")[0] for kind in KINDS} == STATUS
    assert problem(ValueError(PRIVATE), "")[0] == 500
    assert problem(MemoryError(), "")[0] == 500


def test_the_docstring_of_errors_draws_exactly_the_tree_of_classes() -> None:
    drawn = {line.split("── ")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "── " in line}
    assert drawn == {kind.__name__ for kind in KINDS} | {
        "RequestError",
        "DatabaseError",
        "DatabaseUnavailableError",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_problem_document_has_its_members(kind: type[RobotBrainError]) -> None:
    status, headers, body = problem(make(kind), "id-1")
    answer = json.loads(body)
    assert headers["content-type"] == "application/problem+json"
    assert set(answer) - {"errors"} == {"type", "title", "status", "detail", "request_id"}
    assert (answer["status"], answer["request_id"]) == (status, "id-1")
    assert ("errors" in answer) == (kind is InvalidRequestError)
    assert answer["title"] == ("Internal error" if kind is errors.UnexpectedDatabaseError else kind.title)


@pytest.mark.parametrize("error", [*(make(kind) for kind in KINDS), ValueError(PRIVATE)])
def test_no_cache_may_store_an_error(error: Exception) -> None:
    assert problem(error, "id-1")[1]["cache-control"] == "no-store"


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_quotes_only_the_text_of_an_error_of_the_request(kind: type[RobotBrainError]) -> None:
    _, _, body = problem(make(kind), "id-1")
    is_quoted = issubclass(kind, RequestError) and kind is not InvalidRequestError
    assert (PRIVATE in body) == is_quoted


@pytest.mark.parametrize(
    "error",
    [ValueError(PRIVATE), KeyError(PRIVATE), RuntimeError(PRIVATE), RecursionError(PRIVATE)],
)
def test_the_answer_to_an_unforeseen_exception_is_always_the_same(error: Exception) -> None:
    status, headers, body = problem(error, "id-1")
    assert (status, set(headers)) == (500, {"content-type", "cache-control"})
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Internal error",
        "status": 500,
        "detail": "The request failed for a reason that was not foreseen.",
        "request_id": "id-1",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_has_retry_after_exactly_if_a_retry_may_help(kind: type[RobotBrainError]) -> None:
    _, headers, _ = problem(make(kind), "id-1")
    is_busy = issubclass(kind, errors.ConflictError | errors.SessionBeingErasedError | errors.UserBeingErasedError)
    helps = is_busy or issubclass(kind, errors.DatabaseUnavailableError)
    assert headers.get("retry-after", "").isdigit() == helps


@pytest.mark.parametrize("kind", errors.DatabaseUnavailableError.__subclasses__())
def test_the_title_says_why_the_database_is_unavailable(kind: type[RobotBrainError]) -> None:
    assert json.loads(problem(kind(), "id-1")[2])["title"] in (
        "Database waking",
        "Database overloaded",
        "Database away",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_sentence_of_its_own(kind: type[RobotBrainError]) -> None:
    assert kind.summary().endswith((".", "see errors."))
    assert "\n" not in kind.summary()
    if kind is not InvalidRequestError:
        assert str(kind()) == kind.summary()


def test_the_errors_of_an_answer_are_limited_in_number_and_length() -> None:
    many: list[Violation] = [{"loc": ["body", "€" * 100_000, 3], "msg": "is wrong", "type": "wrong"}] * 100_000
    _, _, body = problem(InvalidRequestError(many), "id-1")
    assert len(json.loads(body)["errors"]) == 100
    assert json.loads(body)["errors"][0]["loc"] == ["body", "€" * 100, 3]
    assert len(many[0]["loc"][1] if isinstance(many[0]["loc"][1], str) else "") == 100_000
