"""The cache of businesses on disk, for calls while the database is unreachable.

The cache has one file per dialled number below KOLBRIDGE_HOME. Only the service's user
may read a file. Each file is replaced atomically, because several processes and threads
read and write the files. A file holds the settings of a business, and no data of its
callers. An entry older than BUSINESS_CACHE_HOURS is not used.
Every method blocks on the disk and may be called from any thread.
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import get_ident

import msgspec

from crm import phones
from crm.businesses import Business

_SUFFIX = ".json"


class Cached(msgspec.Struct, frozen=True):
    """A business, and the time at which it was read from the database."""

    business: Business
    read_at: datetime


class BusinessCache:
    """The files of one `folder`; with `hours` of 0, no file is written or used."""

    def __init__(self, folder: Path, hours: int) -> None:
        self._folder = folder
        self._longest = timedelta(hours=hours)

    def find(self, number: str, now: datetime) -> Cached | None:
        """Return the cached business of a number, if the entry is not too old."""
        if not self._longest:
            return None
        path = self._path(number)
        try:
            cached = msgspec.json.decode(path.read_bytes(), type=Cached)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        # A file that was put under another number's name is not used.
        is_its_own = number in cached.business.numbers
        is_fresh = now - cached.read_at < self._longest
        return cached if is_its_own and is_fresh else None

    def keep(self, number: str, business: Business) -> None:
        """Write a business as it is now; raises OSError where the disk refuses."""
        if not self._longest:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(number)
        part = path.with_suffix(f".{os.getpid()}-{get_ident()}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            with open(os.open(part, flags, 0o600), "wb") as file:
                file.write(msgspec.json.encode(Cached(business, datetime.now(UTC))))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def forget(self, number: str) -> None:
        """Remove the entry of a number: no business has the number."""
        if not self._longest:
            return
        self._path(number).unlink(missing_ok=True)

    def forget_others(self, numbers: Iterable[str]) -> None:
        """Remove every entry but those of these numbers."""
        kept = {self._path(number) for number in numbers}
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _path(self, number: str) -> Path:
        # The dialled number is untrusted input; only digits become a file name.
        name = number[1:] if phones.is_e164(number) else "none"
        return self._folder / f"{name}{_SUFFIX}"
