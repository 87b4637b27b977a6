"""Writes what a call leaves behind, beside the calls that run.

A record goes to the worker's journal first, and from there into the database, however
long that is away; a restart goes on where the last run stopped, and the database tells
what it has already, so that each call is written exactly once. Nothing waits for this
module.
"""

import asyncio
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec

from bridge.journal import Journal
from bridge.log import CallLogger, server_logger
from bridge.metrics import Metrics
from crm import calls
from crm.away import AWAY
from crm.database import Database

# Two hours of a busy worker's calls, while the disk does not answer.
RECORDS_INCOMING_MAX = 10_000
RETRY_S_MIN = 0.5
RETRY_S_MAX = 30.0


class Kept(msgspec.Struct, frozen=True):
    """A call as it waits to be written."""

    business_id: UUID
    call: calls.Call


class RecordWriter:
    """The one writer of a process's records, from `start` to `close`."""

    def __init__(self, database: Database, home: Path, metrics: Metrics) -> None:
        self._database = database
        self._journal = Journal(home / "unwritten")
        self._metrics = metrics
        self._incoming: asyncio.Queue[Kept] = asyncio.Queue(RECORDS_INCOMING_MAX)
        self._has_more = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._retry_s = RETRY_S_MIN

    @property
    def waiting(self) -> int:
        """How many records are not in the database yet."""
        return self._incoming.qsize() + self._journal.waiting

    def start(self) -> None:
        """Begin to write, first of all what an earlier run could not; OSError where the
        journal cannot be had."""
        self._journal.open()
        if self._journal.waiting:
            server_logger().warning(
                "%d call records of an earlier run are to be written", self.waiting
            )
        self._has_more.set()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep()), loop.create_task(self._run())]

    def add(self, kept: Kept) -> None:
        """Have a record written, soon."""
        try:
            self._incoming.put_nowait(kept)
        except asyncio.QueueFull:
            self._metrics.count("records", outcome="lost")
            CallLogger(kept.call.call_sid).error("record lost: the disk is too slow")

    async def close(self, patience_s: float) -> None:
        """Write what waits; what cannot be written in time stays in the journal."""
        try:
            async with asyncio.timeout(patience_s if self._tasks else 0):
                await self._incoming.join()
                await self._is_idle.wait()
        except TimeoutError:
            if self.waiting:
                server_logger().error("%d call records wait on disk", self.waiting)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._journal.close()

    async def _keep(self) -> None:
        """Move records into the journal as they come."""
        while True:
            batch = [await self._incoming.get()]
            while not self._incoming.empty():
                batch.append(self._incoming.get_nowait())
            lines = [msgspec.json.encode(kept) for kept in batch]
            try:
                await asyncio.to_thread(self._journal.append, lines)
            except OSError as error:
                server_logger().error("the journal cannot be written: %s", error)
                for kept in batch:
                    await self._write(kept)
            self._is_idle.clear()
            self._has_more.set()
            for _ in batch:
                self._incoming.task_done()

    async def _run(self) -> None:
        """Write the journal's records, in order."""
        while True:
            line = await asyncio.to_thread(self._journal.first)
            if line is None:
                self._has_more.clear()
                if not self._journal.waiting:
                    self._is_idle.set()
                    await self._has_more.wait()
                continue
            try:
                kept = msgspec.json.decode(line, type=Kept)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                server_logger().error("no call record in the journal: %s", error)
                await asyncio.to_thread(self._journal.refuse, line)
            else:
                if not await self._write(kept):
                    await asyncio.to_thread(self._journal.refuse, line)
            await asyncio.to_thread(self._journal.drop)

    async def _write(self, kept: Kept) -> bool:
        """Write one record, however long the database is away; False if refused."""
        log = CallLogger(kept.call.call_sid)
        while True:
            try:
                is_new = await calls.save(self._database, kept.business_id, kept.call)
            except AWAY as error:
                log.warning("record waits for the database: %s", type(error).__name__)
                self._metrics.count("records", outcome="retried")
                await asyncio.sleep(self._retry_s)
                self._retry_s = min(self._retry_s * 2, RETRY_S_MAX)
                continue
            except asyncpg.PostgresError as error:
                log.error("record refused: %s: %s", type(error).__name__, error)
                self._metrics.count("records", outcome="refused")
                return False
            self._retry_s = RETRY_S_MIN
            self._metrics.count("records", outcome="written" if is_new else "known")
            if is_new:
                log.info("[CRM] call written: turns=%d", len(kept.call.turns))
            return True
