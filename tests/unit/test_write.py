"""The body of a write: which defaults it gets, what is refused, and that no value is converted."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_brain.bodies.write import Replacement, Write
from robot_brain.errors import InvalidRequestError
from robot_brain.limits import MAX_ITEMS_BYTES, MAX_METADATA_BYTES, MAX_TEXT_BYTES
from tests.support.bundle import Json


def turn(**fields: Any) -> Json:
    """Return a valid turn with empty texts."""
    return {"robot_personality": "barista", "user_message": "", "robot_response": "", **fields}


def interaction(**fields: Any) -> Json:
    """Return a valid interaction."""
    return {"interaction_type": "order", "duration_ms": 5, "success": True, **fields}


def refusals(document: Json) -> list[tuple[list[str | int], str]]:
    """Return the place and the kind of each rule that `document` breaks."""
    with pytest.raises(InvalidRequestError) as error:
        Write(document)
    return [(found["loc"], found["type"]) for found in error.value.errors]


def test_one_turn_becomes_a_list_of_one_turn_with_its_defaults() -> None:
    write = Write(turn(user_metadata={"name": "Ada"}))
    assert write.turns == 1
    assert json.loads(write.arguments["messages"]) == [turn(metadata={})]
    assert write.arguments["user_metadata"] is not None
    assert json.loads(write.arguments["user_metadata"]) == {"name": "Ada"}


def test_a_batch_keeps_its_order() -> None:
    write = Write({"messages": [turn(user_message=str(number)) for number in range(100)]})
    assert write.turns == 100
    assert [message["user_message"] for message in json.loads(write.arguments["messages"])] == [
        str(number) for number in range(100)
    ]
    assert write.arguments["user_metadata"] is None


def test_one_turn_and_a_batch_of_that_turn_are_the_same_write() -> None:
    sent = turn(metadata={"b": 1, "a": None}, interaction=interaction())
    assert Write(dict(sent)).arguments["messages"] == Write({"messages": [sent]}).arguments["messages"]


def test_the_robot_id_of_an_interaction_is_the_personality_by_default() -> None:
    (message,) = json.loads(Write(turn(interaction=interaction())).arguments["messages"])
    assert message["interaction"] == interaction(robot_id="barista")
    (message,) = json.loads(Write(turn(interaction=interaction(robot_id="r2"))).arguments["messages"])
    assert message["interaction"] == interaction(robot_id="r2")


def test_an_interaction_with_empty_metadata_is_the_same_write_as_one_without() -> None:
    empty = Write(turn(interaction=interaction(metadata={})))
    assert empty.arguments["messages"] == Write(turn(interaction=interaction())).arguments["messages"]
    (message,) = json.loads(Write(turn(interaction=interaction(metadata={"a": None}))).arguments["messages"])
    assert message["interaction"]["metadata"] == {"a": None}


def test_items_are_kept_and_counted_and_absent_items_stay_absent() -> None:
    items: list[Json] = [{}, {"type": "call", "arguments": [None, 1.5, {"a": []}]}]
    write = Write({"messages": [turn(items=items), turn(), turn(items=[])]})
    assert [message.get("items") for message in json.loads(write.arguments["messages"])] == [items, None, []]
    assert (write.turns, write.items) == (3, 2)


def items_of(size: int) -> list[Json]:
    """Return items whose JSON without spaces has `size` bytes."""
    return [{"a": "€"}, {"a": "x" * (size - len('[{"a":"€"},{"a":""}]'.encode()))}]


def test_items_of_256_kib_of_json_are_taken_and_a_byte_more_is_refused() -> None:
    fitting, larger = items_of(MAX_ITEMS_BYTES), items_of(MAX_ITEMS_BYTES + 1)
    assert Write(turn(items=fitting)).items == 2
    assert Write({"messages": [turn(items=fitting)] * 3}).items == 6
    assert Replacement(replacement(items=fitting)).items == 2
    assert refusals(turn(items=larger)) == [(["body", "items"], "items_too_large")]
    batch = {"messages": [turn(items=fitting), turn(items=larger)]}
    assert refusals(batch) == [(["body", "messages", 1, "items"], "items_too_large")]
    with pytest.raises(InvalidRequestError) as error:
        Replacement(replacement(items=larger))
    assert error.value.errors[0]["loc"] == ["body", "items"]


def replacement(**fields: Any) -> Json:
    """Return a valid replacement with empty texts."""
    return {"user_message": "", "robot_response": "", **fields}


def test_a_replacement_gets_empty_metadata_by_default_and_keeps_absent_items_absent() -> None:
    assert json.loads(Replacement(replacement()).turn) == replacement(metadata={})
    sent = replacement(items=[{"a": 1}], metadata={"b": 2}, interaction=interaction())
    assert json.loads(Replacement(sent).turn) == sent | {"interaction": interaction(metadata={})}


@pytest.mark.parametrize("member", ["robot_personality", "user_metadata", "id", "created_at"])
def test_a_replacement_cannot_change_what_stays(member: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        Replacement(replacement(**{member: "barista"}))
    assert [(found["loc"], found["type"]) for found in error.value.errors] == [(["body", member], "extra_forbidden")]


def test_null_inside_metadata_is_kept() -> None:
    metadata = {"a": None, "b": [None, {"c": None}]}
    (message,) = json.loads(Write(turn(metadata=metadata)).arguments["messages"])
    assert message["metadata"] == metadata


def test_default_metadata_is_not_shared_between_turns() -> None:
    first = json.loads(Write({"messages": [turn(metadata={"a": 1}), turn()]}).arguments["messages"])
    assert [message["metadata"] for message in first] == [{"a": 1}, {}]
    assert json.loads(Write(turn()).arguments["messages"])[0]["metadata"] == {}


def test_every_broken_rule_of_a_body_is_named() -> None:
    assert refusals({"messages": [turn(robot_personality=""), turn(x=1), {}]}) == [
        (["body", "messages", 0, "robot_personality"], "string_too_short"),
        (["body", "messages", 1, "x"], "extra_forbidden"),
        (["body", "messages", 2, "robot_personality"], "missing"),
        (["body", "messages", 2, "user_message"], "missing"),
        (["body", "messages", 2, "robot_response"], "missing"),
    ]


def test_up_to_1000_broken_rules_the_first_100_are_named_and_beyond_that_only_too_many_errors() -> None:
    hundreds = refusals(turn(**{f"x{number}": 0 for number in range(1000)}))
    assert hundreds == [(["body", f"x{number}"], "extra_forbidden") for number in range(100)]
    assert refusals(turn(**{f"x{number}": 0 for number in range(1001)})) == [(["body"], "too_many_errors")]


@pytest.mark.parametrize("member", ["metadata", "user_metadata", "interaction"])
@pytest.mark.parametrize("value", [None, [], "{}", 0, False])
def test_an_optional_object_is_an_object_or_absent(member: str, value: object) -> None:
    ((loc, _),) = refusals(turn(**{member: value}))
    assert loc == ["body", member]


# A client reads these texts. They use the terms of JSON, not those of Python or the validator.
_MISTAKES: list[tuple[Json, str]] = [
    (turn(metadata=None), "must be an object"),
    (turn(metadata=[]), "must be an object"),
    (turn(user_metadata=None), "must be an object"),
    (turn(interaction=None), "must be an object"),
    ({"messages": None}, "must be an array"),
    ({"messages": {}}, "must be an array"),
    ({"messages": [None]}, "must be an object"),
    ({"messages": []}, "must have at least 1 element"),
    ({"messages": [turn()] * 101}, "must have at most 100 elements"),
    (turn(user_message=None), "must be a string"),
    (turn(robot_personality=7), "must be a string"),
    (turn(robot_personality=""), "must have at least 1 character"),
    (turn(robot_personality="x" * 51), "must have at most 50 characters"),
    (turn(x=None), "is not a known member"),
    ({"user_message": "", "robot_response": ""}, "is missing"),
    (turn(interaction=interaction(success=None)), "must be true or false"),
    (turn(interaction=interaction(success="true")), "must be true or false"),
    (turn(interaction=interaction(robot_id=None)), "must be a string"),
    (turn(interaction=interaction(duration_ms=None)), "must be a whole number"),
    (turn(interaction=interaction(duration_ms=True)), "must be a whole number"),
    (turn(interaction=interaction(duration_ms=1.0)), "must be a whole number"),
    (turn(interaction=interaction(duration_ms=1.5)), "must be a whole number"),
    (turn(interaction=interaction(duration_ms=-1)), "must be at least 0"),
    (turn(interaction=interaction(duration_ms=2**31)), "must be at most 2147483647"),
    (turn(interaction=interaction(duration_ms=10**300)), "must be at most 2147483647"),
    (turn(interaction=interaction(duration_ms=-(10**300))), "must be at least 0"),
    (turn(user_message="a" * (MAX_TEXT_BYTES + 1)), "must be at most 256 KiB of UTF-8"),
    (turn(metadata={"a": "b" * MAX_METADATA_BYTES}), "must be at most 16 KiB as stored"),
    (turn(items=None), "must be an array"),
    (turn(items={}), "must be an array"),
    (turn(items=[None]), "must be an object"),
    (turn(items=[[]]), "must be an object"),
    (turn(items=[{}] * 201), "must have at most 200 elements"),
    (turn(items=[{"a": "b" * MAX_ITEMS_BYTES}]), "must be at most 256 KiB as stored"),
    (turn(interaction=interaction(metadata=None)), "must be an object"),
]


@pytest.mark.parametrize(("document", "message"), _MISTAKES)
def test_the_message_of_a_broken_rule_uses_the_terms_of_json(document: Json, message: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        Write(document)
    assert [found["msg"] for found in error.value.errors] == [message]


@given(
    st.dictionaries(
        st.sampled_from(["robot_personality", "user_message", "metadata", "interaction", "messages", "user_metadata"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(["duration_ms", "success", "user_message", "robot_id"]), inner, max_size=3
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_no_message_of_a_broken_rule_uses_the_terms_of_python(document: Json) -> None:
    try:
        Write(document)
    except InvalidRequestError as error:
        for found in error.errors:
            assert re.match(r"(must (be|have)|is missing|is not) ?", found["msg"]), found


@pytest.mark.parametrize("value", [None, True, 1.0, "1", -1, 2**31, 10**300, []])
def test_a_duration_other_than_a_whole_number_from_0_to_2_31_minus_1_is_refused(value: object) -> None:
    ((loc, _),) = refusals(turn(interaction=interaction(duration_ms=value)))
    assert loc == ["body", "interaction", "duration_ms"]


@pytest.mark.parametrize("value", [None, 0, 1, "true", []])
def test_a_success_other_than_true_or_false_is_refused(value: object) -> None:
    assert refusals(turn(interaction=interaction(success=value))) == [(["body", "interaction", "success"], "bool_type")]


@pytest.mark.parametrize("length", [1, 50])
def test_a_robot_personality_has_1_to_50_code_points(length: int) -> None:
    for character in ("a", "€", "\U0001f916"):
        assert Write(turn(robot_personality=character * length)).turns == 1
        assert refusals(turn(robot_personality=character * 51)) == [(["body", "robot_personality"], "string_too_long")]


@pytest.mark.parametrize("character", ["a", "é", "€", "\U0001f916"])
def test_a_text_has_at_most_256_kib_of_utf_8(character: str) -> None:
    fitting = character * (MAX_TEXT_BYTES // len(character.encode()))
    fitting += "a" * (MAX_TEXT_BYTES - len(fitting.encode()))
    assert Write(turn(user_message=fitting, robot_response=fitting)).turns == 1
    assert refusals(turn(user_message=fitting + "a")) == [(["body", "user_message"], "text_too_large")]
    assert refusals(turn(robot_response="a" + fitting)) == [(["body", "robot_response"], "text_too_large")]


@pytest.mark.parametrize("member", ["metadata", "user_metadata"])
def test_metadata_has_at_most_16_kib_as_stored(member: str) -> None:
    fitting = {"a": "b" * (MAX_METADATA_BYTES - len('{"a": ""}'))}
    assert Write(turn(**{member: fitting})).turns == 1
    assert refusals(turn(**{member: {"a": fitting["a"] + "b"}})) == [(["body", member], "metadata_too_large")]
    # 53 numbers take 272 bytes as JSON, but PostgreSQL stores each with 309 digits.
    assert refusals(turn(**{member: {"a": [1e308] * 53}})) == [(["body", member], "metadata_too_large")]
