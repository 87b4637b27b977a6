"""What the page "Try it" needs of the service: to place a test call."""

from typing import NamedTuple, Protocol


class NotPlaced(Exception):
    """A test call that is refused; the text is the reason, as the metrics name it."""


class PlacedCall(NamedTuple):
    """A placed call: what a browser needs to open its stream, as Twilio does.

    `url` has the ticket, and is a path where the stream belongs to the page's own host;
    `parameters` are the stream's custom parameters.
    """

    url: str
    call_sid: str
    account_sid: str
    stream_sid: str
    parameters: dict[str, str]


class SoftphonePort(Protocol):
    """The test calls of one process."""

    async def place(self, number: str, viewer: str) -> PlacedCall:
        """Open a test call to a business's number; raises NotPlaced."""
