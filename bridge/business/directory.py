"""Finds the business of a dialled number, in the database or else in the cache.

The cache answers while the database is unreachable. Every business is read again at
intervals, so that the cache also holds a business that has had no call for hours. Each
business that is served from the cache is logged and counted.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import asyncpg

from bridge.business.cache import BusinessCache
from bridge.settings.message_options import account_of
from bridge.settings.options import CallOptions
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from crm import businesses, phones
from crm.businesses import Business
from crm.database import Database
from crm.patience import answer
from crm.transient import is_transient

# The caller hears ringing meanwhile; the switchboard gives an opening 5 s.
LOOKUP_WAIT_S = 2.0
# The greatest age of a cache entry at the time when the database becomes unreachable.
REFRESH_S = 300.0
# The pause between two businesses: a thousand of them are a small load for 20 s.
BREATH_S = 0.02


class Found(NamedTuple):
    """A business; `is_cached` where the database could not be asked."""

    business: Business
    is_cached: bool = False


class BusinessDirectory:
    """The businesses as one process sees them."""

    def __init__(
        self,
        database: Database,
        cache: BusinessCache,
        metrics: Metrics,
        options: CallOptions,
    ) -> None:
        """`options` are the process's, which a business may override."""
        self._options = options
        self._database = database
        self._cache = cache
        self._metrics = metrics
        self._kept: dict[str, Business] = {}
        self._refreshed_at = monotonic()
        # Tasks that no call waits for: writes to the disk, and abandoned queries. An
        # abandoned query holds its connection until the connection times out.
        self._late: set[asyncio.Task[Any]] = set()

    @property
    def age_s(self) -> float:
        """How long ago all businesses were read."""
        return monotonic() - self._refreshed_at

    @property
    def known(self) -> tuple[Business, ...]:
        """The businesses that have been read so far, as they were then."""
        return tuple(self._kept.values())

    async def find(self, address: str, account_sid: str = "") -> Found | None:
        """Return the business that a `To` belongs to, None where none has it.

        A business whose numbers are another account's than `account_sid`, which sent
        the request, is not returned; "" for who is no account of Twilio's.

        Raises the database's error where the cache has no usable entry.
        """
        found = await self._find(phones.dialled(address))
        if found is None or not account_sid:
            return found
        own = account_of(self._options, found.business.settings)
        if own in ("", account_sid):
            return found
        self._metrics.count("requests_of_other_accounts")
        server_logger().warning(
            "a number of %s was asked for by %s: not believed",
            own,
            account_sid,
            extra={"business": str(found.business.id)},
        )
        return None

    async def _find(self, number: str) -> Found | None:
        try:
            business = await answer(self._ask(number), LOOKUP_WAIT_S)
        except Exception as error:
            cached = await self._find_cached(number)
            if cached is None:
                raise
            self._metrics.count("businesses_from_cache")
            server_logger().warning(
                "the database is away (%s): a business as of %s is served",
                type(error).__name__,
                f"{cached.read_at:%Y-%m-%d %H:%M:%S}Z",
            )
            return Found(cached.business, is_cached=True)
        if business is None:
            self._leave_behind(self._forget(number))
            return None
        self._leave_behind(self._keep(number, business))
        return Found(business)

    async def find_kept(self, address: str) -> Business | None:
        """Return the cached business of a number; the database is not asked."""
        cached = await self._find_cached(phones.dialled(address))
        return None if cached is None else cached.business

    async def refresh(self) -> None:
        """Read every business again, for the cache; raises where the read fails."""
        numbers = await businesses.numbers(self._database)
        for number, business_id in numbers:
            try:
                business = await businesses.get(self._database, business_id)
            except Exception as error:
                if is_transient(error):
                    raise
                server_logger().error("a business cannot be read", exc_info=error)
                continue
            if business is not None:
                await self._keep(number, business, is_new=True)
            await asyncio.sleep(BREATH_S)
        await asyncio.to_thread(
            self._cache.forget_others, [number for number, _ in numbers]
        )
        self._refreshed_at = monotonic()

    async def keep_fresh(self) -> None:
        """Refresh at intervals until cancelled; an error waits for the next refresh."""
        while True:
            try:
                await self.refresh()
            except Exception as error:
                server_logger().warning(
                    "businesses are not read again: %s: %s", type(error).__name__, error
                )
            await asyncio.sleep(REFRESH_S)

    async def _ask(self, number: str) -> Business | None:
        try:
            return await businesses.find_by_number(self._database, number)
        except asyncpg.InvalidCachedStatementError:
            # The next version of this service has changed the schema.
            return await businesses.find_by_number(self._database, number)

    async def _find_cached(self, number: str) -> Any:
        return await asyncio.to_thread(self._cache.find, number, datetime.now(UTC))

    async def _keep(
        self, number: str, business: Business, *, is_new: bool = False
    ) -> None:
        """Write a business to the cache if it has changed or was just refreshed."""
        if self._kept.get(number) == business and not is_new:
            return
        try:
            await asyncio.to_thread(self._cache.keep, number, business)
        except OSError as error:
            server_logger().warning("a business is not kept on disk: %s", error)
            return
        self._kept[number] = business

    async def _forget(self, number: str) -> None:
        self._kept.pop(number, None)
        with suppress(OSError):
            await asyncio.to_thread(self._cache.forget, number)

    def _leave_behind(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work on the disk in the background, so that a call need not wait."""
        self._note_late(asyncio.get_running_loop().create_task(work))

    def _note_late(self, task: asyncio.Task[Any]) -> None:
        self._late.add(task)
        task.add_done_callback(self._forget_late)

    def _forget_late(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled() and task.exception() is not None:
            name = type(task.exception()).__name__
            server_logger().warning("what a call did not wait for failed: %s", name)


def uncached(database: Database, options: CallOptions) -> BusinessDirectory:
    """Return a directory without a cache: it finds nothing without the database."""
    return BusinessDirectory(database, BusinessCache(Path(), 0), Metrics(), options)
