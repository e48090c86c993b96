"""The wall clock of one server process, which can be set without a change of the machine's clock."""

from pathlib import Path


class WallClock:
    """An offset in a file, which libfaketime reads when the server looks at its clock.

    Only wall time moves. The monotonic clock and the times of files stay those of the machine. So a step makes no wait
    of the server longer or shorter.
    """

    def __init__(self, library: Path, offset: Path, kept: int = 0) -> None:
        """Take the paths of libfaketime.so.1 and of the file. The server must be able to read the file.

        A process of the server sees a step at once, or with `kept` at most a second after so many seconds. To read the
        file, libfaketime allocates memory. PostgreSQL looks at its clock in the handler of its timers, too. If the
        signal interrupts an allocation, the process aborts. So a server with much work must keep the offset.
        """
        self._library = library
        self._offset = offset
        self._kept = kept
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the server is started with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            # Otherwise each process of the server sees a step up to ten seconds later.
            **({"FAKETIME_CACHE_DURATION": str(self._kept)} if self._kept else {"FAKETIME_NO_CACHE": "1"}),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds: int) -> None:
        """Set the server's clock `seconds` ahead of the machine's. If `seconds` is negative, set it behind."""
        new = self._offset.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.chmod(0o644)
        new.replace(self._offset)
