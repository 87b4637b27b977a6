"""A node's way to PostgreSQL, which may be cut.

The node connects to a socket of its own, and each connection is forwarded. What a node
sends while its way is cut is kept, and arrives when the way is whole again, as over a
network.
"""

import asyncio
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

# PostgreSQL's name of the socket in a folder, with its usual port.
SOCKET = ".s.PGSQL.5432"


class Link:
    """A forwarder between one node and the server that a URL leads to."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._server = Path(parse_qs(self._parts.query)["host"][0]) / SOCKET
        # A socket's path has 107 bytes at most.
        self._folder = Path(tempfile.mkdtemp(prefix="kolbridge-"))
        self._whole = asyncio.Event()
        self._listening: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The URL with this socket's folder in it."""
        query = f"host={quote(str(self._folder), safe='')}"
        return self._parts._replace(query=query).geturl()

    async def open(self) -> None:
        """Begin to forward."""
        self.mend()
        self._listening = await asyncio.start_unix_server(
            self._forward, self._folder / SOCKET
        )

    def cut(self) -> None:
        """Let nothing through."""
        self._whole.clear()

    def mend(self) -> None:
        """Let everything through again."""
        self._whole.set()

    def close(self) -> None:
        """Accept no more connections."""
        if self._listening is not None:
            self._listening.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            there = await asyncio.open_unix_connection(self._server)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pipe(reader, there[1]), self._pipe(there[0], writer))

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
