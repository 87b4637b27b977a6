"""The other nodes of this database, and signed requests to them.

A node is asked at its NODE_URL. A node without one is not asked, nor one whose
heartbeats have ceased.
"""

from time import monotonic

from aiohttp import ClientSession, web
from yarl import URL

from bridge.service.between_nodes import BetweenNodes
from crm import nodes
from crm.database import Database

# The table of nodes is read again after this.
NODES_S = 2.0
# So many other nodes are asked.
NODES_MAX = 50


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
        return self._urls

    def signed(self, url: str, path: str, **asked: str) -> tuple[URL, dict[str, str]]:
        """Return the URL and the headers of a request to the node at `url`."""
        target, headers = self._between.signed(path, **asked)
        return URL(url + target, encoded=True), headers

    @property
    def session(self) -> ClientSession:
        """The connections."""
        if self._session is None:
            self._session = ClientSession(trust_env=True)
        return self._session

    async def on_cleanup(self, _: web.Application) -> None:
        """End the connections when the application ends."""
        await self.close()

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
