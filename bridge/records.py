"""Writes what a call leaves behind, beside the calls that run.

A record goes to the worker's journal first, and from there into the database, however
long that is away; a restart goes on where the last run stopped, and the database tells
what it has already, so that each call is written exactly once. Nothing waits for this
module.
"""

import asyncio
from pathlib import Path
from typing import NamedTuple
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


class _Incoming(NamedTuple):
    """A record, or the one a call would leave if the process did not outlive it."""

    kept: Kept
    is_begun: bool


class RecordWriter:
    """The one writer of a process's records, from `start` to `close`."""

    def __init__(self, database: Database, home: Path, metrics: Metrics) -> None:
        self._database = database
        self._journal = Journal(home / "unwritten")
        self._metrics = metrics
        self._incoming: asyncio.Queue[_Incoming] = asyncio.Queue(RECORDS_INCOMING_MAX)
        # Records, and not begun ones, that are not in the journal yet.
        self._unkept = 0
        self._has_more = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._retry_s = RETRY_S_MIN

    @property
    def waiting(self) -> int:
        """How many records are not in the database yet."""
        return self._unkept + self._journal.waiting

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

    def begin(self, kept: Kept) -> None:
        """Keep what is to be written of a call should the process die before `add`."""
        self._put(_Incoming(kept, is_begun=True))

    def add(self, kept: Kept) -> None:
        """Have a record written, soon."""
        self._put(_Incoming(kept, is_begun=False))

    def _put(self, incoming: _Incoming) -> None:
        kept = incoming.kept
        try:
            self._incoming.put_nowait(incoming)
            self._unkept += not incoming.is_begun
        except asyncio.QueueFull:
            self._metrics.count("records", outcome="lost")
            _log(kept).error("record lost: the disk is too slow")

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
            try:
                await asyncio.to_thread(self._to_disk, batch)
            except OSError as error:
                server_logger().error("the journal cannot be written: %s", error)
                for kept, is_begun in batch:
                    if not is_begun:
                        await self._write(kept)
            self._unkept -= sum(not one.is_begun for one in batch)
            self._is_idle.clear()
            self._has_more.set()
            for _ in batch:
                self._incoming.task_done()

    def _to_disk(self, batch: list[_Incoming]) -> None:
        begun = [kept for kept, is_begun in batch if is_begun]
        ended = [kept for kept, is_begun in batch if not is_begun]
        for kept in begun:
            self._journal.begin(kept.call.call_sid, msgspec.json.encode(kept))
        if ended:
            self._journal.append([msgspec.json.encode(kept) for kept in ended])
        for kept in ended:
            self._journal.end(kept.call.call_sid)

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
        log = _log(kept)
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


def _log(kept: Kept) -> CallLogger:
    return CallLogger(kept.call.call_sid, str(kept.business_id))
