"""Call records that the database refused for good, in a file for human inspection.

All workers of a KOLBRIDGE_HOME share one file. It has a line per record: the record as
it stood in the journal, with the time and the words of the refusal. Only `settle`
removes a record, once the record is in the database. Every method blocks on the disk.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import orjson

from crm import calls

REFUSED = "refused.jsonl"
ERROR_CHARS_MAX = 500


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A refused record; a line of an older version has no time and no reason."""

    business_id: UUID
    call: calls.Call
    lead_due: str | None = None
    refused_at: datetime | None = None
    refusal: str = ""


class RefusedRecords:
    """The file of one `folder`, which any number of processes share."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / REFUSED
        self._count = 0
        self._counted: tuple[int, ...] = ()

    def add(self, record: bytes, refusal: str) -> None:
        """Put a record aside, durable when this returns; other bytes are kept as is."""
        if read(record) is not None:
            fields = orjson.loads(record)
            fields["refused_at"] = datetime.now(UTC)
            fields["refusal"] = refusal[:ERROR_CHARS_MAX]
            record = orjson.dumps(fields)
        with self._locked() as fd:
            end = os.lseek(fd, 0, os.SEEK_END)
            # A loss of power leaves half a line, which must spoil no other.
            is_cut = end and os.pread(fd, 1, end - 1) != b"\n"
            try:
                rest = memoryview(b"\n" * bool(is_cut) + record + b"\n")
                while rest:
                    rest = rest[os.write(fd, rest) :]
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, end)
                raise

    def count(self) -> int:
        """Return the number of records; the file is read again when it has changed."""
        try:
            found = self._path.stat()
        except OSError:
            return 0
        mark = (found.st_ino, found.st_size, found.st_mtime_ns)
        if mark != self._counted:
            self._count, self._counted = len(self.lines()), mark
        return self._count

    def lines(self) -> list[bytes]:
        """Return the lines put aside, oldest first; `read` decodes a line."""
        try:
            return self._path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def settle(self, settled: Mapping[bytes, bytes | None]) -> None:
        """Replace lines by their new values; None removes a line."""
        with self._locked():
            left = [settled.get(line, line) for line in self.lines()]
            part = self._path.with_suffix(".part")
            with part.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(b"".join(line + b"\n" for line in left if line is not None))
                file.flush()
                os.fsync(file.fileno())
            if any(line is not None for line in left):
                part.replace(self._path)
            else:
                part.unlink()
                self._path.unlink()

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Lock the file that has the name now; another process may replace the file."""
        while True:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            fd = os.open(self._path, flags, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if _is_named(fd, self._path):
                    yield fd
                    return
            finally:
                os.close(fd)


def read(line: bytes) -> Refused | None:
    """Return the record of a line; None where the line is no call record."""
    try:
        return msgspec.json.decode(line, type=Refused)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_named(fd: int, path: Path) -> bool:
    try:
        return os.fstat(fd).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
