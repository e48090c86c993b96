"""The kinds of server that a test runs on; without a mark a test with `database` runs on `embedded` and `pooled`."""

import pytest

# A pooler would change nothing, or would be in the way.
without_pooler = pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
# 16 has the memberships of 18, so that most tests of migrations leave it out.
every_version = pytest.mark.parametrize("cluster", ["distribution", "embedded16", "embedded18"], indirect=True)
over_tls = pytest.mark.parametrize("database", ["tls"], indirect=True)
# With TCP and passwords. The embedded server has neither.
over_tcp = pytest.mark.parametrize("database", ["tls", "pooled"], indirect=True)
# What depends on the connection itself.
every_kind = pytest.mark.parametrize("database", ["embedded", "tls", "pooled"], indirect=True)
