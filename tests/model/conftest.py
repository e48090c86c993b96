"""A database that all tests of a file share, each as a tenant of its own."""

from collections.abc import Iterator

import pytest

from tests.support.servers.databases import Database, Template


@pytest.fixture(scope="module")
def one_database(embedded_template: Template) -> Iterator[Database]:
    """Return a migrated database of the embedded server."""
    with embedded_template.clone("embedded") as database:
        yield database
