"""Businesses as the database last had them, on disk, for calls while it is away.

One file per dialled number below KOLBRIDGE_HOME, for this service's user alone, put in
place whole: several processes and threads read and write them. A file holds what a
business has set, and nothing of its callers. What is older than BUSINESS_CACHE_HOURS is
not used.
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
    """A business, and when the database had it so."""

    business: Business
    read_at: datetime


class BusinessCache:
    """The files of one `folder`; none is kept or used with `hours` of 0."""

    def __init__(self, folder: Path, hours: int) -> None:
        self._folder = folder
        self._longest = timedelta(hours=hours)

    def find(self, number: str, now: datetime) -> Cached | None:
        """Return what is kept of a number's business, if it is not too old."""
        if not self._longest:
            return None
        path = self._path(number)
        try:
            cached = msgspec.json.decode(path.read_bytes(), type=Cached)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        # A file that was put under another's name serves nobody.
        is_its_own = number in cached.business.numbers
        is_fresh = now - cached.read_at < self._longest
        return cached if is_its_own and is_fresh else None

    def keep(self, number: str, business: Business) -> None:
        """Keep a business as it is now; OSError where the disk refuses."""
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
        """Keep nothing of a number: no business has it."""
        if not self._longest:
            return
        self._path(number).unlink(missing_ok=True)

    def forget_others(self, numbers: Iterable[str]) -> None:
        """Keep nothing but what is kept of these numbers."""
        kept = {self._path(number) for number in numbers}
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _path(self, number: str) -> Path:
        # The dialled number comes from outside; only digits make a name.
        name = number[1:] if phones.is_e164(number) else "none"
        return self._folder / f"{name}{_SUFFIX}"
