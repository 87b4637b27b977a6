"""Writes the records of calls to the database, while other calls run.

A record goes to the worker's journal first, and from there into the database, however
long the database is unreachable. A restart continues where the last run stopped. The
database tells which records it has already, so that each call is written exactly once.
A database error about the record itself is final: the record is put aside
(`refused.py`). After any other failure the record is tried again, and the other records
do not wait for it. Nothing waits for this module.
"""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from bridge.records.journal import CALLS_FOLDER, Journal, Taken
from bridge.records.refused import RefusedRecords
from bridge.telemetry.log import CallLogger, server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import Backoff, SupervisedTask
from crm import calls
from crm.database import Database
from crm.transient import DATABASE_ERRORS, in_short, is_about_the_row

# The calls of a busy worker in two hours, while the disk does not answer.
RECORDS_INCOMING_MAX = 10_000
RETRY_S_MIN = 0.5
RETRY_S_MAX = 30.0
# The pause between two tries of a full disk while there is no new record.
DISK_RETRY_S = 5.0
# A record that failed while other records failed, too, is tried at once when a record
# is written: the database is back. A record with more tries fails for its own reasons.
TRIES_WITH_OTHERS_MAX = 5


class Kept(msgspec.Struct, frozen=True):
    """A call that waits to be written.

    `lead_due` is the caller's number where the database was unreachable when they
    called: the call must still be noted in their lead.
    """

    business_id: UUID
    call: calls.Call
    lead_due: str | None = None
    # The process died in the call, with which another process may go on.
    is_lost: bool = False


class _Incoming(NamedTuple):
    """A final record, or the record to write if the process dies during the call."""

    kept: Kept
    is_begun: bool


class RecordWriter:
    """The one writer of a process's records, from `start` to `close`."""

    def __init__(
        self,
        database: Database,
        home: Path,
        metrics: Metrics,
        *,
        lost_wait_s: float = 0.0,
    ) -> None:
        self._database = database
        # How long the record of a call whose process died waits, from when it is found,
        # for another process to go on with the call.
        self._lost_wait_s = lost_wait_s
        self._journal = Journal(home / CALLS_FOLDER)
        self.refused = RefusedRecords(home / CALLS_FOLDER)
        self._metrics = metrics
        self._incoming: asyncio.Queue[_Incoming] = asyncio.Queue(RECORDS_INCOMING_MAX)
        # The records on their way into the journal, kept if the write fails halfway.
        self._batch: list[_Incoming] = []
        # Final records, without begun ones, that are not in the journal yet.
        self._unkept = 0
        self._is_disk_full = False
        self._has_more = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._backoff = Backoff(RETRY_S_MIN, RETRY_S_MAX)
        # How many records in a row could not be written.
        self._failed_in_a_row = 0
        self._is_started = False
        self._tasks = (
            SupervisedTask("journal", self._keep, metrics),
            SupervisedTask("records", self._run, metrics),
        )

    @property
    def waiting(self) -> int:
        """How many records are not in the database yet."""
        return self._unkept + self._journal.waiting

    @property
    def in_memory(self) -> int:
        """How many records are in memory alone, because the disk refused them."""
        return self._journal.held

    def gauges(self, *, counts_refused: bool) -> dict[str, tuple[str, float]]:
        """Return the gauges of records."""
        refused = (
            "Call records that the database has refused: kolbridge calls --refused",
            self.refused.count() if counts_refused else 0,
        )
        return {
            "records_waiting": ("Call records not in the database yet", self.waiting),
            "records_in_memory": (
                "Call records in memory alone, because the disk has refused them",
                self.in_memory,
            ),
            "records_refused": refused,
        }

    def start(self) -> None:
        """Start to write, first the records that an earlier run could not write; raises
        OSError where the journal cannot be opened."""
        self._journal.open(monotonic())
        if self._journal.waiting:
            server_logger().warning(
                "%d call records of an earlier run are to be written", self.waiting
            )
        if self.in_memory:
            server_logger().error(
                "%d of them are in memory, too: the disk refuses them", self.in_memory
            )
        self._is_started = True
        for task in self._tasks:
            task.start()

    def begin(self, kept: Kept) -> None:
        """Keep the record to write if the process dies before `add`."""
        self._put(_Incoming(kept, is_begun=True))

    def drop(self, call_sid: str) -> None:
        """Forget the record that was to be written if the process died."""
        self._end(call_sid)

    def add(self, kept: Kept) -> None:
        """Queue a record to be written soon."""
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
        """Try to write all waiting records; the others stay in the journal."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s if self._is_started else 0):
                await self._incoming.join()
                self._is_idle.clear()
                # This process will not be here to write it later.
                self._lost_wait_s = 0.0
                await asyncio.to_thread(self._journal.hurry)
                self._has_more.set()
                await self._is_idle.wait()
        self._is_started = False
        for task in self._tasks:
            await task.stop()
        await asyncio.to_thread(self._say_what_is_left)
        self._journal.close()

    def _say_what_is_left(self) -> None:
        with suppress(OSError):
            if self._journal.held:
                self._journal.flush()
        lost = self._journal.held + self._unkept
        if lost:
            self._metrics.count("records", lost, outcome="lost")
            server_logger().error(
                "%d call records are lost: neither the disk nor the database took them",
                lost,
            )
        if self.waiting > lost:
            server_logger().error("%d call records wait on disk", self.waiting - lost)

    # --- into the journal ---

    async def _keep(self) -> None:
        """Move records into the journal as they arrive."""
        while True:
            await self._next_batch()
            await asyncio.to_thread(self._to_disk, self._batch)
            self._unkept -= sum(not one.is_begun for one in self._batch)
            done, self._batch = self._batch, []
            self._is_idle.clear()
            self._has_more.set()
            for _ in done:
                self._incoming.task_done()

    async def _next_batch(self) -> None:
        """Wait for records, or until the disk may have room for refused records."""
        if self._batch:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(DISK_RETRY_S if self._journal.held else None):
                self._batch.append(await self._incoming.get())
        while not self._incoming.empty():
            self._batch.append(self._incoming.get_nowait())

    def _to_disk(self, batch: list[_Incoming]) -> None:
        begun = [one.kept for one in batch if one.is_begun]
        ended = [one.kept for one in batch if not one.is_begun]
        try:
            self._journal.flush()
            for kept in begun:
                self._journal.begin(kept.call.call_sid, msgspec.json.encode(kept))
        except OSError as error:
            self._note_disk(error)
        if ended:
            self._append(ended)

    def _append(self, ended: list[Kept]) -> None:
        records = [msgspec.json.encode(kept) for kept in ended]
        try:
            self._journal.append(records)
        except OSError as error:
            self._note_disk(error)
            lost = self._journal.hold(records)
            self._metrics.count("records", len(records) - lost, outcome="in_memory")
            if lost:
                self._metrics.count("records", lost, outcome="lost")
                server_logger().error("%d call records are lost: memory is full", lost)
            server_logger().error(
                "%d call records are in memory only: the disk refuses them",
                self._journal.held,
            )
            return
        self._note_disk(None)
        for kept in ended:
            self._end(kept.call.call_sid)

    def _note_disk(self, error: OSError | None) -> None:
        """Log once that the disk refuses writes, and once that it accepts them."""
        if error is not None:
            self._metrics.count("journal_failures")
        if (error is not None) == self._is_disk_full:
            return
        self._is_disk_full = error is not None
        if error is None:
            server_logger().warning("the journal is written again")
        else:
            server_logger().error("the journal cannot be written: %s", error)

    def _end(self, call_sid: str) -> None:
        # A file that is left is written once more; the database knows the record.
        with suppress(OSError):
            self._journal.end(call_sid)

    # --- into the database ---

    async def _run(self) -> None:
        """Write the journal's records; those that failed before come last."""
        while True:
            self._has_more.clear()
            taken = None
            try:
                taken = await asyncio.to_thread(self._journal.take, monotonic())
                if taken is not None:
                    await self._settle(taken)
                    continue
            except Exception as error:
                await self._put_back(taken, error)
                continue
            if not self._journal.waiting:
                self._is_idle.set()
            now = monotonic()
            await self._wait(await asyncio.to_thread(self._journal.wait_s, now))

    async def _settle(self, taken: Taken) -> None:
        """Write a record, or put it aside for good; raises any error that may pass."""
        try:
            kept = msgspec.json.decode(taken.record, type=Kept)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            server_logger().error("no call record in the journal: %s", error)
            await self._refuse(taken, f"no call record: {error}")
            await asyncio.to_thread(self._journal.drop)
            return
        log = _log(kept)
        lost_until = taken.found_at + self._lost_wait_s
        if kept.is_lost and monotonic() < lost_until:
            await asyncio.to_thread(self._journal.put_back, lost_until)
            return
        try:
            is_new = await calls.save(
                self._database, kept.business_id, kept.call, lead_due=kept.lead_due
            )
        except asyncpg.PostgresError as error:
            if not is_about_the_row(error):
                raise
            text = f"{type(error).__name__}: {error}"
            await self._refuse(taken, text)
            why = in_short(error)
            log.error("record refused, see kolbridge calls --refused: %s", why)
        else:
            self._metrics.count("records", outcome="written" if is_new else "known")
            if is_new:
                log.info("[CRM] call written: turns=%d", len(kept.call.turns))
        await asyncio.to_thread(self._forget, kept.call.call_sid)

    async def _refuse(self, taken: Taken, refusal: str) -> None:
        await asyncio.to_thread(self.refused.add, taken.record, refusal)
        self._metrics.count("records", outcome="refused")

    def _forget(self, call_sid: str) -> None:
        """Remove a record: the database has it, or has refused it for good."""
        self._journal.drop()
        self._end(call_sid)
        self._backoff.reset()
        if self._failed_in_a_row > 1:
            self._journal.hurry(TRIES_WITH_OTHERS_MAX)
        self._failed_in_a_row = 0

    async def _put_back(self, taken: Taken | None, error: Exception) -> None:
        """Keep a record for a later try, and pause before the next query."""
        tries = 0 if taken is None else taken.tries
        retry_s = min(RETRY_S_MIN * 2 ** min(tries, 16), RETRY_S_MAX)
        await asyncio.to_thread(self._journal.put_back, monotonic() + retry_s)
        self._failed_in_a_row += 1
        self._metrics.count("records", outcome="retried")
        is_ours = not isinstance(error, DATABASE_ERRORS) and not tries
        _log_of(taken).warning(
            "record waits, %d tries so far: %s",
            tries + 1,
            in_short(error),
            exc_info=error if is_ours else None,
        )
        await self._wait(self._backoff.next_s())

    async def _wait(self, pause_s: float | None) -> None:
        """Wait for `pause_s`, or until a new record: it is tried at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._has_more.wait()


def _log(kept: Kept) -> CallLogger:
    return CallLogger(kept.call.call_sid, str(kept.business_id))


def _log_of(taken: Taken | None) -> logging.Logger | CallLogger:
    """Return the logger of the record's call, where the record can be decoded."""
    try:
        return _log(msgspec.json.decode(taken.record if taken else b"", type=Kept))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return server_logger()
