"""What the live page needs of the service: to see, hear and join running calls."""

from typing import Protocol

from bridge.call.plan import LineOrder
from bridge.telemetry.live_call import Snapshot


class OperatorLine(Protocol):
    """An operator's connection to one running call."""

    async def take(self) -> bytes:
        """Return pairs of frames, the caller's and what the caller hears.

        The result is empty once the call is over, and on a line that does not hear.
        """

    async def obey(self, order: LineOrder) -> None:
        """Pass an order to the call."""

    async def speak(self, frames: bytes) -> None:
        """Send the caller what the operator says, after a takeover."""

    async def close(self) -> None:
        """Leave the call."""


class LivePort(Protocol):
    """The running calls of all processes that can be reached."""

    async def snapshot(self) -> Snapshot:
        """Return the calls as they are now."""

    async def open_line(
        self, call_sid: str, business_id: str, name: str, page: str, *, hears: bool
    ) -> OperatorLine | None:
        """Return a line to a running call of a business; None if there is none.

        `page` tells the open pages of operators of one name apart.
        """
