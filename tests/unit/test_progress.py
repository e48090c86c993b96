"""A long command says how far it is: in one line of a terminal, and now and then in a log."""

from io import StringIO

import pytest

from ops import progress
from ops.progress import Progress, size


class Terminal(StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (3_449_000, "3.4 MB"),
        (20_000_000_000, "20.0 GB"),
        (5_000_000_000_000_000, "5000.0 TB"),
    ],
)
def test_a_size_is_written_as_people_write_it(count: int, text: str) -> None:
    assert size(count) == text


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    log = StringIO()
    monkeypatch.setattr(progress, "IN_A_LOG", 0.0)
    shown = Progress(log)
    shown.show("one")
    monkeypatch.setattr(progress, "IN_A_LOG", 3600.0)
    shown.show("two")
    shown.show("too early")
    shown.clear()
    assert log.getvalue() == "one\ntwo\n"


def test_a_command_that_ends_soon_leaves_a_log_empty() -> None:
    log = StringIO()
    Progress(log).show("one")
    assert log.getvalue() == ""


def test_a_terminal_has_one_line_that_is_never_wider_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(progress, "ON_A_TERMINAL", 0.0)
    terminal = Terminal()
    shown = Progress(terminal)
    shown.show("x" * 100)
    shown.show("two")
    shown.clear()
    assert terminal.getvalue() == f"\r{'x' * 29}\x1b[K\rtwo\x1b[K\r\x1b[K"
