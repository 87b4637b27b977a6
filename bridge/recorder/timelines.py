"""Timelines: the recordings of calls as pages show them, made once and kept a while.

A recording is read by a process of its own, one at a time for each worker. What it
makes is kept beside the recordings' home, for the last KEPT_MAX calls, and never longer
than the recording itself.
"""

import asyncio
import shutil
import sys
from hashlib import blake2b
from pathlib import Path
from tempfile import mkdtemp

from bridge.recorder.parts import files_of
from bridge.recorder.timeline_process import (
    EXIT_UNREADABLE,
    TIMELINE_FILE,
)
from bridge.telemetry.log import server_logger

KEPT_MAX = 20
# Two hours of a call take some 30 s; a slow machine has time.
READ_S_MAX = 180.0
# The calls that may wait for the reading process; further ones are told to come later.
WAITING_MAX = 8
FOLDER = "timelines"
_ERROR_BYTES_MAX = 400
_NAME_CHARS_MAX = 64


class TimelineError(Exception):
    """There is no timeline; the text says why."""


class NotRecorded(TimelineError):
    """The call was not recorded, or its recording is gone."""


class Timelines:
    """The timelines of one process's folder of recordings."""

    def __init__(self, recordings: Path | None, home: Path) -> None:
        self._recordings = recordings
        self._home = home / FOLDER
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def is_recording(self) -> bool:
        """Tell whether calls are recorded."""
        return self._recordings is not None

    async def files(self, call_sid: str) -> list[Path]:
        """Return the files of a call's recording; none if there are none."""
        return await asyncio.to_thread(self._files, call_sid)

    def _files(self, call_sid: str) -> list[Path]:
        is_name = call_sid.isascii() and call_sid.isalnum()
        if self._recordings is None or not is_name or len(call_sid) > _NAME_CHARS_MAX:
            return []
        return [one for one in files_of(self._recordings, call_sid) if one.exists()]

    async def folder(self, call_sid: str) -> Path:
        """Return the folder with a call's TIMELINE_FILE and, if there is audio, its
        SOUND_FILE; raises TimelineError."""
        files = await self.files(call_sid)
        if not files:
            raise NotRecorded(call_sid)
        place = await asyncio.to_thread(self._place, call_sid, files)
        if (place / TIMELINE_FILE).exists():
            return place
        if self._waiting >= WAITING_MAX:
            raise TimelineError("too many recordings are being read")
        self._waiting += 1
        try:
            async with self._turn:
                if not (place / TIMELINE_FILE).exists():
                    await self._make(place, files)
        finally:
            self._waiting -= 1
        return place

    def _place(self, call_sid: str, files: list[Path]) -> Path:
        """Return where a recording's timeline belongs, as the recording is now."""
        stats = [one.stat() for one in files]
        state = [(one.st_ino, one.st_mtime_ns, one.st_size) for one in stats]
        name = blake2b(repr(state).encode(), digest_size=8).hexdigest()
        return self._home / f"{call_sid}.{name}"

    async def _make(self, place: Path, files: list[Path]) -> None:
        part = await asyncio.to_thread(self._new_folder)
        try:
            if await self._read(part, files, "") not in (0, EXIT_UNREADABLE):
                # A fault of the replay itself: what was noted can still be shown.
                await self._read(part, files, "--noted")
            if not (part / TIMELINE_FILE).exists():
                raise TimelineError("the recording cannot be read")
            await asyncio.to_thread(self._keep, part, place)
        finally:
            await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)

    async def _read(self, part: Path, files: list[Path], option: str) -> int:
        """Run the process; return its exit code."""
        module = "bridge.recorder.timeline_process"
        arguments = [str(part), *map(str, files), *filter(None, (option,))]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(READ_S_MAX):
                _, said = await process.communicate()
        except BaseException:
            if process.returncode is None:
                process.kill()
            raise
        if process.returncode:
            text = said[-_ERROR_BYTES_MAX:].decode(errors="replace").strip()
            server_logger().warning("a recording cannot be read: %s", text)
        return process.returncode or 0

    def _new_folder(self) -> Path:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._forget_old()
        return Path(mkdtemp(prefix="part-", dir=self._home))

    def _keep(self, part: Path, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        part.rename(place)

    def _forget_old(self) -> None:
        """Remove the oldest timelines, and those whose recording is gone."""
        made = self._home.iterdir()
        found = [one for one in made if not one.name.startswith("part-")]
        found.sort(key=lambda one: one.stat().st_mtime, reverse=True)
        for at, place in enumerate(found):
            call_sid = place.name.partition(".")[0]
            if at >= KEPT_MAX - 1 or not self._files(call_sid):
                shutil.rmtree(place, ignore_errors=True)
