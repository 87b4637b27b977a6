"""ResumedCalls: this process goes on with calls whose process is gone.

Twilio asks any process what follows the stream of such a call. The process looks for
the call's owner, waits until the owner counts as dead, claims the call, and makes a
driver from the checkpoint.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import msgspec

from bridge.call.checkpoint import OtherFormatError, UnreadableError
from bridge.call.machine import Call
from bridge.call.plan import CallPlan, CallRecord, Checkpoint
from bridge.line.driver import CallDriver
from bridge.nodes.claims import Claimed, claim, claim_unread
from bridge.nodes.membership import Identity
from bridge.nodes.ownership import Ownership
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from crm import calls, live_calls, nodes
from crm.database import Database
from crm.transient import DATABASE_ERRORS

# A process that does not beat is stale by then. Twilio waits for 15 s.
STALE_WAIT_S = nodes.STALE_S + 1.0
LOOK_S = 0.2


class ResumedCalls:
    """Claims calls for one process; `begin` makes the driver of a claimed call."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        ownership: Ownership,
        begin: Callable[[CallPlan, str], Awaitable[CallDriver | None]],
        on_record: Callable[[CallRecord], None],
        is_gone: Callable[[UUID], Awaitable[bool]],
        ask_owner: Callable[[live_calls.Owner, int], Awaitable[Checkpoint | None]],
        metrics: Metrics,
        *,
        times_max: int,
    ) -> None:
        """`is_gone` tells whether a process died on this machine; `ask_owner` returns a
        claimed call as it stands at its old owner, if that one lives."""
        self._is_gone = is_gone
        self._ask_owner = ask_owner
        self._database = database
        self._identity = identity
        self._ownership = ownership
        self._begin = begin
        self._on_record = on_record
        self._metrics = metrics
        self._times_max = times_max
        # The calls that are being claimed here: Twilio may ask about one meanwhile.
        self._taking: dict[str, asyncio.Task[CallDriver | None]] = {}

    async def resume(
        self, call_sid: str, *, is_dead: bool = False
    ) -> CallDriver | None:
        """Return the driver of a call that another process has left; None if this
        process cannot go on with it.

        `is_dead`: that process was asked, and does not answer. It is not waited for; if
        it lives, it finds that the call is another's. Raises OtherFormatError if a
        process of another version may go on with the call.
        """
        log = CallLogger(call_sid, "")
        try:
            return await self._resume(call_sid, is_dead)
        except DATABASE_ERRORS as error:
            log.error("[NODE] the call cannot be claimed: %s", type(error).__name__)
        except OtherFormatError:
            raise
        except UnreadableError as error:
            log.error("[NODE] the call is not claimed: %s", error)
        self._metrics.count("calls_resumed", outcome="failed")
        return None

    async def bury(self, owner: live_calls.Owner) -> None:
        """Claim a call that nobody goes on with, and write its record.

        Without a checkpoint, the record is left to the journal of the process that
        died. If nobody can read the checkpoint, the record says so.
        """
        try:
            claimed = await claim(self._database, self._identity, owner, is_over=True)
        except UnreadableError as error:
            if not await self._is_read_elsewhere(error):
                await self._bury_unread(owner, error)
            return
        if claimed is None:
            return
        self._metrics.count("calls_resumed", outcome="over")
        if claimed.plan is None:
            async with self._database.tenant(owner.business_id) as connection:
                await live_calls.close(
                    connection, owner.business_id, owner.call_sid, claimed.generation
                )
            return
        self._record(claimed.plan, claimed.generation)

    async def _is_read_elsewhere(self, error: UnreadableError) -> bool:
        """Tell whether a node of the checkpoint's version takes calls: its reaper acts
        on the call."""
        if not isinstance(error, OtherFormatError):
            return False
        return any(
            node.format == error.form and not node.is_stale and not node.is_draining
            for node in await nodes.every(self._database)
        )

    async def _bury_unread(self, owner: live_calls.Owner, error: Exception) -> None:
        log = CallLogger(owner.call_sid, str(owner.business_id))
        log.error("[NODE] the call is recorded alone: %s", error)
        claimed = await claim_unread(self._database, self._identity, owner)
        if claimed is None:
            return
        assert claimed.plan is not None, "it holds what is known"
        self._metrics.count("calls_resumed", outcome="over")
        lasted = datetime.now(UTC) - owner.opened_at
        self._record(
            claimed.plan,
            claimed.generation,
            calls.CHECKPOINT_UNREADABLE,
            lasted_s=max(lasted.total_seconds(), 0.0),
        )

    def _record(
        self,
        plan: CallPlan,
        generation: int,
        reason: str = calls.PROCESS_LOST,
        *,
        lasted_s: float = 0.0,
    ) -> None:
        """Write the record of a call that this process owns and does not go on with.

        `lasted_s`: how long the call had lasted where no checkpoint says it.
        """
        now = monotonic()
        call = Call(plan, now)
        call.receive_hangup(reason, now)
        self._ownership.note_claimed(plan.call_sid, generation)
        record = call.record(now)
        opened_at_s = record.opened_at_s - lasted_s
        self._on_record(
            msgspec.structs.replace(record, opened_at_s=opened_at_s, failed=True)
        )

    async def _resume(self, call_sid: str, is_dead: bool) -> CallDriver | None:
        taking = self._taking.get(call_sid)
        if taking is not None:
            return await asyncio.shield(taking)
        if is_dead:
            owner = await live_calls.find(self._database, call_sid)
        else:
            owner, is_dead = await self._dead_owner(call_sid)
        return None if owner is None else await self.take(owner, is_dead=is_dead)

    async def take(
        self, owner: live_calls.Owner, *, is_dead: bool = False
    ) -> CallDriver | None:
        """Claim a call whose owner counts as dead, and go on with it; None if another
        process was faster, or the call has been claimed too often."""
        taking = self._taking.get(owner.call_sid)
        if taking is None:
            loop = asyncio.get_running_loop()
            taking = loop.create_task(self._take(owner, is_dead))
            self._taking[owner.call_sid] = taking
            taking.add_done_callback(lambda _: self._taking.pop(owner.call_sid))
        return await asyncio.shield(taking)

    async def _take(self, owner: live_calls.Owner, is_dead: bool) -> CallDriver | None:
        log = CallLogger(owner.call_sid, str(owner.business_id))
        if owner.claims >= self._times_max:
            log.error("[NODE] the call is not claimed a %dth time", owner.claims + 1)
            self._metrics.count("calls_resumed", outcome="refused")
            return None
        claimed = await claim(self._database, self._identity, owner, is_dead=is_dead)
        if claimed is None:
            return None
        latest = None
        if not is_dead:
            latest = await self._ask_owner(owner, claimed.generation)
        if latest is not None and claimed.plan is not None:
            plan = msgspec.structs.replace(claimed.plan, resumed=latest)
            claimed = claimed._replace(plan=plan)
        line = await self._go_on(claimed, log)
        if line is not None and latest is not None:
            # The old owner has closed the stream: Twilio asks what follows.
            line.promised_at = monotonic()
        return line

    async def _dead_owner(self, call_sid: str) -> tuple[live_calls.Owner | None, bool]:
        """Return the call's owner once it is dead, None if it lives; and whether it is
        known to be, whatever its heartbeat says."""
        until = monotonic() + STALE_WAIT_S
        while True:
            owner = await live_calls.find(self._database, call_sid)
            if owner is None or owner.is_stale:
                return owner, False
            if owner.incarnation == self._identity.incarnation or monotonic() > until:
                return None, False
            if await self._is_gone(owner.incarnation):
                return owner, True
            await asyncio.sleep(LOOK_S)

    async def _go_on(self, claimed: Claimed, log: CallLogger) -> CallDriver | None:
        owner, generation, plan = claimed
        assert plan is not None and plan.resumed is not None, "it has a checkpoint"
        self._ownership.note_claimed(owner.call_sid, generation)
        try:
            line = await self._begin(plan, owner.account_sid)
        except Exception:
            self._ownership.forget(owner.call_sid)
            await live_calls.release(self._database, owner.call_sid, generation)
            raise
        if line is None:
            log.error("[NODE] the call's number belongs to no business any more")
            self._metrics.count("calls_resumed", outcome="failed")
            self._record(plan, generation)
            return None
        resumed = plan.resumed
        log.warning(
            "[NODE] resumed from node %s: generation=%d turns=%d tools=%d",
            owner.node or "-",
            generation,
            len(resumed.turns),
            len(resumed.tools),
        )
        self._metrics.count("calls_resumed", outcome="resumed")
        return line
