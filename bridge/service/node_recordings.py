"""The recordings of other nodes, which are asked for them: a list, then file by file.

A node that had the call and does not answer makes the list incomplete. Each file is
read in pieces, within a size and a time.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from time import monotonic

from aiohttp import ClientError, ClientTimeout

from bridge.recorder.far import FILE_S_MAX, CallId, FarError, FarFile, FarListing
from bridge.recorder.parts import number_of
from bridge.service.between_nodes import RECORDING_PATH, RECORDINGS_PATH
from bridge.service.other_nodes import OtherNodes
from bridge.service.recording_server import FILE_BYTES_MAX, Listed
from bridge.telemetry.metrics import Metrics

LIST_WAIT_S = 1.0
LIST_BYTES_MAX = 65_536
# A player asks for many ranges of one sound, one soon after the other.
LISTED_S = 5.0
LISTED_MAX = 100
# Files that one process fetches at a time.
READS_MAX = 4
# A node that sends nothing for so long is away.
READ_WAIT_S = 10.0
_AWAY = "another machine has the recording, and does not answer"


class NodeRecordings:
    """The recordings of the other nodes, as one process sees them."""

    def __init__(self, nodes: OtherNodes, metrics: Metrics) -> None:
        self._nodes = nodes
        self._metrics = metrics
        self._listed: dict[CallId, tuple[float, FarListing]] = {}
        self._reads = 0

    async def listed(self, call: CallId) -> FarListing:
        """Return what the other nodes have of a call, as of the last LISTED_S."""
        asked = {name for name in call.nodes if name != self._nodes.own_name}
        if call.nodes and not asked:
            return FarListing()
        until, listing = self._listed.get(call, (0.0, FarListing()))
        if monotonic() < until:
            return listing
        listing = await self._ask_all(call, asked)
        self._listed.pop(call, None)
        if len(self._listed) >= LISTED_MAX:
            del self._listed[next(iter(self._listed))]
        self._listed[call] = monotonic() + LISTED_S, listing
        return listing

    async def _ask_all(self, call: CallId, asked: set[str]) -> FarListing:
        if not self._nodes.can_be_asked:
            return FarListing(is_whole=not asked)
        urls = await self._nodes.urls()
        names = [name for name in urls if not asked or name in asked]
        found = await asyncio.gather(
            *(self._ask(name, urls[name], call) for name in names)
        )
        files = tuple(file for one in found if one is not None for file in one)
        # Where nobody knows who had the call, one that does not answer may have.
        return FarListing(files, None not in found and asked <= set(names))

    async def _ask(self, name: str, url: str, call: CallId) -> list[FarFile] | None:
        listed = await self._nodes.ask(
            list[Listed],
            url,
            RECORDINGS_PATH,
            _whose(call),
            wait_s=LIST_WAIT_S,
            bytes_max=LIST_BYTES_MAX,
        )
        if listed is None:
            return None
        return [
            FarFile(name, one.name, one.size_bytes, one.modified_ns)
            for one in listed
            if number_of(one.name, call.call_sid) is not None
        ]

    async def read(self, call: CallId, file: FarFile) -> AsyncGenerator[bytes]:
        """Yield a file's bytes piece by piece; raises FarError."""
        if self._reads >= READS_MAX:
            self._metrics.count("node_recordings", outcome="too_many")
            raise FarError("too many recordings of other machines are being read")
        self._reads += 1
        outcome, until = "failed", monotonic() + FILE_S_MAX
        try:
            async with aclosing(self._pieces(call, file)) as pieces:
                async for piece in pieces:
                    if monotonic() > until:
                        raise FarError("another machine sends the recording too slowly")
                    yield piece
            outcome = "read"
        except (ClientError, TimeoutError, OSError):
            raise FarError(_AWAY) from None
        finally:
            self._reads -= 1
            self._metrics.count("node_recordings", outcome=outcome)

    async def _pieces(self, call: CallId, file: FarFile) -> AsyncGenerator[bytes]:
        url = (await self._nodes.urls()).get(file.node)
        if url is None or file.size_bytes > FILE_BYTES_MAX:
            raise FarError(_AWAY if url is None else "the recording is too large")
        asked = {**_whose(call), "file": file.name}
        target, headers = self._nodes.signed(url, RECORDING_PATH, **asked)
        limit = ClientTimeout(total=None, connect=LIST_WAIT_S, sock_read=READ_WAIT_S)
        left = file.size_bytes
        async with self._nodes.session.get(
            target, headers=headers, timeout=limit
        ) as got:
            if got.status != HTTPStatus.OK:
                raise FarError(f"another machine has answered {got.status}")
            async for piece in got.content.iter_any():
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        if left:
            raise FarError("the recording has changed while it was read")


def _whose(call: CallId) -> dict[str, str]:
    return {"call": call.call_sid, "business": str(call.business_id)}
