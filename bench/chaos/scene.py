"""A chaos run's scene: nodes, balancer, model, Twilio and calls, on one database."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from uuid import UUID, uuid4

from bench.chaos.calls import GREETING, STEPS, WORDS, Model, Visit
from bench.chaos.links import Link
from bench.chaos.nodes import Balancer, Node, balancer_of, until_ready
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, Caller
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.rest import RestApi
from bridge.sandbox.timeline import Step
from crm import businesses
from crm.connect import service_url
from crm.database import Database
from crm.embedded import EmbeddedServer

CALL_S_MAX = 90.0
# How long a killed node is away.
AWAY_S = (0.0, 6.0)
DRAIN_SECONDS = 60


class Fault(NamedTuple):
    """What happens to a node in a wave, and what its callers do."""

    do: Callable[["Chaos", Node, Sequence[Visit]], Awaitable[None]]
    steps: Sequence[Step] = STEPS
    # Whether the model can book while it lasts.
    books: bool = True
    # Whether all nodes get calls, rather than the one that it happens to.
    is_for_all: bool = False
    # The calls of a wave begin within this time, so that they are hit at other moments.
    spread_s: float = 5.0


class Chaos:
    """One run: its nodes, its calls, and when their nodes were hit."""

    def __init__(
        self,
        url: str,
        home: Path,
        seed: int,
        nodes: int = 3,
        server: EmbeddedServer | None = None,
    ) -> None:
        """`server` runs the database of this URL, for this run alone."""
        self.url = url
        self.server = server
        # By node's name: its way to the database.
        self.links: dict[str, Link] = {}
        self.rng = random.Random(seed)
        self.nodes = [Node(f"n{number}", home) for number in range(1, nodes + 1)]
        self.balancer: Balancer = balancer_of(self.nodes, home)
        self.model = Model()
        self.realtime = RealtimeServer(self.model.script, seed=seed)
        self.api = RestApi(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, seed)
        self.visits: list[Visit] = []
        # By call: when its node was hit, and how.
        self.hits: dict[str, list[tuple[float, str]]] = {}
        self.number = f"+1557{uuid4().int % 10**9:09}"
        self.business_id = UUID(int=0)
        self._env: dict[str, str] = {}
        self._database: Database | None = None

    @property
    def database(self) -> Database:
        """The database, as its owner."""
        assert self._database is not None, "it runs"
        return self._database

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the balancer and the nodes."""
        async with AsyncExitStack() as stack:
            self._database = await Database.open(self.url, pool_max=2)
            stack.push_async_callback(self._database.close)
            await stack.enter_async_context(self.realtime)
            await stack.enter_async_context(self.api)
            await self._make_business()
            await self._open_links()
            stack.callback(self._close_links)
            await self.balancer.start()
            stack.push_async_callback(self.balancer.close)
            self._env = self._settings()
            stack.push_async_callback(self._stop)
            await asyncio.gather(*map(self.start, self.nodes))
            # The balancer learns from its checks that they are ready.
            await asyncio.gather(*map(until_ready, self.balancer.first.values()))
            yield

    async def start(self, node: Node) -> None:
        """Start a node."""
        env = {**self._env, "DATABASE_URL": self.links[node.name].url}
        await node.start(env, self.balancer.url_of(node))

    async def wave(self, node: Node, fault: Fault, calls: int) -> None:
        """Place calls at one node, or at all, and do something to it."""
        while not self.model.asked.empty():
            self.model.asked.get_nowait()
        asked = cycle(self.nodes if fault.is_for_all else [node])
        visits = [self._visit(next(asked), fault) for _ in range(calls)]
        starts = sorted(self.rng.uniform(0, fault.spread_s) for _ in visits)
        ringing = [
            asyncio.ensure_future(_later(at_s - starts[0], visit.run(CALL_S_MAX)))
            for at_s, visit in zip(starts, visits, strict=True)
        ]
        await fault.do(self, node, visits)
        await asyncio.gather(*ringing)

    def _visit(self, node: Node, fault: Fault) -> Visit:
        caller = Caller(
            self.balancer.first[node.name],
            public_url=self.balancer.public_url,
            from_number=f"+1555{3_000_000 + len(self.visits)}",
            to_number=self.number,
            goes_on=True,
            api=self.api,
        )
        visit = Visit(caller, fault.steps)
        visit.must_book = fault.books
        self.visits.append(visit)
        return visit

    async def hit(self, node: Node, number: int, kind: str) -> None:
        """Send a node a signal, and note which calls it had."""
        at = monotonic()
        node.send(number)
        await self.note_hit(node, kind, at)

    async def note_hit(self, node: Node, kind: str, at: float) -> None:
        """Note that a node's calls are hit."""
        async with self.database.owner() as connection:
            rows = await connection.fetch(
                "select call_sid from call_owners where node = $1", node.name
            )
        for row in rows:
            self.hits.setdefault(row["call_sid"], []).append((at, kind))

    async def busiest(self, but: Node) -> Node:
        """Return the node that owns most calls, and is not this one."""
        async with self.database.owner() as connection:
            rows = await connection.fetch("select node from call_owners")
        owned = Counter(row["node"] for row in rows)
        others = [node for node in self.nodes if node is not but]
        return max(others, key=lambda node: owned[node.name])

    async def kill(self, node: Node, kind: str) -> None:
        """Kill a node, and start it again."""
        await self.hit(node, signal.SIGKILL, kind)
        await self.start_again(node)

    async def start_again(self, node: Node) -> None:
        """Start a node that was killed, at once or when it counts as dead."""
        await node.ended()
        await asyncio.sleep(self.rng.uniform(*AWAY_S))
        await self.start(node)

    async def _make_business(self) -> None:
        self.business_id = await businesses.create(
            self.database, "Salon", greeting=WORDS[GREETING]
        )
        await businesses.add_number(self.database, self.business_id, self.number)
        for day in range(7):
            await businesses.set_hours(
                self.database, self.business_id, day, [(0, 1440)]
            )

    async def _open_links(self) -> None:
        url = await service_url(self.url)
        for node in self.nodes:
            self.links[node.name] = link = Link(url)
            await link.open()

    def _close_links(self) -> None:
        for link in self.links.values():
            link.close()

    def _settings(self) -> dict[str, str]:
        return {
            "DATABASE_ADMIN_URL": self.url,
            "PUBLIC_URL": self.balancer.public_url,
            "TWILIO_ACCOUNT_SID": SANDBOX_ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": SANDBOX_AUTH_TOKEN,
            "TWILIO_API_URL": self.api.url,
            "OPENAI_API_KEY": self.realtime.api_key,
            "OPENAI_REALTIME_URL": self.realtime.url,
            "DRAIN_SECONDS": str(DRAIN_SECONDS),
            "MAX_BUSY_PERCENT": "100",
            "LAG_BUDGET_MS": "10000",
        }

    async def _stop(self) -> None:
        for node in self.nodes:
            if node.process is not None and node.process.returncode is None:
                node.send(signal.SIGCONT)
                node.send(signal.SIGTERM)
                await node.ended()


async def _later(delay_s: float, doing: Awaitable[None]) -> None:
    await asyncio.sleep(delay_s)
    await doing
