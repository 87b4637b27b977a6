"""Answers other nodes for the recordings of this one: a list of files, or a file.

The request is signed, which `node_application` checks, and names a call and its
business. That the call is this business's, this node reads from the database itself.
A file is read by threads, piece by piece with pauses: the event loop, which has calls,
waits for no disk, and has little else to do for it.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import IO
from uuid import UUID

import msgspec
from aiohttp import web

from bridge.recorder.far import FILE_S_MAX
from bridge.recorder.parts import files_of, number_of
from bridge.recorder.recording import AUDIO_BYTES_MAX, STEPS_BYTES_MAX
from bridge.telemetry.metrics import Metrics
from crm import calls
from crm.database import Database
from crm.transient import DATABASE_ERRORS

# A larger file is not read by anybody.
FILE_BYTES_MAX = STEPS_BYTES_MAX + AUDIO_BYTES_MAX
# Files that one process sends at a time.
SENDS_MAX = 2
# A piece takes some 0.2 ms of the event loop. With this pause after each, a file has at
# most 13 MB/s. Without one, four files at a time made the loop 35 ms late (p99).
PIECE_BYTES = 65_536
PIECE_PAUSE_S = 0.005


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """A file of this node."""

    name: str
    size_bytes: int
    modified_ns: int


class RecordingServer:
    """The recordings of one node, for the other nodes."""

    def __init__(
        self, database: Database, recordings: Path | None, metrics: Metrics
    ) -> None:
        self._database = database
        self._recordings = recordings
        self._metrics = metrics
        self._sends = 0

    async def listing(self, request: web.Request) -> web.Response:
        """Answer with the files of a call."""
        files = await self._files(request)
        listed = await asyncio.to_thread(lambda: [*map(_listed, files)])
        body = msgspec.msgpack.encode(listed)
        return web.Response(body=body, content_type="application/octet-stream")

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Send one file of a call."""
        name = request.query.get("file", "")
        path = next(
            (one for one in await self._files(request) if one.name == name), None
        )
        if path is None:
            raise web.HTTPNotFound
        if self._sends >= SENDS_MAX:
            self._metrics.count("recordings_sent", outcome="too_many")
            raise web.HTTPServiceUnavailable
        self._sends += 1
        outcome = "failed"
        try:
            async with asyncio.timeout(FILE_S_MAX):
                answer = await self._send(request, path)
            outcome = "sent"
        finally:
            self._sends -= 1
            self._metrics.count("recordings_sent", outcome=outcome)
        return answer

    async def _send(self, request: web.Request, path: Path) -> web.StreamResponse:
        try:
            file, size = await asyncio.to_thread(_opened, path)
        except FileNotFoundError:
            raise web.HTTPNotFound from None
        try:
            answer = web.StreamResponse()
            answer.content_type, answer.content_length = "application/zip", size
            await answer.prepare(request)
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                await answer.write(piece)
                await asyncio.sleep(PIECE_PAUSE_S)
            await answer.write_eof()
        finally:
            file.close()
        return answer

    async def _files(self, request: web.Request) -> list[Path]:
        """Return the files of the named call, if it is the named business's."""
        call_sid, business = (
            request.query.get(name, "") for name in ("call", "business")
        )
        folder, business_id = self._recordings, None
        with suppress(ValueError):
            business_id = UUID(business)
        if folder is None or business_id is None:
            return []
        # The call's id is a name of the database before it is one of the disk.
        try:
            row = await calls.find(self._database, business_id, call_sid)
        except DATABASE_ERRORS:
            raise web.HTTPServiceUnavailable from None
        if row is None:
            return []
        return await asyncio.to_thread(_existing, folder, call_sid)


def _existing(folder: Path, call_sid: str) -> list[Path]:
    return [
        one
        for one in files_of(folder, call_sid)
        if number_of(one.name, call_sid) is not None and one.exists()
    ]


def _listed(path: Path) -> Listed:
    stat = path.stat()
    return Listed(path.name, stat.st_size, stat.st_mtime_ns)


def _opened(path: Path) -> tuple[IO[bytes], int]:
    file = path.open("rb")
    return file, os.fstat(file.fileno()).st_size
