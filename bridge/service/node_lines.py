"""The running calls of other nodes as those nodes see them, and lines to these calls.

Nodes are asked at their NODE_URL, and only while somebody watches. A node without one,
or one that is late, is not asked: what the database knows of its calls has to do.
"""

import asyncio
from http import HTTPStatus
from time import monotonic

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

from bridge.service.between_nodes import LINE_PATH, LIVE_PATH, BetweenNodes
from bridge.service.remote_line import MESSAGE_BYTES_MAX, RemoteLine
from bridge.telemetry.live_call import Snapshot
from bridge.wire.body import read_body
from crm import live_calls, nodes
from crm.database import Database
from crm.transient import DATABASE_ERRORS

# A row appears half a second after its call, the looks of the console included.
LOOK_S = 0.2
SNAPSHOT_WAIT_S = 1.0
LINE_WAIT_S = 3.0
# The table of nodes is read again after this.
NODES_S = 2.0
SNAPSHOT_BYTES_MAX = 16_000_000
# So many other nodes are asked; the calls of further ones come from the database.
NODES_MAX = 50


class NodeLines:
    """The calls of all nodes but `own_name`; `close` ends the connections."""

    def __init__(
        self, database: Database, between: BetweenNodes, own_name: str
    ) -> None:
        self._database = database
        self._between = between
        self._own_name = own_name
        self._urls: dict[str, str] = {}
        self._urls_at = float("-inf")
        self._newest: dict[str, Snapshot] = {}
        self._look_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._session: ClientSession | None = None

    def snapshots(self) -> dict[str, Snapshot]:
        """Return the newest look by the names of the nodes, at once; begin another look
        if due."""
        now = monotonic()
        if self._task is None and now >= self._look_at and self._between.is_possible:
            self._look_at = now + LOOK_S
            self._task = asyncio.get_running_loop().create_task(self._look())
            self._task.add_done_callback(self._forget)
        return self._newest

    async def dial(
        self, call_sid: str, business_id: str, name: str, *, hears: bool
    ) -> RemoteLine | None:
        """Return a line to a call of another node; None if there is none."""
        if not self._between.is_possible:
            return None
        try:
            owner = await live_calls.find(self._database, call_sid)
            await self._read_nodes()
        except DATABASE_ERRORS:
            return None
        url = None if owner is None else self._urls.get(owner.node)
        if url is None:
            return None
        target, headers = self._between.signed(
            LINE_PATH,
            call=call_sid,
            business=business_id,
            name=name,
            hears="1" if hears else "0",
        )
        try:
            async with asyncio.timeout(LINE_WAIT_S):
                socket = await self._own_session().ws_connect(
                    URL(url + target, encoded=True),
                    headers=headers,
                    max_msg_size=MESSAGE_BYTES_MAX,
                )
            return RemoteLine(socket)
        except (ClientError, TimeoutError, OSError):
            return None

    async def close(self) -> None:
        """End a look that runs, and the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _forget(self, _: asyncio.Task[None]) -> None:
        self._task = None

    def _own_session(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(trust_env=True)
        return self._session

    async def _read_nodes(self) -> None:
        if monotonic() < self._urls_at + NODES_S:
            return
        every = await nodes.every(self._database)
        self._urls = {
            one.name: one.url.rstrip("/")
            for one in every[:NODES_MAX]
            if one.url and not one.is_stale and one.name != self._own_name
        }
        self._urls_at = monotonic()

    async def _look(self) -> None:
        try:
            await self._read_nodes()
        except DATABASE_ERRORS:
            self._newest = {}
            return
        names = list(self._urls)
        found = await asyncio.gather(*(self._ask(self._urls[name]) for name in names))
        self._newest = {
            name: _named(one, name)
            for name, one in zip(names, found, strict=True)
            if one is not None
        }

    async def _ask(self, url: str) -> Snapshot | None:
        target, headers = self._between.signed(LIVE_PATH)
        limit = ClientTimeout(total=SNAPSHOT_WAIT_S)
        try:
            async with self._own_session().get(
                URL(url + target, encoded=True), headers=headers, timeout=limit
            ) as got:
                if got.status != HTTPStatus.OK:
                    return None
                body = await read_body(got.content, SNAPSHOT_BYTES_MAX)
                if body is None:
                    return None
                return msgspec.msgpack.decode(body, type=Snapshot)
        except (ClientError, TimeoutError, OSError, msgspec.DecodeError):
            return None


def _named(snapshot: Snapshot, node: str) -> Snapshot:
    calls = (msgspec.structs.replace(one, node=node) for one in snapshot.calls)
    return msgspec.structs.replace(snapshot, calls=tuple(calls))
