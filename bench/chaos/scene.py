"""A chaos run's scene: nodes, balancer, model, Twilio and calls, on one database."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from uuid import UUID, uuid4

from bench.chaos.calls import GREETING, STEPS, WORDS, Model, Visit
from bench.chaos.nodes import Balancer, Node, balancer_of, until_ready
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, Caller
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.rest import RestApi
from bridge.sandbox.timeline import Step
from crm import businesses
from crm.connect import service_url
from crm.database import Database

# The calls of a wave begin within this time, so that they are hit at other moments.
SPREAD_S = 5.0
CALL_S_MAX = 90.0
# How long a killed node is away.
AWAY_S = (0.0, 6.0)
DRAIN_SECONDS = 60

Fault = Callable[["Chaos", Node, Sequence[Visit]], Awaitable[None]]


class Chaos:
    """One run: its nodes, its calls, and when their nodes were hit."""

    def __init__(
        self,
        url: str,
        home: Path,
        seed: int,
        nodes: int = 3,
        steps: Sequence[Step] = STEPS,
    ) -> None:
        self.url = url
        self._steps = steps
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
            await self.balancer.start()
            stack.push_async_callback(self.balancer.close)
            self._env = await self._settings()
            stack.push_async_callback(self._stop)
            await asyncio.gather(*map(self.start, self.nodes))
            # The balancer learns from its checks that they are ready.
            await asyncio.gather(*map(until_ready, self.balancer.first.values()))
            yield

    async def start(self, node: Node) -> None:
        """Start a node."""
        await node.start(self._env, self.balancer.url_of(node))

    async def wave(self, node: Node, fault: Fault, calls: int) -> None:
        """Place calls at one node, and do something to it."""
        while not self.model.asked.empty():
            self.model.asked.get_nowait()
        visits = [self._visit(node) for _ in range(calls)]
        starts = sorted(self.rng.uniform(0, SPREAD_S) for _ in visits)
        ringing = [
            asyncio.ensure_future(
                _later(at_s - starts[0], visit.run(self._steps, CALL_S_MAX))
            )
            for at_s, visit in zip(starts, visits, strict=True)
        ]
        await fault(self, node, visits)
        await asyncio.gather(*ringing)

    def _visit(self, node: Node) -> Visit:
        self.visits.append(
            Visit(
                Caller(
                    self.balancer.first[node.name],
                    public_url=self.balancer.public_url,
                    from_number=f"+1555{3_000_000 + len(self.visits)}",
                    to_number=self.number,
                    goes_on=True,
                    api=self.api,
                )
            )
        )
        return self.visits[-1]

    async def hit(self, node: Node, number: int, kind: str) -> None:
        """Send a node a signal, and note which calls it had."""
        at = monotonic()
        node.send(number)
        async with self.database.owner() as connection:
            rows = await connection.fetch(
                "select call_sid from call_owners where node = $1", node.name
            )
        for row in rows:
            self.hits.setdefault(row["call_sid"], []).append((at, kind))

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

    async def _settings(self) -> dict[str, str]:
        return {
            "DATABASE_URL": await service_url(self.url),
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
