"""Peers: the other nodes, as this process reaches them over HTTP.

A webhook that this process cannot serve is passed on as it came, with Twilio's
signature: the other node checks it against the same PUBLIC_URL.
"""

from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

from bridge.nodes.membership import Identity
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from crm import live_calls, nodes
from crm.database import Database
from crm.transient import DATABASE_ERRORS

# Twilio gives a webhook up after 15 s, and the other node may take 5 to open a call.
ANSWER_WAIT_S = 6.0
# A node whose machine has vanished does not even refuse.
CONNECT_WAIT_S = 1.0
# A node may have died since its last heartbeat: another one is tried.
TRIES_MAX = 2
DOCUMENT_BYTES_MAX = 64_000


class Webhook(NamedTuple):
    """A webhook as it came; `headers` are those that it is checked and read by."""

    path: str
    body: bytes
    headers: Mapping[str, str]


class OwnersAnswer(NamedTuple):
    """The answer of the node that has a call; `is_dead`: it was asked in vain."""

    document: bytes | None
    is_dead: bool


NOBODY = OwnersAnswer(None, is_dead=False)


class Peers:
    """Passes webhooks on to other nodes; `close` ends the connections."""

    def __init__(
        self, database: Database, identity: Identity, metrics: Metrics
    ) -> None:
        self._database = database
        self._identity = identity
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None

    async def ask_freest(self, webhook: Webhook) -> bytes | None:
        """Return the document of the node with the most room; None if there is none."""
        tried = [self._identity.name]
        for _ in range(TRIES_MAX):
            try:
                node = await nodes.freest(self._database, tried)
            except DATABASE_ERRORS:
                return None
            if node is None:
                return None
            document = await self._ask(node.name, node.url, webhook)
            if document is not None:
                return document
            tried.append(node.name)
        return None

    async def ask_owner(self, call_sid: str, webhook: Webhook) -> OwnersAnswer:
        """Return what the node answers that has a call, if it is another node."""
        try:
            owner = await live_calls.find(self._database, call_sid)
            if owner is None or owner.is_stale or owner.node == self._identity.name:
                return NOBODY
            every = await nodes.every(self._database)
        except DATABASE_ERRORS:
            return NOBODY
        urls = [one.url for one in every if one.name == owner.node and one.url]
        if not urls:
            return NOBODY
        document = await self._ask(owner.node, urls[0], webhook)
        return OwnersAnswer(document, is_dead=document is None)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, name: str, url: str, webhook: Webhook) -> bytes | None:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=ANSWER_WAIT_S, sock_connect=CONNECT_WAIT_S
            )
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=True)
        try:
            async with self._session.post(
                url.rstrip("/") + webhook.path,
                data=webhook.body,
                headers=webhook.headers,
            ) as answer:
                document = await answer.content.read(DOCUMENT_BYTES_MAX)
                if answer.status == 200:
                    self._metrics.count("webhooks_passed_on", outcome="answered")
                    return document
                why = f"status {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = f"{type(error).__name__}: {error}"
        self._metrics.count("webhooks_passed_on", outcome="failed")
        server_logger().error("[NODE] %s does not answer a webhook: %s", name, why)
        return None
