"""Strategies of hypothesis for JSON values that a body may hold."""

from hypothesis import strategies as st

# PostgreSQL holds neither NUL nor half a surrogate pair.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
# Integers beyond 10**308 do not fit a double.
numbers = st.integers() | st.integers(-(10**308), 10**308) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=30,
)
