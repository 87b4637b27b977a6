"""Admission by a business's limits, enforced at its webhooks and in its running calls.

The database counts for all processes of a service together; `bridge.business.quotas`
decides. No frame waits for either. While the database is unreachable, a process uses
its own data: the calls that run in it, and the callers it admitted within the hour. In
that time no running call is told to end, and no daily limit refuses a call: a limit
protects against abuse, and must not itself cost calls.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from bridge.business import quotas
from bridge.business.quotas import Limit
from bridge.line.driver import CallDriver
from bridge.settings.options import CallOptions
from bridge.settings.prices import Prices, cost_of
from bridge.switchboard.unserved import Repeated
from bridge.telemetry.log import CallLogger, server_logger
from bridge.telemetry.metrics import Metrics
from crm import admissions
from crm.admissions import Admission, Usage
from crm.database import Database
from crm.patience import answer
from crm.transient import DATABASE_ERRORS

# The caller hears ringing meanwhile.
ADMIT_WAIT_S = 2.0
# How often running calls are checked; they are warned AHEAD_S before a limit.
LOOK_S = 10.0
HOUR = timedelta(hours=1)
# A busy process's calls of an hour, while the database is unreachable.
RECENT_MAX = 10_000


class Admissions:
    """Decides which of a service's calls are admitted, and which must end."""

    def __init__(self, database: Database, metrics: Metrics, prices: Prices) -> None:
        self._database = database
        self._metrics = metrics
        self._prices = prices
        # The running calls of this process.
        self.live_drivers: Callable[[], Iterable[CallDriver]] = tuple
        # The callers this process admitted within the hour, and to which business;
        # the oldest first.
        self._recent: deque[tuple[datetime, UUID, str]] = deque(maxlen=RECENT_MAX)
        # Of simultaneous calls one asks at a time; the others hold no connection.
        self._turn = asyncio.Lock()

    async def admit(
        self,
        business_id: UUID,
        call_sid: str,
        caller: str | None,
        options: CallOptions,
        now: datetime,
        *,
        is_database_down: bool = False,
    ) -> Limit | None:
        """Admit a call, or return the limit that refuses it.

        `is_database_down` says that the database is unreachable.
        `caller` is None for a withheld number. Raises Repeated for a call that was
        admitted before and must not be opened again.
        """
        who = caller or ""
        decide = partial(quotas.refusal, options, is_withheld=caller is None)
        try:
            if is_database_down:
                raise ConnectionError
            asking = partial(
                admissions.admit, self._database, business_id, call_sid, who, now
            )
            admitting = self._in_turn(partial(asking, decide=decide))
            admitted = await answer(admitting, ADMIT_WAIT_S)
        except DATABASE_ERRORS as error:
            log = CallLogger(call_sid, str(business_id))
            log.warning("limits are not known: %s", type(error).__name__)
            self._metrics.count("limits_unknown")
            limit: Limit | None = decide(self._own_usage(business_id, who, now))
        else:
            if admitted.is_repeated:
                raise Repeated
            limit = admitted.refused_by
        if limit is not None:
            self._metrics.count("limits_reached", limit=limit.value)
        else:
            self._recent.append((now, business_id, who))
        return limit

    async def _in_turn(self, admit: Callable[[], Awaitable[Admission]]) -> Admission:
        async with self._turn:
            return await admit()

    def _own_usage(self, business_id: UUID, caller: str, now: datetime) -> Usage:
        """Return the usage this process knows: at most the true usage, never more."""
        running = sum(
            line.call.plan.business_id == str(business_id)
            for line in self.live_drivers()
        )
        by_caller = sum(
            (of, who) == (business_id, caller) and now - at < HOUR
            for at, of, who in self._recent
        )
        return Usage(running, by_caller, seconds_today=0.0, cost_today=0.0)

    async def watch(self) -> None:
        """Count running calls and tell them of a limit that is near, until
        cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            by_business: dict[str, list[CallDriver]] = {}
            for line in self.live_drivers():
                business_id = line.call.plan.business_id
                by_business.setdefault(business_id, []).append(line)
            for business_id, lines in by_business.items():
                try:
                    await self.look(UUID(business_id), lines, datetime.now(UTC))
                except DATABASE_ERRORS as error:
                    server_logger().warning(
                        "limits are not known: %s", type(error).__name__
                    )
                    self._metrics.count("limits_unknown")

    async def look(
        self, business_id: UUID, lines: list[CallDriver], now: datetime
    ) -> None:
        """Record a business's running calls, and tell them of a limit that is near."""
        options = lines[0].call.plan.options
        seeing = admissions.see(self._database, business_id, self._costs(lines), now)
        usage = await answer(seeing, ADMIT_WAIT_S)
        reached = quotas.ending(options, usage)
        if reached is None:
            return
        for line in lines:
            if line.call.is_talking and not line.call.time_limit.limit:
                self._metrics.count("limits_reached", limit=reached.limit.value)
                limit, left_s = reached.limit.value, reached.left_s
                line.receive(line.call.receive_limit, limit, left_s)
        name = reached.limit.value
        noting = admissions.note_limit(self._database, business_id, name)
        await answer(noting, ADMIT_WAIT_S)

    def _costs(self, lines: list[CallDriver]) -> dict[str, float | None]:
        """Return what each call has cost so far; None if its model has no price."""
        return {
            line.call.plan.call_sid: cost_of(
                line.call.call_record.usage,
                line.call.plan.options.openai_model,
                line.call.plan.options.openai_transcription_model,
                self._prices,
            )
            for line in lines
        }
