"""The errors of the layer that its code raises."""

from collections.abc import Iterator

from robot_brain.errors import RobotBrainError


def raised_errors(kind: type[RobotBrainError] = RobotBrainError) -> Iterator[type[RobotBrainError]]:
    """Yield each class under `kind` that has no subclass of its own: only those are raised."""
    subclasses = kind.__subclasses__()
    if not subclasses:
        yield kind
    for subclass in subclasses:
        yield from raised_errors(subclass)
