"""The kinds of server that a test runs on; without a mark a test with `database` runs on all three."""

import pytest

# A pooler would change nothing, so the third kind of `database` would only cost time.
without_pooler = pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
# Both versions of PostgreSQL, TLS and the pooler. The third kind differs from `pooled` in the connection alone.
on_both_versions = pytest.mark.parametrize("database", ["embedded", "pooled"], indirect=True)
# 16 has the memberships of 18. test_migrations.py and test_migration_files.py migrate it.
two_versions = pytest.mark.parametrize("cluster", ["distribution", "embedded18"], indirect=True)
over_tls = pytest.mark.parametrize("database", ["tls"], indirect=True)
# With TCP and passwords. The embedded server has neither.
over_tcp = pytest.mark.parametrize("database", ["tls", "pooled"], indirect=True)
