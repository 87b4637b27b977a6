"""The body of a request or an answer, read to its end within a limit."""

from collections.abc import AsyncIterator
from typing import Protocol


class Content(Protocol):
    """A body that comes in pieces, such as aiohttp's `StreamReader`."""

    def iter_any(self) -> AsyncIterator[bytes]:
        """Yield what has come, until the end."""


async def read_body(content: Content, bytes_max: int) -> bytes | None:
    """Return a whole body; None for one that is longer than `bytes_max`.

    `StreamReader.read` returns when it has the first piece, and is of no use here.
    """
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > bytes_max:
            return None
    return bytes(body)
