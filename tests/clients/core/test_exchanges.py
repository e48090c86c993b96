"""Items become turns and items again, whatever the items hold. No server is needed."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_brain_client.exchanges import (
    Exchange,
    Form,
    Role,
    batches,
    chunks,
    content,
    exchange,
    one_text,
    parts,
    shortened,
)


def _role(item: dict[str, Any]) -> Role:
    role = item.get("role")
    return "user" if role == "user" else "assistant" if role == "assistant" else "other"


def _text(item: dict[str, Any]) -> str | None:
    found = item.get("content")
    return found if isinstance(found, str) else None


FORM = Form("test", _role, _text, lambda role, text: {"role": role, "content": text})
OTHER_FORM = Form("other", _role, _text, lambda role, text: {"role": role, "said": text})

TEXTS = st.text(max_size=30) | st.sampled_from(["\0", "a\0b", "\ud800", "user_message", "$", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3) | st.fixed_dictionaries({"$": inner})
    ),
    max_leaves=10,
)
ITEMS = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool"]), "content": TEXTS | VALUES, "text": TEXTS},
    optional={"more": VALUES},
)


def stored(turn: dict[str, Any], seq: int = 1) -> dict[str, Any]:
    """Return a turn as the service returns it: JSON, and without an empty list of items."""
    whole = json.loads(json.dumps({"seq": seq, **turn}, ensure_ascii=False, allow_nan=False).encode())
    return {name: value for name, value in whole.items() if name != "items" or value}


@settings(max_examples=200, deadline=None)
@given(st.lists(ITEMS, min_size=1, max_size=6))
def test_the_items_of_a_turn_come_back_equal(items: list[dict[str, Any]]) -> None:
    turn = stored(content(FORM, Exchange(items, ["w"])))
    assert exchange(FORM, turn) == Exchange(items, ["w"])
    assert "\0" not in turn["user_message"] + turn["robot_response"]


@settings(max_examples=100, deadline=None)
@given(st.lists(ITEMS, max_size=8))
def test_items_are_split_before_each_item_of_a_user_and_keep_their_order(items: list[dict[str, Any]]) -> None:
    before, turns = parts(FORM, items)
    assert [*before, *(item for turn in turns for item in turn)] == items
    assert all(item["role"] != "user" for item in before)
    assert all([item["role"] for item in turn].count("user") == 1 and turn[0]["role"] == "user" for turn in turns)


def test_the_texts_are_the_sides_of_the_turn_and_are_not_repeated() -> None:
    items: list[dict[str, Any]] = [
        {"role": "user", "content": "cold?"},
        {"role": "assistant", "content": "I look."},
        {"call": 1},
        {"role": "assistant", "content": "-3"},
    ]
    turn = content(FORM, Exchange(items, []))
    assert (turn["user_message"], turn["robot_response"]) == ("cold?", "-3")
    assert turn["items"] == [
        {"role": "user", "content": {"$": "user_message"}},
        {"role": "assistant", "content": "I look."},
        {"call": 1},
        {"role": "assistant", "content": {"$": "robot_response"}},
    ]


def test_an_edited_text_is_what_the_framework_reads() -> None:
    turn = stored(content(FORM, Exchange([{"role": "user", "content": "my card is 1234"}], [])))
    assert exchange(FORM, {**turn, "user_message": "[redacted]"}).items == [{"role": "user", "content": "[redacted]"}]


def test_a_turn_that_another_client_completed_has_an_item_for_the_response() -> None:
    turn = stored(content(FORM, Exchange([{"role": "user", "content": "cold?"}], [])))
    items = exchange(FORM, {**turn, "robot_response": "-3"}).items
    assert items == [{"role": "user", "content": "cold?"}, {"role": "assistant", "content": "-3"}]


@pytest.mark.parametrize("form", [FORM, OTHER_FORM])
def test_a_turn_of_another_client_reads_as_its_texts(form: Form) -> None:
    plain = {"user_message": "cold?", "robot_response": "-3", "metadata": {}, "items": [{"tool": 1}]}
    assert exchange(form, plain).items == [form.made("user", "cold?"), form.made("assistant", "-3")]
    of_other = stored(content(FORM, Exchange([{"role": "user", "content": "cold?"}, {"call": 1}], [])))
    wanted = [{"role": "user", "content": "cold?"}]
    assert exchange(OTHER_FORM, of_other).items == [OTHER_FORM.made("user", "cold?")]
    assert exchange(FORM, of_other).items == [*wanted, {"call": 1}]


def test_a_text_that_is_too_large_or_cannot_be_stored_stays_in_its_item() -> None:
    for text in ("x" * (300 * 1024), "a\0b", "\ud800"):
        turn = content(FORM, Exchange([{"role": "user", "content": text}], []))
        assert turn["user_message"] == ""
        assert exchange(FORM, stored(turn)).items == [{"role": "user", "content": text}]


def test_numbers_that_are_no_json_and_deep_items_come_back() -> None:
    deep: Any = "end"
    for _ in range(70):
        deep = [deep]
    items = [{"role": "user", "content": "x", "deep": deep}, {"n": [math.inf, -math.inf]}, {"nan": math.nan}]
    turn = stored(content(FORM, Exchange(items, [])))
    found = exchange(FORM, turn).items
    assert found[:2] == items[:2]
    assert math.isnan(found[2]["nan"])


def nested(levels: int) -> Any:
    """Return a value with this many levels."""
    value: Any = "end"
    for _ in range(levels - 1):
        value = {"x": value}
    return value


def test_items_of_500_levels_come_back_and_deeper_ones_are_refused_before_anything_is_sent() -> None:
    items = [{"role": "user", "content": "x"}, nested(500)]
    assert exchange(FORM, stored(content(FORM, Exchange(items, [])))).items == items
    for levels in (501, 3_000, 100_000):
        for refused in (content, lambda form, each: each.fits(each.items)):
            with pytest.raises(ValueError, match="deeper than 500 levels"):
                refused(FORM, Exchange([nested(levels)], []))


def test_items_that_do_not_fit_into_a_turn_are_split() -> None:
    assert [len(part) for part in chunks([{"n": each} for each in range(450)])] == [200, 200, 50]
    assert [len(part) for part in chunks([{"t": "x" * 100_000}] * 5)] == [2, 2, 1]


def test_turns_that_do_not_fit_into_a_request_are_split() -> None:
    assert [len(part) for part in batches([[{"n": each}] for each in range(250)])] == [100, 100, 50]
    assert [len(part) for part in batches([[{"t": "x" * 240_000}]] * 20)] == [8, 8, 4]
    assert batches([]) == []


def test_the_ids_of_the_last_twenty_writes_are_kept() -> None:
    writes = [str(number) for number in range(30)]
    assert content(FORM, Exchange([], writes))["metadata"]["robot_brain_client"]["writes"] == writes[-20:]


def test_other_metadata_and_items_of_another_client_stay_if_an_item_is_taken_out() -> None:
    plain = {"user_message": "cold?", "robot_response": "-3", "metadata": {"a": 1}, "items": [{"tool": 1}]}
    body = shortened(FORM, plain, 1, "w")
    assert body == {
        "user_message": "cold?",
        "robot_response": "",
        "items": [{"tool": 1}],
        "metadata": {"a": 1, "robot_brain_client": {"writes": ["w"]}},
    }


@pytest.mark.parametrize(
    ("content_", "text"),
    [
        ("a", "a"),
        (["a"], "a"),
        ([{"type": "text", "text": "a"}, {"type": "image_url"}], "a"),
        (["a", {"type": "text", "text": "b"}], None),
        ([], None),
        (None, None),
    ],
)
def test_the_text_of_a_content_is_its_only_text(content_: Any, text: str | None) -> None:
    assert one_text(content_) == text
