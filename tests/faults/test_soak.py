"""One minute of the soak, with the faults that fit into it. `make soak` runs all of it."""

from pathlib import Path

from tests.faults.soaking import figures_of
from tests.support.servers.binaries import debian_pgbouncer, debian_postgres, skip_without

SECONDS = 60
# Recovery from the last fault, the end of open requests, and the start and stop of servers.
AT_MOST_SECONDS = SECONDS + 600


def test_a_minute_of_faults_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    skip_without(debian_postgres)
    skip_without(debian_pgbouncer)
    figures = figures_of("tests.soak", tmp_path / "result.json", SECONDS, AT_MOST_SECONDS)
    kinds = ("lost", "doubled", "gaps", "half_batches", "lost_edits", "undead")
    assert [figures[kind] for kind in kinds] == [0] * len(kinds)
    assert figures["acknowledged"] > 0
    assert figures["faults"] > 0
