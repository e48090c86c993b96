"""The interactions of turns in GET /users/{user_id}/export."""

from tests.support.bundle import Bundle, turn


def test_an_exported_turn_has_its_interaction_and_a_turn_without_one_has_no_such_member(bundle: Bundle) -> None:
    done = {"interaction_type": "order", "duration_ms": 7, "success": True, "robot_id": "r", "metadata": {"a": 1}}
    bundle.write("s", turn(1, interaction=done))
    bundle.write("s", turn(2))
    assert bundle.patch("s", {"user_id": "ann"}).status == 200
    first, second = bundle.export("ann").json["turns"]
    assert first["interaction"] == done
    assert "interaction" not in second
