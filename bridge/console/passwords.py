"""Hashes and checks passwords, one at a time, beside the event loop.

Parameters are those that OWASP's Password Storage Cheat Sheet names first for Argon2id:
19 MiB of memory, two passes, one lane.
"""

import asyncio
from functools import partial
from typing import TypeVar

from aiohttp import web
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

T = TypeVar("T")
CHARS_MIN = 10
# A longer text costs time to hash, and is no password.
CHARS_MAX = 256
# A check takes tens of ms of one core; what waits longer than this many is refused.
WAITING_MAX = 8
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class Busy(Exception):
    """More checks wait than are let in."""


def hash_password(password: str) -> str:
    """Return the hash that is stored."""
    return _hasher.hash(password)


def is_right(stored: str, password: str) -> bool:
    """Tell whether a password is the one of a stored hash."""
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def fault_of(password: str) -> str | None:
    """Return `short` or `long` if a password cannot be used; None if it can be."""
    if len(password) < CHARS_MIN:
        return "short"
    return "long" if len(password) > CHARS_MAX else None


class PasswordCheck:
    """Checks passwords in a thread, one at a time; refuses what would wait long."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0
        # An unknown user costs what a known one costs.
        self._nobody: str | None = None

    async def check(self, stored: str | None, password: str) -> bool:
        """Tell whether a password is right; False, as slowly, where there is none.

        Raises Busy.
        """
        if len(password) > CHARS_MAX:
            return False
        return await self._run(partial(self._check, stored, password))

    async def hash(self, password: str) -> str:
        """Return the hash of a new password. Raises Busy."""
        return await self._run(partial(hash_password, password))

    def _check(self, stored: str | None, password: str) -> bool:
        if stored is None:
            self._nobody = self._nobody or hash_password("nobody's password")
            is_right(self._nobody, password)
            return False
        return is_right(stored, password)

    async def _run(self, work: "partial[T]") -> T:
        if self._waiting >= WAITING_MAX:
            raise Busy
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


PASSWORDS = web.AppKey("passwords", PasswordCheck)
