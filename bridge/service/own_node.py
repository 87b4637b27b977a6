"""OwnNode: this process as one of the processes that share a database.

It beats, owns its calls, saves their checkpoints, and goes on with calls of processes
that are gone.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from bridge.business.directory import BusinessDirectory
from bridge.call.plan import CallPlan, CallRecord
from bridge.line.driver import CallDriver
from bridge.nodes.carrier import Carrier
from bridge.nodes.hand_over import HandOver
from bridge.nodes.membership import Identity, Load, Membership
from bridge.nodes.ownership import Ownership
from bridge.nodes.peers import Peers
from bridge.nodes.reaper import Reaper
from bridge.nodes.resumed_calls import ResumedCalls
from bridge.ports.workers import Workers
from bridge.records.writer import Kept
from bridge.settings.process import Settings
from bridge.switchboard.call_setup import reopen_plan
from bridge.switchboard.dispatch import Switchboard
from bridge.telemetry.supervised import SupervisedTask
from crm.database import Database


class OwnNode:
    """The parts of a node in one process, from `start` to `stop`."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        directory: BusinessDirectory,
        switchboard: Switchboard,
        identity: Identity,
        on_record: Callable[[CallRecord], None],
        workers: Workers | None = None,
    ) -> None:
        """`workers` are this node's, of which this process is one."""
        self._switchboard = switchboard
        self._workers = workers
        self._calls_max = settings.max_calls_per_worker
        metrics = switchboard.metrics
        self._membership = Membership(
            database,
            Path(settings.kolbridge_home),
            metrics,
            identity,
            self._load,
            self._on_drain_asked,
        )
        self.ownership = Ownership(
            database,
            identity,
            switchboard.live_drivers,
            metrics,
            saves=settings.resume,
        )
        switchboard.own = self.ownership.own
        switchboard.confirm = self.ownership.confirm
        self._reopen = partial(reopen_plan, database, settings, directory=directory)
        self._carrier = Carrier(settings)
        inside = None if workers is None else workers.ask_inside
        self.peers = Peers(database, identity, metrics, inside)
        self.hand_over = HandOver(
            database,
            identity,
            self.ownership,
            self._carrier.token_of,
            switchboard.find_driver,
            metrics,
            inside,
        )
        self.calls = ResumedCalls(
            database,
            identity,
            self.ownership,
            self._begin,
            on_record,
            self._membership.is_gone,
            self.hand_over.ask,
            metrics,
            times_max=settings.resume_max,
        )
        # Returns the document that opens a call's stream; `start` sets it.
        self._connect: Callable[[CallDriver], bytes] | None = None
        reaper = Reaper(
            database,
            self._carrier,
            self.calls.take,
            self._document,
            self.calls.bury,
            metrics,
            self._is_ours,
            self._membership.is_settled,
            moves=settings.resume,
        )
        self._tasks = (
            SupervisedTask("heartbeat", self._membership.keep_beating, metrics),
            SupervisedTask("ownership", self.ownership.keep, metrics),
            SupervisedTask("reaper", reaper.keep_looking, metrics),
        )

    async def join(self, *, takes_over: bool = False) -> None:
        """Join the nodes; raises crm.nodes.NameTaken if the name is in use.

        A worker that is started again while its node drains takes no calls either.
        """
        if self._workers is not None and self._workers.are_draining:
            self._switchboard.is_draining = True
        await self._membership.join(takes_over=takes_over)

    def start(self, connect: Callable[[CallDriver], bytes], public_url: str) -> None:
        """Begin to beat, and to look after calls; `connect` returns the document that
        opens a call's stream."""
        self._connect, self.hand_over.public_url = connect, public_url
        for task in self._tasks:
            task.start()

    def owned(self, kept: Kept) -> Kept:
        """Note in a record which generation of the call's owner writes it."""
        generation = self.ownership.generation_of(kept.call.call_sid)
        call = msgspec.structs.replace(kept.call, generation=generation)
        return msgspec.structs.replace(kept, call=call)

    async def stop(self) -> None:
        """Leave the nodes."""
        for task in self._tasks:
            await task.stop()
        await self._membership.leave()
        await self._carrier.close()
        await self.peers.close()
        await self.hand_over.close()

    def _is_ours(self, call_sid: str) -> bool:
        """Tell whether this is the worker of its node that takes a lost call."""
        workers = self._workers
        is_named = workers is None or workers.owner_of(call_sid) == workers.index
        return is_named and not self._switchboard.is_draining

    def _document(self, line: CallDriver) -> bytes:
        assert self._connect is not None, "the tasks have started"
        return self._connect(line)

    async def _begin(self, plan: CallPlan, account_sid: str) -> CallDriver | None:
        setup = await self._reopen(plan)
        return None if setup is None else self._switchboard.begin(setup, account_sid)

    def _load(self) -> Load:
        board = self._switchboard
        active = sum(1 for _ in board.live_drivers())
        return Load(active, self._calls_max, board.is_draining)

    def _on_drain_asked(self) -> None:
        self._switchboard.is_draining = True
        if self._workers is not None:
            self._workers.note_drain()
