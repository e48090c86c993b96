"""Commands that an operator runs against a real database or AWS: `python -m ops` lists them."""
