"""The counts of the suite, at the end of a run."""

import pytest

from tests.isolation.counts import ASKED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many requests the suite has made in this process."""
    for kind, number in sorted(ASKED.items()):
        terminalreporter.write_line(f"isolation: {number} {kind}")
