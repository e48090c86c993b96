"""What ends an operator's command; the message says what to do."""


class OperatorError(Exception):
    """A command failed. `exit_status` is that of the command."""

    exit_status = 1


class SettingMissingError(OperatorError):
    """Set DIRECT_DATABASE_URL to the direct (not pooled) connection string of the database's owner."""

    exit_status = 2

    def __init__(self) -> None:
        """Take the docstring as the message."""
        super().__init__(type(self).__doc__)


class MigrationError(OperatorError):
    """A command on the database failed. Nothing of the failed step was kept."""


class BuildError(OperatorError):
    """The bundle cannot be built with these settings."""

    exit_status = 2
