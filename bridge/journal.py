"""The journal: what a worker has yet to write into the database, in a file of its own.

A line per record, appended and made durable before `append` returns; read in order from
the front, and cut to nothing when all of it is written. The file is locked while its
process lives. One that nobody holds was left behind, by a crash or a kill: its lines
are taken over by the next worker that starts. A line may so be read twice, after a
crash between the database's answer and `drop`; whoever writes it must be able to tell.

Beside it lies a folder with a file per call that runs. What a killed process leaves
there is written as the record it did not come to, after all those that it did.

Every method blocks on the disk and may be called from any thread.
"""

import fcntl
import os
from collections import deque
from pathlib import Path
from threading import Lock
from time import time_ns

REFUSED = "refused.jsonl"
_SUFFIX = ".journal"
_RUNNING = ".running"
_PART = ".part"


class Journal:
    """One worker's file below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        # The sizes of the lines that wait; the first begins at `_front`.
        self._sizes: deque[int] = deque()
        self._front = 0
        self._end = 0
        self._path = folder
        self._fd = -1

    @property
    def waiting(self) -> int:
        """How many records are not in the database yet."""
        return len(self._sizes)

    def open(self) -> None:
        """Make the file, and take over what no living worker holds."""
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
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path != self._path:
                self._take_over(path)
        _sync_folder(self._folder)

    def append(self, records: list[bytes]) -> None:
        """Keep records, none of which holds a line feed; all of them, or OSError."""
        with self._lock:
            try:
                _write_all(self._fd, b"".join(one + b"\n" for one in records))
                os.fsync(self._fd)
            except OSError:
                os.ftruncate(self._fd, self._end)
                os.lseek(self._fd, self._end, os.SEEK_SET)
                raise
            for one in records:
                self._sizes.append(len(one) + 1)
                self._end += len(one) + 1

    def begin(self, name: str, record: bytes) -> None:
        """Keep what is to be written should this process not live to `end` it.

        What was kept under this name before stays until all of the new is there.
        """
        folder = self._path.with_suffix(_RUNNING)
        folder.mkdir(exist_ok=True, mode=0o700)
        part = self._path.with_suffix(_PART)
        part.write_bytes(record)
        part.replace(folder / name)

    def end(self, name: str) -> None:
        """Forget what was begun: its record is in the journal."""
        (self._path.with_suffix(_RUNNING) / name).unlink(missing_ok=True)

    def first(self) -> bytes | None:
        """Return the record that waits longest."""
        with self._lock:
            if not self._sizes:
                return None
            return os.pread(self._fd, self._sizes[0] - 1, self._front)

    def drop(self) -> None:
        """Forget the first record: it is written."""
        with self._lock:
            self._front += self._sizes.popleft()
            if not self._sizes:
                os.ftruncate(self._fd, 0)
                os.lseek(self._fd, 0, os.SEEK_SET)
                self._front = self._end = 0

    def refuse(self, record: bytes) -> None:
        """Put aside what cannot be written, for a human to look at."""
        with (self._folder / REFUSED).open("ab") as file:
            file.write(record + b"\n")

    def close(self) -> None:
        """Let go of the file; one with nothing in it is removed."""
        with self._lock:
            if self._fd < 0:
                return
            running = self._path.with_suffix(_RUNNING)
            is_left = running.exists() and any(running.iterdir())
            if running.exists() and not is_left:
                running.rmdir()
            if not self._sizes and not is_left:
                self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def _take_over(self, path: Path) -> None:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if _is_held(fd, path):
                with open(fd, "rb", closefd=False) as file:
                    self.append([line.rstrip(b"\n") for line in file])
                running = sorted(path.with_suffix(_RUNNING).glob("*"))
                self.append([one.read_bytes() for one in running])
                for one in running:
                    one.unlink()
                if path.with_suffix(_RUNNING).exists():
                    path.with_suffix(_RUNNING).rmdir()
                path.with_suffix(_PART).unlink(missing_ok=True)
                path.unlink()
        finally:
            os.close(fd)


def _is_held(fd: int, path: Path) -> bool:
    """Lock a file; False if another has it or took it away."""
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
