"""What several test files mark their tests with, and a text that no log line and no answer may repeat."""

import pytest

# A content that must stay out of logs and error answers.
MARK = "MARKED-4711"

# A pooler would change nothing, so the third kind of `database` would only cost time.
without_pooler = pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
over_tls = pytest.mark.parametrize("database", ["tls"], indirect=True)
# TCP and passwords, which the embedded server has not.
over_tcp = pytest.mark.parametrize("database", ["tls", "pooled"], indirect=True)
