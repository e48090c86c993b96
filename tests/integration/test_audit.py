"""The audit trail: each change of users, owners and old turns leaves one entry, without any text."""

from tests.support.bundle import Bundle, turn


def test_a_new_turn_leaves_no_entry(bundle: Bundle) -> None:
    assert bundle.write("demo", turn(1)).status == 201
    assert bundle.audit().json == {"entries": [], "page": {"cursor": None}}
