"""The journal: a worker's records that are not in the database yet, in its own file.

The file has a line per record. `append` makes the lines durable before it returns.
`take` returns a record, `drop` removes it, and `put_back` keeps it for later, so that
no record blocks the others. The file is truncated when all its records are written, and
rewritten when most are. The file is locked while its process lives. A file without a
lock was left by a process that ended with records, or was killed: the next worker that
starts takes over its lines, or one that runs beside it, every LEFT_EVERY_S. A line may
therefore be read twice, after a crash between the database's answer and `drop`; the
writer of the record must be able to detect that.

Records that the disk refuses are held in memory, up to a limit, until `flush` or
`drop`. So are the lines of a file left behind where the disk is full at the start: the
file stays, locked, until its lines are elsewhere.

Beside the file lies a folder with a file per running call. A file that a killed process
leaves there is written as that call's record, after all its finished records.

Every method blocks on the disk and may be called from any thread. Only one thread at a
time may take a record.
"""

import fcntl
import heapq
import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from time import time_ns
from typing import NamedTuple

# Below KOLBRIDGE_HOME: where the records of calls wait, and the messages that came in.
CALLS_FOLDER, MESSAGES_FOLDER = "unwritten", "unwritten-messages"
# Limits of the records in memory: a record with 100 turns has some 30 KB.
HELD_LINES_MAX = 10_000
HELD_BYTES_MAX = 64_000_000
# A file below this size is not rewritten, even if most of its records are written.
COMPACT_BYTES_MIN = 1_000_000
# How often a worker looks for the files of processes that have ended beside it, as one
# that drained after a take-over: a next start may be weeks away.
LEFT_EVERY_S = 10.0
_SUFFIX = ".journal"
_RUNNING = ".running"
_PART = ".part"
_COMPACTED = ".compacted"


@dataclass(slots=True)
class _Line:
    """A waiting record: its place in the file, or its bytes if held in memory."""

    start: int
    size: int
    held: bytes | None = None
    tries: int = 0
    found_at: float = float("-inf")


class Taken(NamedTuple):
    """A record to be written, and the number of earlier tries.

    `found_at` is when it was found in a file left behind; -inf for this worker's own.
    """

    record: bytes
    tries: int
    found_at: float = float("-inf")


class Journal:
    """One worker's file below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._ready: deque[_Line] = deque()
        # A heap of the records that were put back, by due time.
        self._later: list[tuple[float, int, _Line]] = []
        self._numbers = count()
        self._taken: _Line | None = None
        # What waits: bytes in the file, lines and bytes in memory.
        self._kept_bytes = self._held_bytes = 0
        self._held_lines = 0
        self._end = 0
        self._path = folder
        self._fd = -1
        # Files left behind whose lines are held: each with its open, locked file.
        self._left: list[tuple[int, Path]] = []
        self._look_at = float("-inf")

    @property
    def waiting(self) -> int:
        """How many records are not in the database yet."""
        return len(self._ready) + len(self._later) + (self._taken is not None)

    @property
    def held(self) -> int:
        """How many records are in memory alone."""
        return self._held_lines

    def open(self, now: float) -> None:
        """Create the file, and take over files that no living worker holds."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while self._fd < 0:
            self._path = self._folder / f"worker-{os.getpid()}-{time_ns()}{_SUFFIX}"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            fd = os.open(self._path, flags, 0o600)
            # Another worker may have taken the new, empty file for one left behind.
            if _is_held(fd, self._path):
                self._fd = fd
            else:
                os.close(fd)
        self._take_over_left(now)
        _sync_folder(self._folder)

    def append(self, records: list[bytes], found_at: float = float("-inf")) -> None:
        """Keep all records or raise OSError; no record may hold a line feed."""
        with self._lock:
            lines = self._write(records)
            for line in lines:
                line.found_at = found_at
            self._ready.extend(lines)

    def hold(self, records: list[bytes], found_at: float = float("-inf")) -> int:
        """Keep records in memory; return how many find no room there."""
        with self._lock:
            for place, record in enumerate(records):
                size = self._held_bytes + len(record)
                if self._held_lines >= HELD_LINES_MAX or size > HELD_BYTES_MAX:
                    return len(records) - place
                self._held_lines, self._held_bytes = self._held_lines + 1, size
                self._ready.append(_Line(-1, len(record), record, 0, found_at))
        return 0

    def flush(self) -> None:
        """Write the held records to the disk; raises OSError where it is still full."""
        with self._lock:
            held = [
                line
                for line in self._lines()
                if line.held is not None and line is not self._taken
            ]
            if not held:
                return
            written = self._write([line.held for line in held if line.held is not None])
            for line, kept in zip(held, written, strict=True):
                self._held_lines -= 1
                self._held_bytes -= line.size
                line.start, line.size, line.held = kept.start, kept.size, None
            self._remove_left()

    def begin(self, name: str, record: bytes) -> None:
        """Keep the record to write if this process dies before `end`.

        The record kept under this name before stays until the new one is complete.
        """
        folder = self._path.with_suffix(_RUNNING)
        folder.mkdir(exist_ok=True, mode=0o700)
        part = self._path.with_suffix(_PART)
        try:
            part.write_bytes(record)
            part.replace(folder / name)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def end(self, name: str) -> None:
        """Remove a begun record: the final one is in the journal or the database."""
        (self._path.with_suffix(_RUNNING) / name).unlink(missing_ok=True)

    def take(self, now: float) -> Taken | None:
        """Return the due record that waits longest; then call `drop` or `put_back`."""
        if now >= self._look_at:
            # A file that cannot be read is left to the next start, which says so.
            with suppress(OSError):
                self._take_over_left(now)
        with self._lock:
            line = self._taken
            if line is None and self._ready:
                line = self._ready.popleft()
            elif line is None and self._later and self._later[0][0] <= now:
                line = heapq.heappop(self._later)[2]
            self._taken = line
            if line is None:
                return None
            return Taken(self._read(line), line.tries, line.found_at)

    def wait_s(self, now: float) -> float:
        """Return the time until `take` is to be called again."""
        with self._lock:
            due_at = self._later[0][0] if self._later else self._look_at
        return max(0.0, min(due_at, self._look_at) - now)

    def put_back(self, due_at: float) -> None:
        """Keep the taken record, if any, for another try, not before `due_at`."""
        with self._lock:
            line, self._taken = self._taken, None
            if line is None:
                return
            line.tries += 1
            heapq.heappush(self._later, (due_at, next(self._numbers), line))

    def hurry(self, tries_max: int | None = None) -> None:
        """Make put-back records due now: all, or those with at most `tries_max`."""
        with self._lock:
            later, self._later = self._later, []
            for entry in sorted(later):
                if tries_max is None or entry[2].tries <= tries_max:
                    self._ready.append(entry[2])
                else:
                    heapq.heappush(self._later, entry)

    def drop(self) -> None:
        """Remove the taken record: it is written."""
        with self._lock:
            line, self._taken = self._taken, None
            assert line is not None, "nothing is taken"
            if line.held is None:
                self._kept_bytes -= line.size
            else:
                self._held_lines -= 1
                self._held_bytes -= line.size
                self._remove_left()
            if not self._kept_bytes and self._end:
                os.ftruncate(self._fd, 0)
                os.lseek(self._fd, 0, os.SEEK_SET)
                self._end = 0
            elif self._end > max(COMPACT_BYTES_MIN, 2 * self._kept_bytes):
                # Without room for the new file the old one stays.
                with suppress(OSError):
                    self._compact()

    def close(self) -> None:
        """Close the file; an empty file is removed."""
        with self._lock:
            if self._fd < 0:
                return
            running = self._path.with_suffix(_RUNNING)
            is_left = running.exists() and any(running.iterdir())
            if running.exists() and not is_left:
                running.rmdir()
            if not self._kept_bytes and not is_left:
                self._path.unlink(missing_ok=True)
            elif self._end > self._kept_bytes:
                with suppress(OSError):
                    self._compact()
            os.close(self._fd)
            self._fd = -1
            for fd, _ in self._left:
                os.close(fd)
            self._left.clear()

    def _lines(self) -> Iterator[_Line]:
        yield from self._ready
        yield from (line for _, _, line in self._later)
        if self._taken is not None:
            yield self._taken

    def _read(self, line: _Line) -> bytes:
        if line.held is not None:
            return line.held
        return os.pread(self._fd, line.size - 1, line.start)

    def _write(self, records: list[bytes]) -> list[_Line]:
        try:
            _write_all(self._fd, b"".join(one + b"\n" for one in records))
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self._end)
            os.lseek(self._fd, self._end, os.SEEK_SET)
            raise
        lines = []
        for one in records:
            lines.append(_Line(self._end, len(one) + 1))
            self._end += len(one) + 1
            self._kept_bytes += len(one) + 1
        return lines

    def _compact(self) -> None:
        """Put the waiting records into a new file, locked before it gets the name."""
        lines = [line for line in self._lines() if line.held is None]
        path = self._path.with_suffix(_COMPACTED)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_all(fd, b"".join(self._read(line) + b"\n" for line in lines))
            os.fsync(fd)
            path.replace(self._path)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        os.close(self._fd)
        self._fd, self._end = fd, 0
        for line in lines:
            line.start = self._end
            self._end += line.size
        _sync_folder(self._folder)

    def _take_over_left(self, now: float) -> None:
        self._look_at = now + LEFT_EVERY_S
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path != self._path:
                self._take_over(path, now)

    def _take_over(self, path: Path, now: float) -> None:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        is_kept_open = False
        try:
            if _is_held(fd, path):
                is_kept_open = self._adopt(fd, path, now)
        finally:
            if not is_kept_open:
                os.close(fd)

    def _adopt(self, fd: int, path: Path, now: float) -> bool:
        """Take the lines of a locked file; tell whether it must stay open."""
        with open(fd, "rb", closefd=False) as file:
            lines = [line.rstrip(b"\n") for line in file]
        running = sorted(path.with_suffix(_RUNNING).glob("*"))
        lines += [one.read_bytes() for one in running]
        try:
            self.append(lines, now)
        except OSError:
            # What finds no room in memory either is left to the next look.
            if self.hold(lines, now):
                return False
            with self._lock:
                self._left.append((fd, path))
            return True
        _remove(path)
        return False

    def _remove_left(self) -> None:
        """Remove the files left behind once no record is in memory alone."""
        if self._held_lines:
            return
        for fd, path in self._left:
            with suppress(OSError):
                _remove(path)
            os.close(fd)
        self._left.clear()


def _remove(path: Path) -> None:
    """Remove a journal's file, and all that lies beside it."""
    running = path.with_suffix(_RUNNING)
    for one in running.glob("*"):
        one.unlink()
    if running.exists():
        running.rmdir()
    path.with_suffix(_PART).unlink(missing_ok=True)
    path.with_suffix(_COMPACTED).unlink(missing_ok=True)
    path.unlink()


def _is_held(fd: int, path: Path) -> bool:
    """Lock a file; False if another process holds or has removed it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(fd).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable, too."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
