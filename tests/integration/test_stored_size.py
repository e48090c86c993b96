"""The layer computes the same size of metadata as PostgreSQL."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from robot_brain.bodies.sizes import stored_size
from robot_brain.bodies.validation import as_json
from robot_brain.errors import MalformedRequestError
from robot_brain.http import json_body
from tests.support.json_values import values
from tests.support.servers.postgres import Postgres

# Numbers as clients may write them: with or without a point or an exponent, and with superfluous zeros.
written = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)

thorough = settings(max_examples=500, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

_SIZE = "select octet_length((%s::jsonb)::text)"


@pytest.fixture(scope="module")
def server(embedded_server: Postgres) -> Iterator[psycopg.Connection]:
    """One connection for all examples, which store nothing."""
    with embedded_server.admin() as admin:
        yield admin


def size_in(server: psycopg.Connection, value: Any) -> int:
    """Return the bytes of `value` as text of jsonb, sent as the layer sends it."""
    row = server.execute(_SIZE, (as_json(value),)).fetchone()
    assert row is not None
    return int(row[0])


@thorough
@given(value=values)
@example(value=[-0.0, 0.0, 1e308, -1e308, 5e-324, 1e16, 1e-5, 123456789.125, 2.5e-10, 1.7976931348623157e308])
@example(value={"": "", "\x7f\x80\u2028": '\x01\x1f\b\f\n\r\t"\\/', "é": [], "b": {}, "a": [[], {}]})
def test_the_computed_size_of_metadata_is_its_size_in_postgresql(server: psycopg.Connection, value: Any) -> None:
    assert stored_size(value) == size_in(server, value)


@thorough
@given(text=written)
@example(text="-0.0")
@example(text="1E+3")
@example(text="100.00")
def test_the_computed_size_of_a_number_in_any_spelling_is_its_size_in_postgresql(
    server: psycopg.Connection, text: str
) -> None:
    try:
        parsed = json_body.parse(f'{{"x": {text}}}', False)
    except MalformedRequestError:
        # Beyond the range of a double, or so small that the double is zero.
        assert abs(float(text)) in (0.0, float("inf"))
        return
    assert stored_size(parsed) == size_in(server, parsed)
