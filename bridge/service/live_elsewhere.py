"""The running calls of other nodes, as the database knows them: some seconds late.

A call's owner is in the database from its first moment, and its checkpoint soon after.
These calls can be seen and not heard. They are shown where their node cannot be asked
(`node_lines`). So are, after `serve --take-over`, those of the process that drains, and
those of its successor: both have one name.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

import msgspec

from bridge.call import checkpoint
from bridge.call.checkpoint import UnreadableError
from bridge.call.plan import Checkpoint
from bridge.nodes.claims import decode_plan
from bridge.telemetry.live_call import LiveCall
from crm import live_calls
from crm.database import Database
from crm.transient import DATABASE_ERRORS

LOOK_S = 1.0
# A look reads the checkpoints of so many calls; the others have no words.
WORDS_MAX = 30
WORDS_CHARS_MAX = 200


class LiveElsewhere:
    """The calls of all nodes but `own_name`, and of its process that drains if this one
    does not, or the other way round."""

    def __init__(
        self, database: Database, own_name: str, is_draining: Callable[[], bool]
    ) -> None:
        self._database = database
        self._own_name = own_name
        self._is_draining = is_draining
        self._calls: tuple[LiveCall, ...] = ()
        self._look_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def calls(self) -> tuple[LiveCall, ...]:
        """Return the calls of the newest look, at once; begin another look if due."""
        now = monotonic()
        if self._task is None and now >= self._look_at:
            self._look_at = now + LOOK_S
            self._task = asyncio.get_running_loop().create_task(self._look())
            self._task.add_done_callback(self._forget)
        return self._calls

    async def close(self) -> None:
        """End a look that runs."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _forget(self, _: asyncio.Task[None]) -> None:
        self._task = None

    async def _look(self) -> None:
        try:
            owners = [
                owner
                for owner in await live_calls.live(self._database)
                if owner.node and not owner.is_stale and not self._is_own(owner)
            ]
            with_words = [await self._read(owner) for owner in owners[:WORDS_MAX]]
        except DATABASE_ERRORS:
            self._calls = ()
            return
        self._calls = (*with_words, *map(_row, owners[WORDS_MAX:]))

    def _is_own(self, owner: live_calls.Owner) -> bool:
        is_of_node = owner.node == self._own_name
        return is_of_node and owner.is_draining == self._is_draining()

    async def _read(self, owner: live_calls.Owner) -> LiveCall:
        found = await live_calls.load(self._database, owner.business_id, owner.call_sid)
        if found is None:
            return _row(owner)
        form, packed, state = found
        try:
            plan, saved = decode_plan(packed), checkpoint.decode(form, state)
        except UnreadableError:
            return _row(owner)
        role, words = _last_words(saved)
        return msgspec.structs.replace(
            _row(owner),
            business_name=plan.business_name,
            from_number=plan.from_number,
            phase="ending" if saved.end_reason else "talking",
            last_role=role,
            last_words=words,
        )


def _row(owner: live_calls.Owner) -> LiveCall:
    return LiveCall(
        call_sid=owner.call_sid,
        business_id=str(owner.business_id),
        business_name="",
        from_number="",
        to_number=owner.to_number,
        opened_at=round(owner.opened_at.timestamp(), 1),
        phase="talking",
        node=owner.node,
        is_only_seen=True,
    )


def _last_words(saved: Checkpoint) -> tuple[str, str]:
    for turn in reversed(saved.turns):
        words = " ".join(text for _, text in sorted(turn.parts.items()) if text)
        if words and turn.role != "operator":
            return turn.role, words[-WORDS_CHARS_MAX:]
    return "", ""
