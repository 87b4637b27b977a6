"""Ownership: which calls this process owns, and their checkpoints in the database.

A call's owner is a row with a generation, which only a claim changes. Each second this
process looks whether its calls are still its own, and saves a checkpoint of each that
has changed. A call that another process has claimed is let go at once: its session and
its stream are closed, and nothing more is written of it.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import NamedTuple
from uuid import UUID

import asyncpg

from bridge.call import checkpoint
from bridge.call.plan import CallPlan
from bridge.line.driver import CallDriver
from bridge.nodes.claims import encode_plan, win
from bridge.nodes.membership import Identity
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import note_failure
from crm import calls, live_calls
from crm.database import Database
from crm.patience import answer
from crm.transient import DATABASE_ERRORS, is_about_the_row

EVERY_S = 1.0
# How often calls that cannot wait are looked for in between.
URGENT_EVERY_S = 0.1
# A process that has not looked for so long may have been frozen: it looks again before
# it runs a tool. Others take it for dead after crm.nodes.STALE_S.
LOOKED_S_MAX = 2.0
# The generation of a call that was never claimed.
FIRST = 1
# How long a caller waits at most for the row of their call.
OWN_WAIT_S = 0.5
# A webhook came here and elsewhere, and the database was late: Twilio connects the
# caller to one of the two, for which the other waits so long. Twilio gives up a webhook
# after 15 s.
CONNECTED_WITHIN_S = 15.0
# Between two checkpoints, so that the loop is free for frames.
BREATH_S = 0.002


class TakenOver(Exception):
    """Another process has the call."""


class _Saved(NamedTuple):
    """What a call's last checkpoint was made of."""

    learnt: int
    digits: str
    is_answered: bool
    # How far the caller has heard it changes until it has been played.
    is_playing: bool


class Ownership:
    """The owner of the generations of this process's calls."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        live_drivers: Callable[[], Iterable[CallDriver]],
        metrics: Metrics,
        *,
        saves: bool,
    ) -> None:
        """`saves`: other processes may go on with these calls."""
        self._saves = saves
        self._database = database
        self._identity = identity
        self._live_drivers = live_drivers
        self._metrics = metrics
        self._generations: dict[str, int] = {}
        self._saved: dict[str, _Saved] = {}
        # The calls whose plan is in the database, too.
        self._planned: set[str] = set()
        # Of two looks that claim one call at a time, one would fail and let it go.
        self._opening = asyncio.Lock()
        # When this process last knew that all its calls were its own.
        self._looked_at = float("-inf")
        self._is_away = False

    def generation_of(self, call_sid: str) -> int:
        """Return the generation in which this process owns a call of its own."""
        return self._generations.get(call_sid, FIRST)

    def note_claimed(self, call_sid: str, generation: int) -> None:
        """Note that this process has claimed a call."""
        self._generations[call_sid] = generation

    def forget(self, call_sid: str) -> None:
        """Forget a call that has ended here."""
        self._generations.pop(call_sid, None)
        self._saved.pop(call_sid, None)
        self._planned.discard(call_sid)

    async def keep(self) -> None:
        """Look after the calls each second, and in between for those that cannot wait,
        until cancelled."""
        while True:
            due_at = monotonic() + EVERY_S
            try:
                while monotonic() < due_at:
                    await asyncio.sleep(URGENT_EVERY_S)
                    await self._look_in_between()
                await self.look()
            except DATABASE_ERRORS as error:
                self._note_away(error)

    async def own(self, line: CallDriver) -> None:
        """Become the owner of a new call, and save it, before its caller is connected.

        The call begins even if the database is late or away. A process that has the
        call already did not answer this webhook, which came again: it loses the call.
        If the database is late, the one of the two whose caller is connected has it.
        """
        lines = {line.call.plan.call_sid: line}
        with suppress(*DATABASE_ERRORS):
            await answer(self._own(lines), OWN_WAIT_S)

    async def _own(self, lines: dict[str, CallDriver]) -> None:
        await self._open_new(lines, are_ringing=True)
        if self._saves:
            await self._save_changed(lines)

    async def _look_in_between(self) -> None:
        """Own and save each call that has no owner, and save each call whose speech has
        just been heard to its end: it would be said again."""
        now = monotonic()
        lines = {
            line.call.plan.call_sid: line
            for line in self._live_drivers()
            if self._is_urgent(line, now)
        }
        if lines:
            await self._open_new(lines)
            if self._saves:
                await self._save_changed(lines)

    def _is_urgent(self, line: CallDriver, now: float) -> bool:
        call_sid = line.call.plan.call_sid
        if call_sid not in self._generations:
            return True
        saved = self._saved.get(call_sid)
        was_playing = saved is not None and saved.is_playing
        return was_playing and not line.call.playout.is_playing(now)

    async def look(self) -> None:
        """Let go of calls that were claimed; save the checkpoints of changed calls."""
        lines = {line.call.plan.call_sid: line for line in self._live_drivers()}
        await self._open_new(lines)
        began_at = monotonic()
        if lines:
            await self._check(lines)
        self._looked_at = began_at
        if lines and self._saves:
            await self._save_changed(lines)
        if lines:
            self._note_back()

    async def _check(self, lines: dict[str, CallDriver]) -> None:
        """Let go of each call that has another generation, or has ended elsewhere.

        A call without an owner and without a record is this process's: a failover of
        the database has forgotten the row, and the next look writes it again.
        """
        before = {call_sid: self.generation_of(call_sid) for call_sid in lines}
        found = await live_calls.generations(self._database, list(lines))
        for call_sid, line in list(lines.items()):
            generation, known = found.get(call_sid), self.generation_of(call_sid)
            # What this process has claimed meanwhile is looked at the next time.
            is_new = known != before[call_sid]
            if line.is_over or is_new or generation == known:
                continue
            if generation is None and not await self._is_recorded(line.call.plan):
                self.forget(call_sid)
            elif not line.is_over:
                self._let_go(lines.pop(call_sid))

    async def _is_recorded(self, plan: CallPlan) -> bool:
        business_id = UUID(plan.business_id)
        return await calls.find(self._database, business_id, plan.call_sid) is not None

    async def confirm(self, plan: CallPlan) -> None:
        """Raise TakenOver if another process has the call, in doubt after a look.

        Without the database no tool does anything.
        """
        if monotonic() - self._looked_at < LOOKED_S_MAX:
            return
        try:
            found = await live_calls.generations(self._database, [plan.call_sid])
            generation = found.get(plan.call_sid)
            is_over = generation is None and await self._is_recorded(plan)
        except DATABASE_ERRORS:
            return
        if is_over or generation not in (None, self.generation_of(plan.call_sid)):
            raise TakenOver(plan.call_sid)

    async def _open_new(
        self, lines: dict[str, CallDriver], *, are_ringing: bool = False
    ) -> None:
        """Own each new call; leave out of `lines` those that another process has."""
        async with self._opening:
            for call_sid, line in list(lines.items()):
                if call_sid in self._generations:
                    continue
                if not await self._open(line, is_ringing=are_ringing):
                    lines.pop(call_sid)

    async def _open(self, line: CallDriver, *, is_ringing: bool) -> bool:
        """Own a call; return False if another process has it. It is let go, unless its
        caller may still be connected here."""
        me, plan = self._identity, line.call.plan
        try:
            owner = await live_calls.open(
                self._database,
                call_sid=plan.call_sid,
                business_id=UUID(plan.business_id),
                account_sid=line.account_sid,
                to_number=plan.to_number,
                node=me.name,
                incarnation=me.incarnation,
                worker=me.worker,
            )
        except asyncpg.PostgresError as error:
            if not is_about_the_row(error):
                raise
            # Its business is gone, say: it is not asked for again at once.
            self._generations[plan.call_sid] = FIRST
            line.log.error("[NODE] the call has no owner: %s", type(error).__name__)
            return True
        generation: int | None = owner.generation
        if line.is_over:
            await self._close(owner)
            return True
        if owner.incarnation != me.incarnation:
            generation = None
            if is_ringing or line.twilio_leg is not None:
                generation = await win(self._database, me, owner, is_dead=True)
        if generation:
            self._generations[plan.call_sid] = generation
            return True
        if is_ringing or not self._may_be_connected(line):
            self._let_go(line)
        return False

    def _may_be_connected(self, line: CallDriver) -> bool:
        waited_s = monotonic() - line.call.call_record.opened_at
        return line.twilio_leg is None and waited_s < CONNECTED_WITHIN_S

    async def _close(self, owner: live_calls.Owner) -> None:
        """Remove the owner of a call that ended before it had one."""
        if owner.incarnation != self._identity.incarnation:
            return
        async with self._database.tenant(owner.business_id) as connection:
            await live_calls.close(
                connection, owner.business_id, owner.call_sid, owner.generation
            )

    def _let_go(self, line: CallDriver) -> None:
        self._metrics.count("calls_taken_over")
        line.log.warning("[NODE] another process has the call: it is let go here")
        self.forget(line.call.plan.call_sid)
        line.let_go()

    async def _save_changed(self, lines: dict[str, CallDriver]) -> None:
        """Save the checkpoints of all calls that have changed, in one statement."""
        rows: list[live_calls.Checkpoint] = []
        changed: dict[str, _Saved] = {}
        for call_sid, line in lines.items():
            generation = self._generations.get(call_sid, 0)
            if not generation or line.is_over:
                continue
            now = monotonic()
            stands = _Saved(
                line.call.call_record.learnt,
                line.call.keypad.digits,
                line.call.call_record.is_answered,
                line.call.playout.is_playing(now),
            )
            if self._saved.get(call_sid) == stands and not stands.is_playing:
                continue
            try:
                state = checkpoint.encode(line.call.checkpoint(now))
            except Exception as error:
                # Until the call changes again, it has no newer checkpoint.
                self._saved[call_sid] = stands
                note_failure(self._metrics, "checkpoint", error)
                continue
            is_planned = call_sid in self._planned
            plan = None if is_planned else encode_plan(line.call.plan)
            business_id = UUID(line.call.plan.business_id)
            rows.append(
                live_calls.Checkpoint(
                    business_id, call_sid, generation, checkpoint.FORMAT, plan, state
                )
            )
            changed[call_sid] = stands
            await asyncio.sleep(BREATH_S)
        if not rows:
            return
        await live_calls.save(self._database, rows)
        # Only now: a save that fails or is given up is made again, with the plan.
        for row in rows:
            if row.call_sid in self._generations:
                self._saved[row.call_sid] = changed[row.call_sid]
                self._planned.add(row.call_sid)
        self._metrics.count("checkpoints_saved", len(rows))

    def _note_away(self, error: Exception) -> None:
        self._metrics.count("node_failures", what="checkpoints")
        if not self._is_away:
            name = type(error).__name__
            server_logger().error("[NODE] the database takes no checkpoints: %s", name)
        self._is_away = True

    def _note_back(self) -> None:
        if self._is_away:
            server_logger().warning("[NODE] checkpoints are saved again")
        self._is_away = False
