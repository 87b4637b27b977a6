"""The body of another node's answer, read to its end within a limit."""

import aiohttp


async def read_body(content: aiohttp.StreamReader, bytes_max: int) -> bytes | None:
    """Return a whole body; None for one that is longer than `bytes_max`.

    A body comes in pieces, and `StreamReader.read` returns when it has the first.
    """
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > bytes_max:
            return None
    return bytes(body)
