"""What an end user may do, and what a caller that sees all users' sessions may do for it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.isolation.asking import ask
from tests.isolation.calling import SCOPE, As, by_token
from tests.isolation.parties import Party
from tests.isolation.route_cases import TURN
from tests.support.bundle import deployed
from tests.support.servers.databases import Database

ANN, BEA, SERVICE = Party("acme", "ann"), Party("acme", "bea"), Party("acme")
JWT = {"AUTH": "jwt", "TENANT_FROM": "claim:tenant"}


@pytest.fixture
def ann(embedded_database: Database) -> Iterator[As]:
    """The functions as the end user ann."""
    with deployed({"DATABASE_URL": embedded_database.app_url, **JWT}):
        yield by_token(ANN)


def ids(caller: As, **query: object) -> list[str]:
    """Return the ids in a caller's list."""
    return sorted(each["id"] for each in caller.sessions(**query).json["sessions"])


def test_an_end_user_owns_what_it_makes_by_post_and_by_patch(ann: As) -> None:
    assert ann.write("posted", TURN).status == 201
    assert ann.patch("patched", {"user_metadata": {"a": 1}}).json["session"]["user_id"] == "ann"
    assert ann.read("posted").json["session"]["user_id"] == "ann"
    assert ids(ann) == ids(by_token(SERVICE), user_id="ann") == ["patched", "posted"]
    assert ids(by_token(BEA)) == []
    for each in ("posted", "patched"):
        assert ann.erase(each).status == 204


def test_an_end_user_may_name_no_user_in_a_patch(ann: As) -> None:
    ann.write("s", TURN)
    for user in ("ann", "bea", None):
        for session in ("s", "unknown"):
            assert ann.patch(session, {"user_id": user}).status == 403
    assert ann.read("unknown").status == 404
    assert ann.read("s").json["session"]["user_id"] == "ann"


def test_the_sql_function_refuses_an_end_user_that_sets_a_user(embedded_database: Database) -> None:
    with embedded_database.app() as app:
        ask(app, "patch_session", ANN, {"p_session_id": "s"})
        to_tom = {"p_session_id": "s", "p_user_id": "tom", "p_sets_user_id": True}
        assert ask(app, "patch_session", ANN, to_tom).sqlstate == "22023"


def test_an_end_user_may_filter_a_list_by_itself_alone(ann: As) -> None:
    ann.write("s", TURN)
    by_token(BEA).write("t", TURN)
    by_token(SERVICE).write("u", TURN)
    assert ann.sessions(user_id="bea").status == 403
    assert ann.sessions(user_id="nobody").status == 403
    assert ann.sessions(user_id="Ann").status == 403
    assert ids(ann, user_id="ann") == ids(ann) == ["s"]


def test_an_end_user_reads_neither_the_figures_of_all_nor_the_condition_of_the_database(ann: As) -> None:
    ann.write("s", TURN)
    assert ann.stats().status == 403
    assert ann.database_health().status == 403
    assert ann.stats(session_id="s").json["message_count"] == 1
    assert by_token(SERVICE).stats().status == by_token(SERVICE).database_health().status == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": SCOPE},
        {"scope": f"openid {SCOPE} email"},
        {"scp": f"[{SCOPE}]"},
        {"scp": f"[openid {SCOPE}]"},
        {"scope": "openid", "scp": f"[{SCOPE} openid]"},
    ],
)
def test_the_scope_of_all_users_is_found_in_each_form_of_the_claims(ann: As, claims: dict[str, str]) -> None:
    ann.write("s", TURN)
    service = by_token(Party("acme", "robot"), **claims)
    assert service.read("s").status == 200
    assert ids(service) == ["s"]


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": f"{SCOPE}s"},
        {"scope": f"x{SCOPE}"},
        {"scope": SCOPE.upper()},
        {"scope": f"openid,{SCOPE}"},
        {"scope": f"openid\t{SCOPE}"},
        {"scope": f"map[{SCOPE}:true]"},
        {"scopes": SCOPE},
        {"roles": f"[{SCOPE}]"},
        {"scp": f"[{SCOPE}/]"},
        {"scp": ""},
        {},
    ],
)
def test_no_other_claim_gives_the_sessions_of_all_users(ann: As, claims: dict[str, str]) -> None:
    ann.write("s", TURN)
    bea = by_token(BEA, **claims)
    assert bea.read("s").status == 404
    assert bea.stats().status == 403


def test_a_scope_beside_the_claims_gives_nothing(ann: As) -> None:
    ann.write("s", TURN)
    bea = by_token(BEA)
    bea.authorizer["jwt"]["scopes"] = [SCOPE]
    bea.authorizer["scope"] = SCOPE
    assert bea.read("s").status == 404


def test_a_service_sees_all_and_may_set_and_filter_users(ann: As) -> None:
    service = by_token(SERVICE)
    ann.write("of ann", TURN)
    service.write("of the tenant", TURN)
    assert service.patch("of bea", {"user_id": "bea"}).status == 200
    assert ids(service) == ["of ann", "of bea", "of the tenant"]
    assert ids(service, user_id="bea") == ids(by_token(BEA)) == ["of bea"]
    assert service.write("of ann", TURN).status == 201
    assert ann.read("of ann").json["session"]["message_count"] == 2
    assert ann.read("of the tenant").status == 404


def test_a_moved_session_is_unknown_to_its_first_user_at_once(ann: As) -> None:
    service, bea = by_token(SERVICE), by_token(BEA)
    written = ann.write("s", TURN)
    tag = written.headers["etag"]
    moved = service.patch("s", {"user_id": "bea"})
    assert moved.headers["etag"] != tag
    content = {"user_message": "", "robot_response": ""}
    for state in ({}, {"if-match": tag}, {"if-match": moved.headers["etag"]}):
        assert ann.read("s", {"if-none-match": tag}).status == ann.read("s", state).status == 404
        assert ann.write("s", TURN, state).status == ann.patch("s", {}, state).status == 404
        assert ann.replace("s", 1, content, state).status == 404
        assert ann.remove("s", 0, state).status == ann.erase("s", state).status == 404
    assert ann.stats(session_id="s").status == 404
    assert ids(ann) == []
    assert ids(bea) == ["s"]
    assert bea.read("s").json["session"]["message_count"] == 1
    assert bea.write("s", TURN, {"if-match": moved.headers["etag"]}).status == 201
    service.patch("s", {"user_id": None})
    assert ann.read("s").status == bea.read("s").status == 404
    assert service.read("s").json["session"]["message_count"] == 2


def test_equal_keys_of_two_users_and_of_the_service_do_not_meet(ann: As) -> None:
    callers, key = (ann, by_token(BEA), by_token(SERVICE)), {"idempotency-key": "k"}
    for number, caller in enumerate(callers):
        first = caller.write(f"s{number}", TURN, key)
        assert (first.status, "idempotent-replayed" in first.headers) == (201, False)
    for number, caller in enumerate(callers):
        again = caller.write(f"s{number}", TURN, key)
        assert (again.status, again.headers.get("idempotent-replayed")) == (201, "true")
        assert caller.write("another", TURN, key).status == 422
    # The keys of all services are the tenant's.
    other_service = by_token(Party("acme", "other robot"), scope=SCOPE)
    assert other_service.write("s2", TURN, key).headers["idempotent-replayed"] == "true"


def test_a_user_whose_name_and_key_look_like_those_of_another_meets_no_answer_of_it(ann: As) -> None:
    key = {"idempotency-key": "k"}
    pairs = [(Party("acme", "a"), "b k"), (Party("acme", "a b"), "k"), (Party("acme:a"), "k"), (Party("acme"), "a:k")]
    for number, (party, name) in enumerate(pairs):
        assert "idempotent-replayed" not in by_token(party).write(f"s{number}", TURN, {"idempotency-key": name}).headers
    assert "idempotent-replayed" not in ann.write("s", TURN, key).headers


def test_a_free_id_is_free_again_for_any_user_after_an_erasure(ann: As) -> None:
    bea = by_token(BEA)
    ann.write("s", TURN)
    assert bea.write("s", TURN).status == 404
    assert ann.erase("s").status == 204
    assert bea.write("s", TURN).json["message_count"] == 1
    assert ann.write("s", TURN).status == ann.patch("s", {}).status == 404
    assert ann.read("s").status == 404


@pytest.mark.parametrize("user", ["a", "u" * 255, "ü" * 255, "'; select 1; --", "a b", "a]", "[a", "null", "*", "a:b"])
def test_each_valid_subject_is_a_user_of_its_own(ann: As, user: str) -> None:
    one = by_token(Party("acme", user))
    assert one.write("s", TURN).status == 201
    assert one.read("s").json["session"]["user_id"] == user
    assert ids(one) == ["s"]
    assert ann.read("s").status == 404


def test_a_late_retry_to_an_id_that_another_user_erased_writes_nothing(embedded_database: Database) -> None:
    # An erasure leaves this to other users: within the hour, a retry cannot know whose turns were erased.
    turn = json.dumps([{**TURN, "metadata": {}}])
    sent = {"p_session_id": "s", "p_messages": turn}
    with embedded_database.app() as app:
        assert ask(app, "write_message", BEA, sent).sqlstate is None
        assert ask(app, "erase_session", BEA, {"p_session_id": "s"}).row == ("erased",)
        retry = {**sent, "p_first_id": str(uuid.uuid4()), "p_repeated": True}
        assert ask(app, "write_message", ANN, retry).sqlstate == "RB409"
        assert ask(app, "write_message", ANN, {**retry, "p_session_id": "unknown"}).sqlstate is None
        assert ask(app, "write_message", ANN, sent).sqlstate is None
