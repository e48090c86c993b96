"""The cursor of GET /users with the longest ids."""

import pytest

from robot_brain.limits import MAX_USER_ID_LENGTH
from tests.support.bundle import Bundle


@pytest.mark.parametrize("character", ["\U0001f916", "é", '"', "u"])
def test_a_walk_over_users_goes_on_after_an_id_of_the_longest_form(bundle: Bundle, character: str) -> None:
    longest = character * MAX_USER_ID_LENGTH
    for user_id in ("first", longest):
        assert bundle.user("PUT", user_id, {}).status == 201
    page = bundle.users(limit=1)
    assert [user["id"] for user in page.json["users"]] == [longest]
    following = bundle.users(limit=1, cursor=page.json["page"]["cursor"])
    assert following.status == 200, following.body
    assert [user["id"] for user in following.json["users"]] == ["first"]
