"""The running calls of all workers and nodes, and lines to them.

A worker answers the others on its own Unix socket, in a folder that only the service's
user may enter. A node answers other nodes on the public port, where each request is
signed (`between_nodes`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from urllib.parse import urlencode

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web

from bridge.ports.authentication import Handler
from bridge.ports.workers import Workers
from bridge.service.between_nodes import (
    LINE_PATH as NODE_LINE_PATH,
    LIVE_PATH as NODE_LIVE_PATH,
    PREFIX,
    RECORDING_PATH,
    RECORDINGS_PATH,
    SIGNATURE,
    BetweenNodes,
)
from bridge.service.live_elsewhere import LiveElsewhere
from bridge.service.node_lines import KEPT_S, NodeLines
from bridge.service.recording_server import RecordingServer
from bridge.service.remote_line import MESSAGE_BYTES_MAX, RemoteLine, serve_line
from bridge.switchboard.live_calls import Lines, LocalLine
from bridge.telemetry.live_call import LiveCall, RefusedCall, Snapshot
from bridge.telemetry.metrics import Metrics

LIVE_PATH = "/inside/live"
LINE_PATH = "/inside/line/{call_sid}"
# A worker that is late does not hold up this look.
SNAPSHOT_WAIT_S = 0.5
LINE_WAIT_S = 2.0
# Each node with an open live page asks five times a second.
SHARED_S = 0.15


class LiveEverywhere:
    """The calls of this worker, of the others, and of other nodes.

    What a node says of its calls counts; `elsewhere` has the calls of the nodes that
    cannot be asked.
    """

    def __init__(
        self,
        lines: Lines,
        workers: Workers | None,
        elsewhere: LiveElsewhere | None = None,
        nodes: NodeLines | None = None,
    ) -> None:
        self._elsewhere = elsewhere
        self._nodes = nodes
        self._lines = lines
        self._workers = workers
        self._sessions: dict[int, ClientSession] = {}
        # What was last seen of each other worker, and when.
        self._seen: dict[int, tuple[float, Snapshot]] = {}

    async def snapshot(self) -> Snapshot:
        """Return all calls; those of a worker that is late as they were seen last."""
        here, others = await asyncio.gather(self.snapshot_here(), self._at_others())
        calls = _by_sid(call for one in (here, *others) for call in one.calls)
        if self._elsewhere is not None:
            for call in self._elsewhere.calls():
                calls.setdefault(call.call_sid, call)
        refused: list[RefusedCall] = [
            call for one in (here, *others) for call in one.refused
        ]
        return _sorted(calls.values(), refused)

    async def _at_others(self) -> list[Snapshot]:
        return (
            [] if self._nodes is None else [*(await self._nodes.snapshots()).values()]
        )

    async def snapshot_here(self) -> Snapshot:
        """Return the calls of this node's workers."""
        own = self._lines.snapshot()
        others = await asyncio.gather(*map(self._look, self._others()))
        found = [own, *(one for one in others if one is not None)]
        return _sorted(
            (call for one in found for call in one.calls),
            (call for one in found for call in one.refused),
        )

    async def open_line(
        self, call_sid: str, business_id: str, name: str, page: str, *, hears: bool
    ) -> LocalLine | RemoteLine | None:
        """Return a line to a running call of this business; None if there is none."""
        whose = call_sid, business_id, name, page
        line = await self.open_line_here(*whose, hears=hears)
        if line is not None or self._nodes is None:
            return line
        return await self._nodes.dial(*whose, hears=hears)

    async def open_line_here(
        self, call_sid: str, business_id: str, name: str, page: str, *, hears: bool
    ) -> LocalLine | RemoteLine | None:
        """Return a line to a call of this node's workers.

        The call may be another worker's than its id says: it may have been resumed.
        """
        own = self._lines.open(call_sid, business_id, name, page, hears=hears)
        if own is not None or self._workers is None:
            return own
        first = self._workers.owner_of(call_sid)
        for index in sorted(self._others(), key=lambda one: one != first):
            whose = {"business": business_id, "name": name, "page": page}
            line = await self._dial(index, call_sid, whose, hears)
            if line is not None:
                return line
        return None

    async def close(self, _: web.Application) -> None:
        """Close the connections to other workers and nodes."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        if self._elsewhere is not None:
            await self._elsewhere.close()
        if self._nodes is not None:
            await self._nodes.close()

    def add_routes(self, app: web.Application) -> None:
        """Answer the other workers."""
        app.router.add_get(LIVE_PATH, self._answer_snapshot)
        app.router.add_get(LINE_PATH, self._answer_line)

    # --- towards other workers ---

    def _others(self) -> list[int]:
        workers = self._workers
        if workers is None:
            return []
        return [index for index in range(workers.count) if index != workers.index]

    def _session(self, index: int) -> ClientSession:
        assert self._workers is not None, "there are no others"
        if index not in self._sessions:
            connector = UnixConnector(self._workers.http_socket(index))
            self._sessions[index] = ClientSession(connector=connector)
        return self._sessions[index]

    async def _look(self, index: int) -> Snapshot | None:
        limit = ClientTimeout(total=SNAPSHOT_WAIT_S)
        url = f"http://worker{LIVE_PATH}"
        try:
            async with self._session(index).get(url, timeout=limit) as got:
                found = msgspec.msgpack.decode(await got.read(), type=Snapshot)
        except TimeoutError:
            seen_at, seen = self._seen.get(index, (float("-inf"), None))
            return seen if monotonic() < seen_at + KEPT_S else None
        except (ClientError, OSError, msgspec.DecodeError):
            return None
        self._seen[index] = monotonic(), found
        return found

    async def _dial(
        self, index: int, call_sid: str, whose: dict[str, str], hears: bool
    ) -> RemoteLine | None:
        asked = urlencode({**whose, "hears": int(hears)})
        path = LINE_PATH.format(call_sid=call_sid)
        try:
            async with asyncio.timeout(LINE_WAIT_S):
                socket = await self._session(index).ws_connect(
                    f"http://worker{path}?{asked}", max_msg_size=MESSAGE_BYTES_MAX
                )
            return RemoteLine(socket)
        except (ClientError, TimeoutError, OSError):
            return None

    # --- from other workers ---

    async def _answer_snapshot(self, request: web.Request) -> web.Response:
        return _packed(self._lines.snapshot())

    async def _answer_line(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        hears = query.get("hears") == "1"
        line = self._lines.open(
            request.match_info["call_sid"],
            query.get("business", ""),
            query.get("name", ""),
            query.get("page", ""),
            hears=hears,
        )
        return await serve_line(request, line, hears=hears)


class Shared:
    """The calls of this node, looked at once for all nodes that ask at a time."""

    def __init__(self, look: Callable[[], Awaitable[Snapshot]]) -> None:
        self._look = look
        self._at = float("-inf")
        self._newest: asyncio.Future[Snapshot] | None = None

    async def get(self) -> Snapshot:
        """Return a look that is no older than SHARED_S."""
        if self._newest is None or monotonic() >= self._at + SHARED_S:
            self._at = monotonic()
            self._newest = asyncio.ensure_future(self._look())
        return await asyncio.shield(self._newest)


def node_application(
    live: LiveEverywhere,
    recordings: RecordingServer,
    between: BetweenNodes,
    metrics: Metrics,
) -> web.Application:
    """Return the application below PREFIX, which answers other nodes alone."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(SIGNATURE, "")
        refusal = between.refusal_of(request.raw_path, given)
        if refusal:
            metrics.count("rejected_signatures", endpoint="nodes")
            raise web.HTTPForbidden(text=refusal)
        return await handler(request)

    shared = Shared(live.snapshot_here)

    async def snapshot(_: web.Request) -> web.Response:
        return _packed(await shared.get())

    async def line(request: web.Request) -> web.StreamResponse:
        query = request.query
        hears = query.get("hears") == "1"
        opened = await live.open_line_here(
            query.get("call", ""),
            query.get("business", ""),
            query.get("name", ""),
            query.get("page", ""),
            hears=hears,
        )
        return await serve_line(request, opened, hears=hears)

    app = web.Application(middlewares=[check])
    for path, answer in (
        (NODE_LIVE_PATH, snapshot),
        (NODE_LINE_PATH, line),
        (RECORDINGS_PATH, recordings.listing),
        (RECORDING_PATH, recordings.file),
    ):
        app.router.add_get(f"/{path.removeprefix(PREFIX)}", answer)
    return app


def _packed(snapshot: Snapshot) -> web.Response:
    body = msgspec.msgpack.encode(snapshot)
    return web.Response(body=body, content_type="application/octet-stream")


def _by_sid(calls: Iterable[LiveCall]) -> dict[str, LiveCall]:
    """Return calls by their ids; the first of two stays: it is this node's own."""
    found: dict[str, LiveCall] = {}
    for call in calls:
        found.setdefault(call.call_sid, call)
    return found


def _sorted(calls: Iterable[LiveCall], refused: Iterable[RefusedCall]) -> Snapshot:
    return Snapshot(
        calls=tuple(sorted(calls, key=lambda call: call.opened_at)),
        refused=tuple(sorted(refused, key=lambda call: call.at)),
    )
