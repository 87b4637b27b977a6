"""Erases a person wholly: rows, recordings, and records that were put aside.

A file of this machine that still names the person afterwards is reported: a record or a
message that waits to be written belongs to the process that wrote it. Every machine
looks for calls that were erased from another one, and deletes its recordings of them.
"""

import asyncio
import shutil
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from bridge.records.journal import CALLS_FOLDER, MESSAGES_FOLDER
from bridge.records.refused import REFUSED, RefusedRecords
from bridge.settings.process import Settings
from bridge.telemetry.log import server_logger
from crm import erasing
from crm.database import Database
from crm.erasing import Erased
from crm.transient import DATABASE_ERRORS

# A longer file is no journal; it is not read into memory whole.
_FILE_BYTES_MAX = 500_000_000
# How often a machine looks for calls that were erased from another one.
SWEEP_S = 60.0
OVERLAP = timedelta(minutes=5)


class Erasure(NamedTuple):
    """What was deleted, and which files of this machine still name the person."""

    rows: dict[str, int]
    files: int
    left: tuple[Path, ...]


async def erase_person(
    db: Database, settings: Settings, business_id: UUID, lead_id: UUID
) -> Erasure | None:
    """Delete all of a person; None if there is no such lead.

    Raises crm.erasing.CallRuns. Other machines delete their recordings within
    SWEEP_S of theirs being up.
    """
    erased = await erasing.erase(db, business_id, lead_id)
    if erased is None:
        return None
    files, left = await asyncio.to_thread(_erase_files, settings, erased)
    return Erasure(erased.rows, files, left)


class ErasedCalls:
    """Deletes what this machine has of calls that were erased; `run` is the task."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._since: datetime | None = None

    async def run(self) -> None:
        """Look at once for all erased calls, then for new ones, until cancelled."""
        while True:
            try:
                await self.sweep()
            except DATABASE_ERRORS as error:
                name = type(error).__name__
                server_logger().warning("erased calls are not known: %s", name)
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> int:
        """Delete the recordings of calls erased since the last look; return how many
        files."""
        call_sids, now = await erasing.erased_since(self._db, self._since)
        count = 0
        if call_sids:
            count = await asyncio.to_thread(_delete_all, self._settings, call_sids)
        # A transaction that was under way at the look has an earlier time.
        self._since = now - OVERLAP
        if count:
            server_logger().info("%d recordings of erased people are deleted", count)
        return count


def _delete_all(settings: Settings, call_sids: set[str]) -> int:
    count = 0
    if settings.record_dir is not None:
        count = _delete_recordings(Path(settings.record_dir), call_sids)
    # What the console has made of them: CALL.….
    _delete_recordings(Path(settings.kolbridge_home) / "timelines", call_sids)
    return count


def _erase_files(settings: Settings, erased: Erased) -> tuple[int, tuple[Path, ...]]:
    home = Path(settings.kolbridge_home)
    count = _delete_all(settings, set(erased.call_sids))
    left: list[Path] = []
    for folder in (home / CALLS_FOLDER, home / MESSAGES_FOLDER):
        count += _settle(folder, erased)
        left += _naming(folder, erased)
    return count, tuple(left)


def _settle(folder: Path, erased: Erased) -> int:
    """Remove the records that the database refused; return how many there were.

    The person may have called another business, too: its records stay.
    """
    if not (folder / REFUSED).exists():
        return 0
    refused = RefusedRecords(folder)
    gone = [
        line
        for line in refused.lines()
        if _names(line, erased) and any(one.encode() in line for one in erased.marks)
    ]
    if gone:
        refused.settle(dict.fromkeys(gone))
    return len(gone)


def _delete_recordings(folder: Path, call_sids: set[str]) -> int:
    """Delete recordings: CALL.zip, CALL.2.zip, and the folder of one not packed yet."""
    found = [path for path in folder.glob("*") if path.name.split(".")[0] in call_sids]
    for path in found:
        # Another process may delete the same: whoever is slower looks again.
        while path.exists():
            with suppress(FileNotFoundError):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
    return len(found)


def _naming(folder: Path, erased: Erased) -> list[Path]:
    """Return the files below a folder that name the person."""
    return [
        path for path in sorted(folder.rglob("*")) if _names(_bytes_of(path), erased)
    ]


def _bytes_of(path: Path) -> bytes:
    """Return what a file holds; nothing of a folder, or of a file that is gone: those
    of running calls come and go each second."""
    try:
        is_read = path.is_file() and path.stat().st_size < _FILE_BYTES_MAX
        return path.read_bytes() if is_read else b""
    except FileNotFoundError:
        return b""


def _names(data: bytes, erased: Erased) -> bool:
    return any(one.encode() in data for one in (*erased.phones, *erased.call_sids))
