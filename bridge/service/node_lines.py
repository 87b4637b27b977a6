"""The running calls of other nodes as those nodes see them, and lines to these calls.

Nodes are asked only while somebody watches. For a node that cannot be asked, or is
late for KEPT_S, what the database knows of its calls has to do.
"""

import asyncio
from contextlib import suppress
from time import monotonic

import msgspec
from aiohttp import ClientError

from bridge.service.between_nodes import LINE_PATH, LIVE_PATH
from bridge.service.other_nodes import OtherNodes
from bridge.service.remote_line import MESSAGE_BYTES_MAX, RemoteLine
from bridge.telemetry.live_call import Snapshot
from crm import live_calls
from crm.database import Database
from crm.transient import DATABASE_ERRORS

# A row appears half a second after its call, the looks of the console included.
LOOK_S = 0.2
SNAPSHOT_WAIT_S = 1.0
LINE_WAIT_S = 3.0
# A look that is older is of no use: nobody has watched since. The next is waited for.
STALE_S = 10.0
FIRST_LOOK_WAIT_S = 2.0
SNAPSHOT_BYTES_MAX = 16_000_000
# What was seen last of who is late is shown for so long. A page closes an operator's
# line to a call that is gone, and a busy process is late more often than dead.
KEPT_S = 3.0


class NodeLines:
    """The calls of the other nodes; `close` ends a look that runs."""

    def __init__(self, database: Database, nodes: OtherNodes) -> None:
        self._database = database
        self._nodes = nodes
        self._newest: dict[str, Snapshot] = {}
        self._urls: dict[str, str] = {}
        # When each node was last seen.
        self._seen_at: dict[str, float] = {}
        self._look_at = 0.0
        self._looked_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def snapshots(self) -> dict[str, Snapshot]:
        """Return the newest look by the names of the nodes; begin another look if due.

        Where the newest is older than STALE_S, or there is none, the other is waited
        for: a page that has come here from another worker would lose its calls.
        """
        now = monotonic()
        if self._task is None and now >= self._look_at and self._nodes.can_be_asked:
            self._look_at = now + LOOK_S
            self._task = asyncio.get_running_loop().create_task(self._look())
            self._task.add_done_callback(self._forget)
        if self._task is not None and now >= self._looked_at + STALE_S:
            await asyncio.wait((self._task,), timeout=FIRST_LOOK_WAIT_S)
        return self._newest

    async def dial(
        self, call_sid: str, business_id: str, name: str, page: str, *, hears: bool
    ) -> RemoteLine | None:
        """Return a line to a call of another node; None if there is none."""
        if not self._nodes.can_be_asked:
            return None
        try:
            owner = await live_calls.find(self._database, call_sid)
            urls = await self._nodes.urls()
        except DATABASE_ERRORS:
            return None
        url = None if owner is None else urls.get(owner.node)
        if url is None:
            return None
        asked, headers = self._nodes.signed(
            url,
            LINE_PATH,
            call=call_sid,
            business=business_id,
            name=name,
            page=page,
            hears="1" if hears else "0",
        )
        try:
            async with asyncio.timeout(LINE_WAIT_S):
                socket = await self._nodes.session.ws_connect(
                    asked, headers=headers, max_msg_size=MESSAGE_BYTES_MAX
                )
            return RemoteLine(socket)
        except (ClientError, TimeoutError, OSError):
            return None

    async def close(self) -> None:
        """End a look that runs."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _forget(self, _: asyncio.Task[None]) -> None:
        self._task = None

    async def _look(self) -> None:
        with suppress(*DATABASE_ERRORS):  # without it the known nodes are asked
            self._urls = await self._nodes.urls()
        urls = self._urls
        names = list(urls)
        found = await asyncio.gather(*(self._ask(urls[name]) for name in names))
        now, newest = monotonic(), {}
        for name, one in zip(names, found, strict=True):
            if one is not None:
                self._seen_at[name] = now
                newest[name] = _named(one, name)
            elif name in self._newest and now < self._seen_at[name] + KEPT_S:
                newest[name] = self._newest[name]
        self._newest, self._looked_at = newest, now

    async def _ask(self, url: str) -> Snapshot | None:
        return await self._nodes.ask(
            Snapshot,
            url,
            LIVE_PATH,
            {},
            wait_s=SNAPSHOT_WAIT_S,
            bytes_max=SNAPSHOT_BYTES_MAX,
        )


def _named(snapshot: Snapshot, node: str) -> Snapshot:
    calls = (msgspec.structs.replace(one, node=node) for one in snapshot.calls)
    return msgspec.structs.replace(snapshot, calls=tuple(calls))
