"""The errors that end an operator's command. Each message says what to do."""


class OperatorError(Exception):
    """A command failed and exits with `exit_status`."""

    exit_status = 1


class SettingMissingError(OperatorError):
    """Set DIRECT_DATABASE_URL to the direct (not pooled) connection string of the database's owner."""

    exit_status = 2

    def __init__(self) -> None:
        """Take the docstring as the message."""
        super().__init__(type(self).__doc__)


class MigrationError(OperatorError):
    """A command on the database failed. The failed step changed nothing, unless it runs outside a transaction."""


class UsageError(OperatorError):
    """A switch is empty or wrong, or does not go with another one. Nothing was done."""

    exit_status = 2


class BuildError(OperatorError):
    """The bundle cannot be built with these settings."""

    exit_status = 2
