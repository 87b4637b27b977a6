"""Spool: a recording that grows in a folder while its call runs.

The folder has the header, a line for each message, and the audio by side. `pack` makes
the recording's file of it. The lines' file is locked as long as its process lives: what
a process left is packed by the next process that starts on the machine. Every method
blocks on the disk.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from uuid import uuid4

import msgspec

from bridge.recorder.parts import file_name
from bridge.recorder.recording import AUDIO_FILES, STEPS_FILE, Header, Writer, new_zip

SUFFIX = ".running"
HEADER_FILE = "header.json"
# The writer holds the interpreter for a slice and then yields it to the calls: half an
# hour is written in 15 s, with other calls' frames 3 ms later at p99.
SLICE_STEPS = 40
# A line that is written already costs half as much: it is only compressed.
SLICE_LINES = 100
# What waits for a full disk: about 20 minutes of a busy call.
WAITING_BYTES_MAX = 32_000_000
# Folders that processes have left and that cannot be packed; the oldest beyond these
# are removed.
LEFT_MAX = 100


class Spool:
    """One recording's folder below `folder`, from the first `append` to `finish`."""

    def __init__(
        self, folder: Path, header: Header, *, secrets: tuple[str, ...]
    ) -> None:
        self._writer = Writer(header, secrets=secrets, keeps_audio=header.has_audio)
        self._header = header
        self._folder = folder
        name = f"{header.plan.call_sid}.{uuid4().hex}{SUFFIX}"
        self._place = folder / name
        self._steps: FileIO | None = None
        # Lines that the disk has not taken yet; their audio waits in the writer.
        self._lines = bytearray()
        # Why it has not, and whether nothing more can be written.
        self._error: OSError | None = None
        self.is_lost = False

    def append(self, entries: Iterable[list[Any]], pause: Callable[[], None]) -> None:
        """Write messages and their answers, in slices.

        What a full disk refuses is tried again with the next messages; beyond
        WAITING_BYTES_MAX the recording is lost. `finish` raises what failed last.
        """
        if self.is_lost:
            return
        for number, entry in enumerate(entries, 1):
            self._lines += msgspec.json.encode(self._writer.step(*entry)) + b"\n"
            if number % SLICE_STEPS == 0:
                self._flush()
                pause()
        self._flush()

    def finish(self, dropped: int, pause: Callable[[], None]) -> None:
        """Make the recording's file, and remove the folder; raises OSError.

        After an error call it again later, or `leave`, unless the recording is lost.
        """
        if not self.is_lost:
            self._flush()
        if self._steps is not None and not self._place.exists():
            # The caller was erased meanwhile.
            self.is_lost = True
            self._error = FileNotFoundError(f"{self._place.name} was removed")
        if self._error is not None:
            if self.is_lost:
                self._remove()
            raise self._error
        if dropped:
            self._header = msgspec.structs.replace(self._header, dropped=dropped)
            self._write_header()
        pack(self._place, pause)
        self._remove()

    def leave(self) -> bool:
        """Let another process pack what is on the disk; return whether anything is."""
        if self._steps is None:
            self._remove()
            return False
        self._steps.close()
        return True

    def _remove(self) -> None:
        shutil.rmtree(self._place, ignore_errors=True)
        # Unlocked last: no other process finds it.
        if self._steps is not None:
            self._steps.close()

    def _flush(self) -> None:
        """Write what waits, as far as the disk takes it."""
        try:
            if self._steps is None:
                self._steps = self._open()
            self._write(self._steps)
            self._error = None
        except OSError as error:
            self._error = error
            waiting = len(self._lines) + sum(map(len, self._writer.audio.values()))
            if waiting > WAITING_BYTES_MAX:
                self.is_lost = True
                self._lines.clear()
                self._writer.audio.clear()

    def _open(self) -> FileIO:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._place.mkdir(exist_ok=True, mode=0o700)
        steps = FileIO(self._place / STEPS_FILE, "ab", opener=_private)
        try:
            fcntl.flock(steps, fcntl.LOCK_EX)
            # A folder with a header has a lock.
            self._write_header()
        except OSError:
            steps.close()
            raise
        return steps

    def _write_header(self) -> None:
        part = self._place / f"{HEADER_FILE}.part"
        with FileIO(part, "wb", opener=_private) as file:
            _write_whole(file, self._writer.header_line(self._header))
        part.replace(self._place / HEADER_FILE)

    def _write(self, steps: FileIO) -> None:
        """Write the lines that wait and, before them, the audio that they name."""
        for name, audio in self._writer.audio.items():
            if audio:
                with FileIO(self._place / name, "ab", opener=_private) as file:
                    _write_whole(file, audio)
                self._writer.forget_audio(name)
        _write_whole(steps, self._lines)
        self._lines.clear()


def check(folder: Path) -> None:
    """Write to a folder as a recording does, and leave nothing; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with TemporaryFile(dir=folder) as file:
        file.write(b"\0")


def pack(place: Path, pause: Callable[[], None]) -> None:
    """Make the file of a recording beside its folder; raises OSError.

    A line that a killed process has not ended is left out.
    """
    header = (place / HEADER_FILE).read_bytes()
    plan = msgspec.json.decode(header, type=Header).plan
    with new_zip(place.parent / file_name(plan)) as file:
        with (
            file.open(STEPS_FILE, "w") as lines,
            (place / STEPS_FILE).open("rb") as steps,
        ):
            lines.write(header + b"\n")
            for number, line in enumerate(steps, 1):
                if line.endswith(b"\n"):
                    lines.write(line)
                if number % SLICE_LINES == 0:
                    pause()
        for name in AUDIO_FILES:
            if (place / name).exists():
                file.write(place / name, name)


def pack_left(folder: Path, pause: Callable[[], None]) -> Iterator[str]:
    """Pack what dead processes have left, one by one; yield "", or what failed."""
    for place in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            with FileIO(place / STEPS_FILE, "r+b") as steps:
                fcntl.flock(steps, fcntl.LOCK_EX | fcntl.LOCK_NB)
                pack(place, pause)
                shutil.rmtree(place)
            yield ""
        except (BlockingIOError, FileNotFoundError):
            # Its process lives, or another process packs it.
            continue
        except (OSError, msgspec.DecodeError) as error:
            yield f"{place.name}: {type(error).__name__}: {error}"


def forget_left(folder: Path) -> int:
    """Remove the oldest that dead processes have left, beyond LEFT_MAX; return how
    many."""
    places = sorted(folder.glob(f"*{SUFFIX}"), key=written_at)
    count = 0
    for place in places[: max(0, len(places) - LEFT_MAX)]:
        try:
            with FileIO(place / STEPS_FILE, "r+b") as steps:
                fcntl.flock(steps, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place)
                count += 1
        except OSError:
            # Its process lives, or another process removes it.
            continue
    return count


def written_at(path: Path) -> float:
    """Return when a file was written; 0 if another process has removed it."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _write_whole(file: FileIO, data: bytes | bytearray) -> None:
    """Append all of it or nothing; raises OSError. A raw file may take less at once."""
    end = file.seek(0, os.SEEK_END)
    try:
        with memoryview(data) as rest:
            at = 0
            while at < len(rest):
                at += file.write(rest[at:]) or 0
    except OSError:
        file.truncate(end)
        raise
