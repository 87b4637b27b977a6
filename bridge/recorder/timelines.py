"""Timelines: the recordings of calls as pages show them, made once and kept a while.

A recording is read by a process of its own, one at a time for each worker. What it
makes is kept beside the recordings' home, for the last KEPT_MAX calls, and never longer
than the recording itself. Files that lie on other machines are fetched for that, and
removed once they are read.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from hashlib import blake2b
from math import inf
from pathlib import Path
from tempfile import mkdtemp
from time import time
from typing import NamedTuple

from bridge.recorder.far import CallId, FarError, FarFile, FarListing, FarRecordings
from bridge.recorder.parts import files_of, number_of
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
# A timeline with parts of other machines, which may have removed them since.
FAR_KEPT_S = 3_600.0
FOLDER = "timelines"
_FAR = "far-"
_PART = "part-"
# What a process that was killed has left.
PART_KEPT_S = 3_600.0
_ERROR_BYTES_MAX = 400
_NAME_CHARS_MAX = 64


class TimelineError(Exception):
    """There is no timeline; the text says why."""


class NotRecorded(TimelineError):
    """The call was not recorded, or its recording is gone."""


class FarAway(TimelineError):
    """What there is of the recording is on another machine, which does not answer."""

    def __init__(self) -> None:
        super().__init__("another machine has the recording, and does not answer")


class Files(NamedTuple):
    """The parts of a recording, in order, here and on other machines."""

    parts: tuple[Path | FarFile, ...]
    # Whether every machine that had the call has answered.
    is_whole: bool


class Timelines:
    """The timelines of a folder of recordings, and of other machines' recordings."""

    def __init__(
        self, recordings: Path | None, home: Path, far: FarRecordings | None = None
    ) -> None:
        self._recordings = recordings
        self._home = home / FOLDER
        self._far = far
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def is_recording(self) -> bool:
        """Tell whether calls are recorded."""
        return self._recordings is not None

    async def files(self, call: CallId) -> Files:
        """Return the files of a call's recording; none if there are none."""
        if not _is_name(call.call_sid):
            return Files((), is_whole=True)
        near = await asyncio.to_thread(self._files, call.call_sid)
        far = FarListing() if self._far is None else await self._far.listed(call)
        every: list[Path | FarFile] = [*near, *far.files]
        found: dict[int, Path | FarFile] = {}
        # A folder that machines share has each file once.
        for one in every:
            number = number_of(one.name, call.call_sid)
            if number is not None:
                found.setdefault(number, one)
        parts = tuple(found[number] for number in sorted(found))
        return Files(parts, far.is_whole)

    def _files(self, call_sid: str) -> list[Path]:
        if self._recordings is None or not _is_name(call_sid):
            return []
        return [one for one in files_of(self._recordings, call_sid) if one.exists()]

    async def folder(self, call: CallId) -> Path:
        """Return the folder with a call's TIMELINE_FILE and, if there is audio, its
        SOUND_FILE; raises TimelineError."""
        parts, is_whole = await self.files(call)
        if not parts:
            raise NotRecorded(call.call_sid) if is_whole else FarAway
        place = await asyncio.to_thread(self._place, call.call_sid, parts)
        if (place / TIMELINE_FILE).exists():
            return place
        if self._waiting >= WAITING_MAX:
            raise TimelineError("too many recordings are being read")
        self._waiting += 1
        try:
            async with self._turn:
                if not (place / TIMELINE_FILE).exists():
                    await self._make(place, call, parts)
        finally:
            self._waiting -= 1
        return place

    def _place(self, call_sid: str, parts: tuple[Path | FarFile, ...]) -> Path:
        """Return where a recording's timeline belongs, as the recording is now."""
        state = [one if isinstance(one, FarFile) else _state(one) for one in parts]
        name = blake2b(repr(state).encode(), digest_size=8).hexdigest()
        has_far = any(isinstance(one, FarFile) for one in parts)
        return self._home / f"{call_sid}.{_FAR if has_far else ''}{name}"

    async def _make(
        self, place: Path, call: CallId, parts: tuple[Path | FarFile, ...]
    ) -> None:
        made = await asyncio.to_thread(self._new_folder, call.call_sid)
        fetched = made / "fetched"
        try:
            files = await self.fetch(call, parts, fetched)
            if await self._read(made, files, "") not in (0, EXIT_UNREADABLE):
                # A fault of the replay itself: what was noted can still be shown.
                await self._read(made, files, "--noted")
            if not (made / TIMELINE_FILE).exists():
                raise TimelineError("the recording cannot be read")
            await asyncio.to_thread(shutil.rmtree, fetched, ignore_errors=True)
            await asyncio.to_thread(self._keep, made, place)
        finally:
            await asyncio.to_thread(shutil.rmtree, made, ignore_errors=True)

    async def fetch(
        self, call: CallId, parts: tuple[Path | FarFile, ...], folder: Path
    ) -> list[Path]:
        """Return where the parts are here, those of other machines in a folder; raises
        TimelineError."""
        return [
            await self._fetch(call, one, folder) if isinstance(one, FarFile) else one
            for one in parts
        ]

    async def _fetch(self, call: CallId, file: FarFile, folder: Path) -> Path:
        """Write a file of another machine into a folder."""
        path = folder / file.name
        try:
            async with aclosing(self.far_pieces(call, file)) as pieces:
                async for piece in pieces:
                    await asyncio.to_thread(_append, path, piece)
        except FarError as error:
            raise TimelineError(str(error)) from None
        return path

    def far_pieces(self, call: CallId, file: FarFile) -> AsyncGenerator[bytes]:
        """Return a file of another machine piece by piece, which raises FarError; the
        caller must close what is returned."""
        assert self._far is not None, "nothing else has listed the file"
        return self._far.read(call, file)

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

    def _new_folder(self, call_sid: str) -> Path:
        """Return a folder to make a timeline in; who erases the call finds it, too."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._forget_old()
        return Path(mkdtemp(prefix=f"{call_sid}.{_PART}", dir=self._home))

    def _keep(self, part: Path, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        part.rename(place)

    def _forget_old(self) -> None:
        """Remove the oldest timelines, those whose recording is gone, and what was
        never finished."""
        every = [(one, one.name.partition(".")[2]) for one in self._home.iterdir()]
        for place, state in every:
            if state.startswith(_PART) and _age_s(place) > PART_KEPT_S:
                shutil.rmtree(place, ignore_errors=True)
        found = [place for place, state in every if not state.startswith(_PART)]
        found.sort(key=_age_s)
        for at, place in enumerate(found):
            if at >= KEPT_MAX - 1 or self._is_old(place):
                shutil.rmtree(place, ignore_errors=True)

    def _is_old(self, place: Path) -> bool:
        call_sid, _, state = place.name.partition(".")
        if state.startswith(_FAR):
            return _age_s(place) > FAR_KEPT_S
        return not self._files(call_sid)


def _is_name(call_sid: str) -> bool:
    is_name = call_sid.isascii() and call_sid.isalnum()
    return is_name and len(call_sid) <= _NAME_CHARS_MAX


def _age_s(path: Path) -> float:
    """Return how old a folder is; without end where another process removed it."""
    try:
        return time() - path.stat().st_mtime
    except FileNotFoundError:
        return inf


def _state(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _append(path: Path, piece: bytes) -> None:
    path.parent.mkdir(exist_ok=True, mode=0o700)
    with path.open("ab") as file:
        file.write(piece)
