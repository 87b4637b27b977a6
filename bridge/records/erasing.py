"""Erases a person wholly: rows, recordings, and records that were put aside.

A file of this machine that still names the person afterwards is reported: a record that
waits to be written belongs to the process that wrote it.
"""

import asyncio
import shutil
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from bridge.records.refused import REFUSED, RefusedRecords
from bridge.settings.process import Settings
from crm import erasing
from crm.database import Database
from crm.erasing import Erased

# A longer file is no journal; it is not read into memory whole.
_FILE_BYTES_MAX = 500_000_000


class Erasure(NamedTuple):
    """What was deleted, and which files of this machine still name the person."""

    rows: dict[str, int]
    files: int
    left: tuple[Path, ...]


async def erase_person(
    db: Database, settings: Settings, business_id: UUID, lead_id: UUID
) -> Erasure | None:
    """Delete all of a person; None if there is no such lead.

    Raises crm.erasing.CallRuns. Recordings on the disks of other nodes stay.
    """
    erased = await erasing.erase(db, business_id, lead_id)
    if erased is None:
        return None
    files, left = await asyncio.to_thread(_erase_files, settings, erased)
    return Erasure(erased.rows, files, left)


def _erase_files(settings: Settings, erased: Erased) -> tuple[int, tuple[Path, ...]]:
    unwritten = Path(settings.kolbridge_home) / "unwritten"
    count = _settle(unwritten, erased)
    if settings.record_dir is not None:
        count += _delete_recordings(Path(settings.record_dir), set(erased.call_sids))
    # What the console has made of them: CALL.….
    shown = Path(settings.kolbridge_home) / "timelines"
    _delete_recordings(shown, set(erased.call_sids))
    return count, tuple(_naming(unwritten, erased))


def _settle(folder: Path, erased: Erased) -> int:
    """Remove the records that the database refused; return how many there were."""
    if not (folder / REFUSED).exists():
        return 0
    refused = RefusedRecords(folder)
    gone = [line for line in refused.lines() if _names(line, erased)]
    if gone:
        refused.settle(dict.fromkeys(gone))
    return len(gone)


def _delete_recordings(folder: Path, call_sids: set[str]) -> int:
    """Delete recordings: CALL.zip, CALL.2.zip, and the folder of one not packed yet."""
    found = [path for path in folder.glob("*") if path.name.split(".")[0] in call_sids]
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return len(found)


def _naming(folder: Path, erased: Erased) -> list[Path]:
    """Return the files below a folder that name the person."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.stat().st_size < _FILE_BYTES_MAX
        and _names(path.read_bytes(), erased)
    ]


def _names(data: bytes, erased: Erased) -> bool:
    return any(one.encode() in data for one in (*erased.phones, *erased.call_sids))
