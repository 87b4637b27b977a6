"""The scene: a service with its messenger, a database, and the sandbox's Twilio and
model, all on this machine."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg

from bench.chaos.nodes import READY_S, Node
from bench.messages.writers import Visit
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN
from bridge.sandbox.messaging.faults import ALL
from bridge.sandbox.messaging.messages_api import MessagingApi
from bridge.sandbox.messaging.writer import Writer
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.responses.server import ResponsesServer
from crm import businesses
from crm.businesses import Service
from crm.connect import service_url
from crm.database import Database
from crm.embedded import EmbeddedServer

# Of one business's days, callers book the next free times; more businesses, fewer of
# them want the same one.
WRITERS_A_BUSINESS = 5
CALENDAR_DAYS = 7
NAMES = ("Dana", "Avi", "Noa", "Omar", "Lea", "Tom", "Maya", "Sami")
# Which requests of the REST API fail by chance, while faults are wanted.
FAULT_SHARE = 0.05
_LOOK_S = 0.05
_MESSENGER = b"bridge.messaging"


class Scene:
    """One run; `database` is its owner's."""

    def __init__(
        self,
        url: str,
        home: Path,
        seed: int,
        server: EmbeddedServer | None = None,
        model_s: float = 0.0,
        think_s: float = 0.0,
    ) -> None:
        self.rng = random.Random(seed)
        self.node = Node("messages", home)
        self.api = MessagingApi(seed=seed)
        self.model = ResponsesServer(latency_s=model_s, keeps_requests=False)
        self.voice = RealtimeServer(seed=seed)
        self.visits: list[Visit] = []
        # How often each fault has happened, and whether there are to be no more.
        self.faults: Counter[str] = Counter()
        self.is_over = False
        self.database: Database
        self.business_ids: list[UUID] = []
        self._think_s = think_s
        self._url = url
        self._server = server
        self._env: dict[str, str] = {}

    @asynccontextmanager
    async def running(self, writers: int) -> AsyncIterator[None]:
        """Run the service and its peers, with so many writers."""
        async with AsyncExitStack() as stack:
            self.database = await Database.open(self._url, pool_max=4)
            stack.push_async_callback(self.database.close)
            for peer in (self.api, self.model, self.voice):
                await stack.enter_async_context(peer)
            self._env = await self._settings()
            stack.push_async_callback(self._stop)
            self.api.connect(self.bridge_url)
            await self._add_visits(writers)
            await self.start()
            await self._until_messenger()
            yield

    @property
    def bridge_url(self) -> str:
        """The service's public port."""
        return f"http://127.0.0.1:{self.node.port}"

    async def start(self) -> None:
        """Start the service."""
        await self.node.start(self._env, "")

    async def _add_visits(self, count: int) -> None:
        """Add writers, and the businesses that they write to."""
        for _ in range(-(-count // WRITERS_A_BUSINESS)):
            await self._add_business()
        for number in range(count):
            business = self._number(number // WRITERS_A_BUSINESS)
            writer = Writer(
                self.api,
                self.bridge_url,
                number=f"+1555{4_000_000 + number}",
                business=business,
                name=f"{self.rng.choice(NAMES)} {number}",
                # While the service is away, Twilio's fallback URL is itself.
                retries=200,
                retry_s=0.3,
                seed=number,
            )
            visit = Visit(writer, self.rng.random(), self._think_s)
            self.visits.append(visit)

    async def _add_business(self) -> None:
        number = self._number(len(self.business_ids))
        business_id = await businesses.create(
            self.database, f"Salon {len(self.business_ids)}"
        )
        await businesses.add_number(self.database, business_id, number)
        await businesses.add_service(self.database, business_id, Service("haircut", 15))
        await businesses.set_setting(self.database, business_id, "whatsapp", True)
        for day in range(CALENDAR_DAYS):
            whole = [(0, 24 * 60)]
            await businesses.set_hours(self.database, business_id, day, whole)
        self.api.account.senders.add(number)
        self.business_ids.append(business_id)

    def _number(self, business: int) -> str:
        return f"+1556{1_000_000 + business}"

    async def _until_messenger(self) -> None:
        """Wait until the service says that its messenger works."""
        async with aiohttp.ClientSession() as http, asyncio.timeout(READY_S):
            while True:
                async with http.get(f"{self.bridge_url}/readyz") as answer:
                    if (await answer.json()).get("messenger") == "ok":
                        return
                await asyncio.sleep(_LOOK_S)

    # --- faults ---

    async def kill_messenger(self) -> None:
        """Kill the messenger; the service starts another one."""
        pid = await asyncio.to_thread(self._messenger_pid)
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def kill_service(self) -> None:
        """Kill the service, and start it again; its messenger ends by itself."""
        self.node.send(signal.SIGKILL)
        await self.node.ended()
        await asyncio.sleep(self.rng.uniform(0.0, 3.0))
        await self.start()

    async def restart_database(self) -> None:
        """Stop PostgreSQL at once, and start it again some seconds later."""
        assert self._server is not None, "the run's own server"
        async with self.database.owner() as connection:
            folder = await connection.fetchval("show data_directory")
        lines = await asyncio.to_thread(Path(folder, "postmaster.pid").read_text)
        os.kill(int(lines.split()[0]), signal.SIGQUIT)
        await asyncio.sleep(self.rng.uniform(1.0, 5.0))
        while not await self._answers():
            self._server.tend()
            await asyncio.sleep(_LOOK_S)

    async def cut_rest(self) -> None:
        """Let Twilio's REST API be away for some seconds."""
        await self.api.cut()
        await asyncio.sleep(self.rng.uniform(1.0, 5.0))
        await self.api.listen_again()

    def fail_requests(self, share: float = FAULT_SHARE) -> None:
        """Let a share of the REST requests fail: errors, and answers that are lost."""
        self.api.faults.share = share
        self.api.faults.by_chance = ALL

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self._url)
        except (OSError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    def messenger_cpu_s(self) -> float:
        """Return the processor time that the messenger has used."""
        stat = Path(f"/proc/{self._messenger_pid()}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _messenger_pid(self) -> int:
        process = self.node.process
        if process is None:
            return 0
        with suppress(OSError):
            for task in Path(f"/proc/{process.pid}/task").iterdir():
                for pid in (task / "children").read_text().split():
                    if _MESSENGER in Path(f"/proc/{pid}/cmdline").read_bytes():
                        return int(pid)
        return 0

    # --- the service ---

    async def _settings(self) -> dict[str, str]:
        return {
            "DATABASE_URL": await service_url(self._url),
            "DATABASE_ADMIN_URL": self._url,
            "PUBLIC_URL": self.bridge_url,
            "TWILIO_ACCOUNT_SID": SANDBOX_ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": SANDBOX_AUTH_TOKEN,
            "TWILIO_API_URL": self.api.url,
            "OPENAI_API_KEY": self.model.api_key,
            "OPENAI_API_URL": self.model.url,
            "OPENAI_REALTIME_URL": self.voice.url,
            "LIMIT_COST_PER_DAY": "0",
            "LOG_LEVEL": "warning",
            "LOG_TRANSCRIPTS": "0",
            "CONSOLE": "off",
        }

    async def _stop(self) -> None:
        process = self.node.process
        if process is not None and process.returncode is None:
            self.node.send(signal.SIGTERM)
            await asyncio.sleep(0.5)
            self.node.send(signal.SIGTERM)
            await self.node.ended()
        for visit in self.visits:
            await visit.writer.close()
