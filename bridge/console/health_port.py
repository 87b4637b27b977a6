"""HealthPort: what the health page asks of the process that serves it."""

from typing import Protocol


class HealthPort(Protocol):
    """The checks of this process's node."""

    @property
    def is_checking(self) -> bool:
        """Whether the checks run, or are asked to."""

    def check_now(self) -> None:
        """Have the checks run as soon as they do not run already."""
