"""stored_size: the size of metadata as PostgreSQL stores it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_brain.bodies.sizes import stored_size


# The sizes are octet_length('…'::jsonb::text) in PostgreSQL 15 to 18. test_stored_size.py compares many more values
# with a real server.
@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({}, 2),
        ([], 2),
        (None, 4),
        ("é", 4),
        ('"\\\n\x01', 14),
        ("\x7f", 3),
        (-12, 3),
        (1.5, 3),
        (1e308, 309),
        (1e16, 17),
        (1e-7, 9),
        (-0.0, 3),
        ({"a": [1, True], "b": {}}, 25),
    ],
)
def test_the_stored_size_of_each_example_is_that_of_postgresql(value: object, size: int) -> None:
    assert stored_size(value) == size


@given(
    st.recursive(st.none() | st.integers(-(10**9), 10**9) | st.text(st.characters(exclude_categories=["Cs"])), st.lists)
)
def test_the_stored_size_of_values_without_objects_is_the_length_of_their_json(value: object) -> None:
    assert stored_size(value) == len(json.dumps(value, ensure_ascii=False).encode())
