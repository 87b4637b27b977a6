"""Delivers the notices that are due: at least once, in no promised order.

One task in each process. The database hands each delivery to one process at a time. A
delivery that failed is tried again after growing pauses, about three days long; then it
is given up, and stays in the log, from where it can be replayed.
"""

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from bridge.notices.mail import MailSender
from bridge.notices.targets import allowed_hosts
from bridge.notices.webhook import WebhookSender
from bridge.settings.process import Settings
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import note_failure
from crm import notice_deliveries, notices
from crm.database import Database
from crm.notice_deliveries import Claimed, Outcome, Parcel
from crm.transient import DATABASE_ERRORS

# How often a process that has nothing to deliver looks for what is due.
LOOK_S = 2.0
# How many deliveries a process tries at once, how many of them for one business, and to
# one endpoint: a receiver that takes its time leaves room for the others.
IN_FLIGHT_MAX = 8
BUSINESS_IN_FLIGHT_MAX = 2
ENDPOINT_IN_FLIGHT_MAX = 1
# A try that takes longer makes its endpoint slow until one is quicker. Receivers that
# are slow have half of the deliveries together, however many businesses have them.
SLOW_MS = 2_000.0
SLOW_IN_FLIGHT_MAX = 4
# The endpoint that was slow the longest ago is forgotten first.
_SLOW_KEPT = 1_000
# All e-mails go to one server: while it hangs, webhooks have room.
MAILS_IN_FLIGHT_MAX = 4
MAIL_PUT_OFF = timedelta(seconds=20)
# The pauses that Standard Webhooks suggests ("Deliverability and reliability").
PAUSES = (
    *(timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30)),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
# Each pause is longer by up to this share of it, so that many do not come at once.
JITTER = 0.2


class Sender(Protocol):
    """Sends a notice of one kind."""

    async def send(self, notice_id: UUID, parcel: Parcel) -> Outcome:
        """Send a notice; every failure is an outcome."""


class Dispatcher:
    """Delivers notices of every business; `run` is the task."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        metrics: Metrics,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._database = database
        self._metrics = metrics
        self._chance = chance
        self._allowed = allowed_hosts(settings.notice_allow_hosts)
        self._running: dict[asyncio.Task[None], Claimed] = {}
        self._slow: OrderedDict[UUID, None] = OrderedDict()
        self._mails = 0

    async def run(self) -> None:
        """Deliver what is due, until cancelled."""
        webhooks = WebhookSender(self._allowed)
        try:
            while True:
                while len(self._running) < IN_FLIGHT_MAX:
                    claimed = await self._claim()
                    if claimed is None:
                        break
                    task = asyncio.create_task(self.deliver(claimed, webhooks))
                    self._running[task] = claimed
                await self._wait(is_full=len(self._running) == IN_FLIGHT_MAX)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            self._running.clear()
            await webhooks.close()

    async def _claim(self) -> Claimed | None:
        """Claim the delivery that is due for longest, of those that have room."""
        running = self._running.values()
        full = _full((one.endpoint_id for one in running), ENDPOINT_IN_FLIGHT_MAX)
        slow = sum(one.endpoint_id in self._slow for one in running)
        try:
            claimed = await notice_deliveries.claim(
                self._database,
                1,
                but_businesses=_full(
                    (one.business_id for one in running), BUSINESS_IN_FLIGHT_MAX
                ),
                but_endpoints=[*full, *self._slow]
                if slow >= SLOW_IN_FLIGHT_MAX
                else full,
            )
        except DATABASE_ERRORS as error:
            server_logger().warning("[NOTICE] none claimed: %s", type(error).__name__)
            return None
        return claimed[0] if claimed else None

    async def deliver(self, claimed: Claimed, webhooks: Sender) -> None:
        """Try one claimed delivery and note what came of it."""
        parcel = await notice_deliveries.read(self._database, claimed)
        if parcel is None:
            return
        if parcel.kind == notices.EMAIL and self._mails >= MAILS_IN_FLIGHT_MAX:
            await notice_deliveries.put_off(self._database, claimed, MAIL_PUT_OFF)
            return
        outcome = await self._try(claimed, parcel, webhooks)
        self._note_pace(claimed.endpoint_id, outcome)
        pause = pause_after(claimed.tries, self._chance())
        why = await notice_deliveries.settle(self._database, claimed, outcome, pause)
        self._note(claimed, parcel, outcome, pause)
        if why:
            self._metrics.count("notice_endpoints_disabled")
            server_logger().error(
                "[NOTICE] endpoint %s of business %s is disabled: %s",
                claimed.endpoint_id,
                claimed.business_id,
                why,
            )

    async def _try(self, claimed: Claimed, parcel: Parcel, webhooks: Sender) -> Outcome:
        if parcel.is_disabled:
            return Outcome(False, None, "the endpoint is disabled", 0.0, is_gone=True)
        if parcel.kind != notices.EMAIL:
            return await webhooks.send(claimed.notice_id, parcel)
        self._mails += 1
        try:
            return await MailSender(self._settings).send(claimed.notice_id, parcel)
        finally:
            self._mails -= 1

    def _note_pace(self, endpoint_id: UUID, outcome: Outcome) -> None:
        self._slow.pop(endpoint_id, None)
        if outcome.duration_ms > SLOW_MS:
            self._slow[endpoint_id] = None
        if len(self._slow) > _SLOW_KEPT:
            self._slow.popitem(last=False)

    def _note(
        self,
        claimed: Claimed,
        parcel: Parcel,
        outcome: Outcome,
        pause: timedelta | None,
    ) -> None:
        if outcome.is_delivered:
            result = "delivered"
        else:
            result = "given_up" if pause is None or outcome.is_gone else "retried"
        self._metrics.count("notices", kind=parcel.kind, outcome=result)
        if not outcome.is_delivered:
            server_logger().warning(
                "[NOTICE] %s of business %s to endpoint %s, try %d: %s, %s",
                parcel.type,
                claimed.business_id,
                claimed.endpoint_id,
                claimed.tries,
                outcome.status or "no answer",
                result,
            )

    async def _wait(self, *, is_full: bool) -> None:
        """Wait until there may be more to do."""
        look_s = LOOK_S * (1 - JITTER / 2 + JITTER * self._chance())
        if self._running:
            when = asyncio.FIRST_COMPLETED
            done, _ = await asyncio.wait(
                self._running, timeout=None if is_full else look_s, return_when=when
            )
            for task in done:
                del self._running[task]
                if not task.cancelled() and task.exception() is not None:
                    # The delivery is due again when its lease ends.
                    note_failure(self._metrics, "notice", task.exception())
            return
        await asyncio.sleep(look_s)


def _full(ids: Iterable[UUID], most: int) -> list[UUID]:
    """Return the ids that occur `most` times or more."""
    return [one for one, times in Counter(ids).items() if times >= most]


def pause_after(tries: int, chance: float) -> timedelta | None:
    """Return how long to wait after so many tries; None: give up."""
    if tries > len(PAUSES):
        return None
    return PAUSES[tries - 1] * (1 + JITTER * chance)
