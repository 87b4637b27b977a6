"""Writes what a call leaves behind, beside the calls that run.

A record waits in memory until the database has it: tried again while the database is
away, kept in a file under `home` when the process must stop first or the database does
not take it, and written from there by the next start. Nothing waits for this module.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec

from bridge.log import CallLogger, server_logger
from bridge.metrics import Metrics
from bridge.plan import CallRecord
from crm import calls
from crm.database import Database

# Two hours of a busy worker's calls; beyond it records go to files at once.
RECORDS_WAITING_MAX = 10_000
RETRY_S_MIN = 0.5
RETRY_S_MAX = 30.0
# What says that the database is away, and not that it refuses this record.
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)


class Kept(msgspec.Struct, frozen=True):
    """A call as it waits to be written."""

    business_id: UUID
    call: calls.Call


class RecordWriter:
    """The one writer of a process's records, from `start` to `close`."""

    def __init__(self, database: Database, home: Path, metrics: Metrics) -> None:
        self._database = database
        self._folder = home / "unwritten"
        self._metrics = metrics
        self._waiting: asyncio.Queue[Kept] = asyncio.Queue(RECORDS_WAITING_MAX)
        self._task: asyncio.Task[None] | None = None
        self._retry_s = RETRY_S_MIN

    @property
    def waiting(self) -> int:
        """How many records are not in the database yet."""
        return self._waiting.qsize()

    def start(self) -> None:
        """Begin to write, first of all what an earlier run could not."""
        for path in sorted(self._folder.glob("*.json")):
            self._take_up(path)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def add(self, kept: Kept) -> None:
        """Have a record written, soon."""
        try:
            self._waiting.put_nowait(kept)
        except asyncio.QueueFull:
            self._keep(kept)

    async def close(self, patience_s: float) -> None:
        """Write what waits; what cannot be written in time is kept in files."""
        try:
            async with asyncio.timeout(patience_s):
                await self._waiting.join()
        except TimeoutError:
            server_logger().error("%d call records are kept in files", self.waiting)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while not self._waiting.empty():
            self._keep(self._waiting.get_nowait())

    async def _run(self) -> None:
        while True:
            kept = await self._waiting.get()
            try:
                await self._write(kept)
            except asyncio.CancelledError:
                self._keep(kept)
                raise
            finally:
                self._waiting.task_done()

    async def _write(self, kept: Kept) -> None:
        """Write one record, however long the database is away."""
        log = CallLogger(kept.call.call_sid)
        while True:
            try:
                is_new = await calls.save(self._database, kept.business_id, kept.call)
            except _AWAY as error:
                log.warning("record waits for the database: %s", type(error).__name__)
                self._metrics.count("records", outcome="retried")
                await asyncio.sleep(self._retry_s)
                self._retry_s = min(self._retry_s * 2, RETRY_S_MAX)
                continue
            except asyncpg.PostgresError as error:
                log.error("record refused: %s: %s", type(error).__name__, error)
                self._keep(kept)
                return
            self._retry_s = RETRY_S_MIN
            self._path(kept).unlink(missing_ok=True)
            self._metrics.count("records", outcome="written" if is_new else "known")
            if is_new:
                log.info("[CRM] call written: turns=%d", len(kept.call.turns))
            return

    def _keep(self, kept: Kept) -> None:
        self._metrics.count("records", outcome="kept_in_file")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path(kept).write_bytes(msgspec.json.encode(kept))

    def _path(self, kept: Kept) -> Path:
        return self._folder / f"{kept.call.call_sid}.json"

    def _take_up(self, path: Path) -> None:
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=Kept)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            server_logger().error("%s is no call record: %s", path.name, error)
            path.rename(path.with_suffix(".bad"))
            return
        self.add(kept)


def to_row(record: CallRecord, now_s: float, now: datetime) -> Kept:
    """Return a call as the database has it; `now_s` on the call's clock is `now`."""

    def at(time_s: float) -> datetime:
        return (now - timedelta(seconds=now_s - time_s)).astimezone(UTC)

    plan = record.plan
    return Kept(
        UUID(plan.business_id),
        calls.Call(
            call_sid=plan.call_sid,
            stream_sid=record.stream_sid,
            from_number=plan.from_number,
            prompt=_clean(plan.instructions),
            started_at=at(record.opened_at_s),
            answered_at=None
            if record.answered_at_s is None
            else at(record.answered_at_s),
            ended_at=at(record.ended_at_s),
            end_reason=record.end_reason,
            rx_frames=record.rx_frames,
            tx_frames=record.tx_frames,
            forwarded_frames=record.forwarded_frames,
            dropped_frames=record.dropped_frames,
            silence_frames=record.silence_frames,
            barge_ins=record.barge_ins,
            greeting_ms=record.greeting_ms,
            answer_ms=list(record.answer_ms),
            barge_in_ms=list(record.barge_in_ms),
            usage=record.usage,
            turns=[
                calls.Turn(
                    role=turn.role,
                    item_id=turn.item_id,
                    text=_clean(turn.text),
                    interrupted=turn.interrupted,
                    heard_ms=turn.heard_ms,
                    at_s=turn.at_s,
                )
                for turn in record.turns
            ],
            tools=[
                calls.ToolCall(
                    tool_call_id=tool.tool_call_id,
                    name=tool.name,
                    arguments=_clean(tool.arguments),
                    result=_clean(tool.result),
                    ok=tool.ok,
                    duration_ms=tool.duration_ms,
                    at_s=tool.at_s,
                )
                for tool in record.tools
            ],
        ),
    )


def _clean(text: str) -> str:
    """Take out what PostgreSQL cannot hold."""
    return text.replace("\0", "")
