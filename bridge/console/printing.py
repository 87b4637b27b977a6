"""Prints papers as PDF, one at a time for each worker, in a process of its own."""

import asyncio
import sys

import msgspec

from bridge.console.paper import Paper
from bridge.telemetry.log import server_logger

PRINT_S_MAX = 60.0
# The papers that may wait for the printing process; further ones come later.
WAITING_MAX = 4
_ERROR_BYTES_MAX = 400


class TooBusy(Exception):
    """As many papers wait as may wait."""


class PrintError(Exception):
    """The process failed or took too long; the log says why."""


class Printing:
    """The printing of one worker."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def pdf_of(self, paper: Paper) -> bytes:
        """Return a paper as PDF; raises TooBusy or PrintError."""
        if self._waiting >= WAITING_MAX:
            raise TooBusy
        self._waiting += 1
        try:
            async with self._turn:
                return await self._print(msgspec.json.encode(paper))
        finally:
            self._waiting -= 1

    async def _print(self, data: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge.console.report_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PRINT_S_MAX):
                made, said = await process.communicate(data)
        except TimeoutError:
            server_logger().warning("a report was not printed in %s s", PRINT_S_MAX)
            raise PrintError from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            text = said[-_ERROR_BYTES_MAX:].decode(errors="replace").strip()
            server_logger().warning("a report was not printed: %s", text)
            raise PrintError
        return made
