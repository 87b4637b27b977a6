"""The other nodes of this database, and signed requests to them.

A node is asked at its NODE_URL. A node without one is not asked, nor one whose
heartbeats have ceased.
"""

from collections.abc import Mapping
from http import HTTPStatus
from time import monotonic
from typing import TypeVar

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from bridge.service.between_nodes import BetweenNodes
from bridge.telemetry.log import server_logger
from bridge.wire.body import read_body
from crm import nodes
from crm.database import Database

# The table of nodes is read again after this.
NODES_S = 2.0
# So many other nodes are asked.
NODES_MAX = 50
# Why a node refuses is a line.
REFUSAL_BYTES_MAX = 200

_Answer = TypeVar("_Answer")


class OtherNodes:
    """All nodes but `own_name`; `close` ends the connections."""

    def __init__(
        self, database: Database, between: BetweenNodes, own_name: str
    ) -> None:
        self.own_name = own_name
        self._database = database
        self._between = between
        self._urls: dict[str, str] = {}
        self._urls_at = float("-inf")
        self._session: ClientSession | None = None
        # The nodes that did not answer when they were asked last.
        self._silent: set[str] = set()

    @property
    def can_be_asked(self) -> bool:
        """Whether nodes have a secret in common."""
        return self._between.is_possible

    async def urls(self) -> dict[str, str]:
        """Return the addresses by the names of the nodes; raises DATABASE_ERRORS."""
        if monotonic() >= self._urls_at + NODES_S:
            every = await nodes.every(self._database)
            self._urls = {
                one.name: one.url.rstrip("/")
                for one in every[:NODES_MAX]
                if one.url and not one.is_stale and one.name != self.own_name
            }
            self._urls_at = monotonic()
            self._silent.intersection_update(self._urls.values())
        return self._urls

    def signed(self, url: str, path: str, **asked: str) -> tuple[URL, dict[str, str]]:
        """Return the URL and the headers of a request to the node at `url`."""
        target, headers = self._between.signed(path, **asked)
        return URL(url + target, encoded=True), headers

    async def ask(
        self,
        kind: type[_Answer],
        url: str,
        path: str,
        asked: Mapping[str, str],
        *,
        wait_s: float,
        bytes_max: int,
    ) -> _Answer | None:
        """Return a node's answer; None for one that is late, too long, or no answer.

        A node that refuses, or is not reached, is logged until it answers again.
        """
        target, headers = self.signed(url, path, **asked)
        limit = ClientTimeout(total=wait_s)
        try:
            async with self.session.get(target, headers=headers, timeout=limit) as got:
                if got.status != HTTPStatus.OK:
                    text = await read_body(got.content, REFUSAL_BYTES_MAX) or b""
                    why = text.decode("utf-8", "replace")
                    self._note(url, f"status {got.status} {why}".rstrip())
                    return None
                body = await read_body(got.content, bytes_max)
            self._silent.discard(url)
            return msgspec.msgpack.decode(body or b"", type=kind)
        except (TimeoutError, msgspec.DecodeError):
            return None
        except (ClientError, OSError) as error:
            self._note(url, f"{type(error).__name__}: {error}")
            return None

    def _note(self, url: str, why: str) -> None:
        if url not in self._silent:
            self._silent.add(url)
            server_logger().warning("[NODE] %s does not answer this node: %s", url, why)

    @property
    def session(self) -> ClientSession:
        """The connections."""
        if self._session is None:
            self._session = ClientSession()
        return self._session

    async def on_cleanup(self, _: web.Application) -> None:
        """End the connections when the application ends."""
        await self.close()

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
