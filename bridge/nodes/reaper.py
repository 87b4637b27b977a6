"""Reaper: looks for calls whose process is gone, and about which Twilio does not ask.

A machine that vanishes leaves Twilio with an open socket: Twilio asks nothing. Each
process looks for calls without an owner. It asks Twilio for the call's status, claims
the call, and moves it to a stream of its own. A call that is over, or that nobody can
move in time, is claimed for its record alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from bridge.call.checkpoint import UnreadableError
from bridge.line.driver import CallDriver
from bridge.nodes.carrier import Carrier, CarrierError
from bridge.telemetry.log import CallLogger, server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import note_failure
from crm import live_calls
from crm.database import Database
from crm.live_calls import Owner
from crm.transient import DATABASE_ERRORS

EVERY_S = 1.0
# Twilio asks within a second or two of a broken stream; its question is cheaper.
ASK_S = 1.0
# Twilio, which has asked or is about to, opens the stream by then.
PROMISED_S = 1.0
# A call that could not be moved by then is recorded as lost.
GIVE_UP_S = 15.0
STALE_MAX = 500
AT_ONCE = 20


class Reaper:
    """Finds calls without an owner, for one process."""

    def __init__(
        self,
        database: Database,
        carrier: Carrier,
        resume: Callable[[Owner], Awaitable[CallDriver | None]],
        connect: Callable[[CallDriver], bytes],
        bury: Callable[[Owner], Awaitable[None]],
        metrics: Metrics,
        is_ours: Callable[[str], bool],
        is_settled: Callable[[], bool],
        *,
        moves: bool,
    ) -> None:
        """`is_settled` tells whether a stale heartbeat means a dead process; `moves`:
        calls are resumed here, else only their rows are removed."""
        self._is_settled = is_settled
        # Of a node's workers one takes a call: the one that gets its webhooks.
        self._is_ours = is_ours
        self._moves = moves
        self._database = database
        self._carrier = carrier
        self._resume = resume
        self._connect = connect
        # Writes the record of a call that is over.
        self._bury = bury
        self._metrics = metrics
        # When each call was first seen without an owner.
        self._since: dict[tuple[str, int], float] = {}
        # Those of them whose checkpoint cannot be read here: a line was logged of each.
        self._unread: set[tuple[str, int]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        # Calls that are resumed here, and that Twilio could not be told to move yet.
        self._unmoved: dict[str, CallDriver] = {}

    async def keep_looking(self) -> None:
        """Look each second, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look()
            except DATABASE_ERRORS:
                self._metrics.count("node_failures", what="reaper")

    async def look(self) -> None:
        """Act on each call that has had no owner for long enough."""
        if not self._is_settled():
            self._since.clear()
            return
        found = await live_calls.stale(self._database, STALE_MAX)
        now = monotonic()
        keys = {
            (owner.call_sid, owner.generation): owner
            for owner in found
            if self._is_ours(owner.call_sid)
        }
        self._since = {key: self._since.get(key, now) for key in keys}
        self._unread &= keys.keys()
        due = [
            (owner, now - self._since[key])
            for key, owner in keys.items()
            if now - self._since[key] >= ASK_S
        ]
        unmoved, self._unmoved = self._unmoved, {}
        await asyncio.gather(
            *(self._take(owner, for_s) for owner, for_s in due),
            *(self._tell(line) for line in unmoved.values()),
        )

    async def _take(self, owner: Owner, for_s: float) -> None:
        """Act on one call; whatever fails, the others are taken all the same."""
        async with self._room:
            try:
                is_moved = self._moves and await self._try_to_move(owner)
                if not is_moved and for_s >= GIVE_UP_S:
                    await self._bury(owner)
            except DATABASE_ERRORS:
                self._metrics.count("node_failures", what="reaper")
            except Exception as error:
                note_failure(self._metrics, "reaper", error)

    async def _try_to_move(self, owner: Owner) -> bool:
        try:
            return await self._move(owner)
        except CarrierError as error:
            self._note_failure(error)
        except UnreadableError as error:
            self._note_unread(owner, error)
        return False

    def _note_unread(self, owner: Owner, error: UnreadableError) -> None:
        key = owner.call_sid, owner.generation
        if key not in self._unread:
            self._unread.add(key)
            log = CallLogger(owner.call_sid, str(owner.business_id))
            log.error("[NODE] the call is not claimed: %s", error)

    async def _move(self, owner: Owner) -> bool:
        """Move a call here; False where it stays as it is for now."""
        account_sid, call_sid = owner.account_sid, owner.call_sid
        if not self._carrier.token_of(account_sid):
            return False
        if await self._carrier.is_over(account_sid, call_sid):
            await self._bury(owner)
            return True
        line = await self._resume(owner)
        if line is None:
            return False
        await self._tell(line)
        return True

    async def _tell(self, line: CallDriver) -> None:
        """Tell Twilio to open the stream of a call that is here now, until it has."""
        if line.is_over or line.twilio_leg is not None:
            return
        call_sid = line.call.plan.call_sid
        if monotonic() - line.promised_at < PROMISED_S:
            self._unmoved[call_sid] = line
            return
        try:
            document = self._connect(line)
            await self._carrier.move(line.account_sid, call_sid, document)
        except CarrierError as error:
            self._unmoved[call_sid] = line
            self._note_failure(error)
        else:
            self._metrics.count("calls_moved")

    def _note_failure(self, error: CarrierError) -> None:
        server_logger().error("[NODE] a call cannot be moved: %s", error)
        self._metrics.count("node_failures", what="carrier")
