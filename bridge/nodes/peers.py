"""Peers: the other nodes, as this process reaches them over HTTP.

A webhook that this process cannot serve is passed on as it came, with Twilio's
signature: the other node checks it against the same PUBLIC_URL. A webhook of a call
that another worker of this node has claimed is passed on inside the node.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

import aiohttp

from bridge.nodes.membership import Identity
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from bridge.wire.body import read_body
from crm import live_calls, nodes
from crm.database import Database
from crm.nodes import Node
from crm.transient import DATABASE_ERRORS

# Twilio gives a webhook up after 15 s, and the other node may take 5 to open a call.
ANSWER_WAIT_S = 6.0
# A node whose machine has vanished does not even refuse.
CONNECT_WAIT_S = 1.0
# A node may have died since its last heartbeat: another one is tried.
TRIES_MAX = 2
DOCUMENT_BYTES_MAX = 64_000
# No socket, or one that breaks off. A certificate that is refused says nothing of this.
GONE = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)
TLS = (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch)
# What a balancer answers in the place of a node that it cannot reach.
NOBODY_THERE = (
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
FORBIDDEN = (
    " (it refuses Twilio's signature: PUBLIC_URL and the auth tokens must be the same "
    "on every node, and its NODE_URL must lead to it)"
)


class Webhook(NamedTuple):
    """A webhook as it came; `headers` are those that it is checked and read by."""

    path: str
    body: bytes
    headers: Mapping[str, str]


class OwnersAnswer(NamedTuple):
    """The answer of the node that has a call; `is_dead`: nobody is there any more.

    A node that refuses, or is late, may live: whether it does, its heartbeat says.
    """

    document: bytes | None
    is_dead: bool


NOBODY = OwnersAnswer(None, is_dead=False)
# Asks a worker of this node for a document: its number, and a webhook's three parts.
AskInside = Callable[[int, str, bytes, Mapping[str, str]], Awaitable[bytes | None]]


class Peers:
    """Passes webhooks on to other nodes; `close` ends the connections."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        metrics: Metrics,
        ask_inside: AskInside | None = None,
    ) -> None:
        self._ask_inside = ask_inside
        self._database = database
        self._identity = identity
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None

    async def ask_freest(self, webhook: Webhook) -> bytes | None:
        """Return the document of the node with the most room; None if there is none."""
        return await self._ask_first(webhook, partial(nodes.freest, self._database))

    async def ask_reader(self, form: int, webhook: Webhook) -> bytes | None:
        """Return the document of a node that reads checkpoints of a format; None if
        there is none."""
        found = partial(nodes.reader, self._database, form)
        return await self._ask_first(webhook, found)

    async def _ask_first(
        self, webhook: Webhook, find: Callable[[list[str]], Awaitable[Node | None]]
    ) -> bytes | None:
        tried = [self._identity.name]
        for _ in range(TRIES_MAX):
            try:
                node = await find(tried)
            except DATABASE_ERRORS:
                return None
            if node is None:
                return None
            document, _ = await self.ask_node(node.name, node.url, webhook)
            if document is not None:
                return document
            tried.append(node.name)
        return None

    async def ask_owner(
        self, call_sid: str, webhook: Webhook, *, is_passed_on: bool = False
    ) -> OwnersAnswer:
        """Return what the process answers that has a call, if it is another one.

        `is_passed_on`: the webhook came from another node, and is not passed on to one.
        """
        me = self._identity
        try:
            owner = await live_calls.find(self._database, call_sid)
            if owner is None or owner.is_stale or owner.incarnation == me.incarnation:
                return NOBODY
            if owner.node == me.name:
                return await self._ask_worker(owner.worker, webhook)
            if is_passed_on:
                return NOBODY
            every = await nodes.every(self._database)
        except DATABASE_ERRORS:
            return NOBODY
        urls = [one.url for one in every if one.name == owner.node and one.url]
        if not urls:
            return NOBODY
        return await self.ask_node(owner.node, urls[0], webhook)

    async def _ask_worker(self, worker: int, webhook: Webhook) -> OwnersAnswer:
        """Ask a worker of this node. One that does not answer may belong to a service
        that leaves its port: whether it is dead, the database says."""
        if self._ask_inside is None or worker == self._identity.worker:
            return NOBODY
        return OwnersAnswer(await self._ask_inside(worker, *webhook), is_dead=False)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask_node(self, name: str, url: str, webhook: Webhook) -> OwnersAnswer:
        """Return what a node answers."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=ANSWER_WAIT_S, sock_connect=CONNECT_WAIT_S
            )
            self._session = aiohttp.ClientSession(timeout=timeout)
        is_dead = False
        try:
            async with self._session.post(
                url.rstrip("/") + webhook.path,
                data=webhook.body,
                headers=webhook.headers,
            ) as answer:
                document = await read_body(answer.content, DOCUMENT_BYTES_MAX)
                if answer.status == HTTPStatus.OK and document is not None:
                    self._metrics.count("webhooks_passed_on", outcome="answered")
                    return OwnersAnswer(document, is_dead=False)
                is_dead = answer.status in NOBODY_THERE
                why = f"status {answer.status}"
                if document is None:
                    why += f", more than {DOCUMENT_BYTES_MAX} bytes"
                if answer.status == HTTPStatus.FORBIDDEN:
                    why += FORBIDDEN
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            is_dead = isinstance(error, GONE) and not isinstance(error, TLS)
            why = f"{type(error).__name__}: {error}"
        self._metrics.count("webhooks_passed_on", outcome="failed")
        server_logger().error("[NODE] %s does not answer a webhook: %s", name, why)
        return OwnersAnswer(None, is_dead)
