"""Files sent in pieces as the client takes them: of this machine, or of another."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import IO, Any

from aiohttp import web

from bridge.recorder.far import FILE_S_MAX, FarError


class FileAnswer(web.FileResponse):
    """A file whose pieces are read by threads.

    The port's transport knows no `sendfile`, which aiohttp would use on some loops.
    """

    async def _sendfile(
        self, request: web.BaseRequest, fobj: IO[Any], offset: int, count: int
    ) -> Any:
        writer = await web.StreamResponse.prepare(self, request)
        assert writer is not None, "a response is prepared once"
        return await self._sendfile_fallback(writer, fobj, offset, count)


async def send_pieces(
    request: web.Request,
    pieces: AsyncGenerator[bytes],
    size_bytes: int,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Send a zip that comes from another machine; raises FarError if nothing comes.

    If it breaks off later, so does the answer: the browser sees that it is not whole.
    """
    async with aclosing(pieces):
        first = await anext(pieces, b"")
        answer = web.StreamResponse(headers=dict(headers))
        answer.content_type, answer.content_length = "application/zip", size_bytes
        await answer.prepare(request)
        try:
            async with asyncio.timeout(FILE_S_MAX):
                await answer.write(first)
                async for piece in pieces:
                    await answer.write(piece)
            await answer.write_eof()
        except (FarError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
    return answer
