"""A standby takes over while clients write, change, erase and read through real execution environments.

`python -m tests.soak.failover` runs longer, and in three modes.
"""

from pathlib import Path

from tests.faults.soaking import figures_of
from tests.support.servers.binaries import debian_postgres, skip_without

SECONDS = 9
AT_MOST_SECONDS = 600


def test_a_synchronous_standby_that_takes_over_under_load_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    skip_without(debian_postgres)
    result = figures_of("tests.soak.failover", tmp_path / "result.json", SECONDS, AT_MOST_SECONDS, MODES="sync")
    (figures,) = result["modes"]
    assert (figures["lost"], figures["doubled"], figures["figures_wrong"], figures["chains_broken"]) == (0, 0, 0, 0)
    assert figures["acknowledged_turns"] > 0
