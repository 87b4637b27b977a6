"""FileAnswer: a file, or a range of it, sent in pieces as the client takes them."""

from typing import IO, Any

from aiohttp import web


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
