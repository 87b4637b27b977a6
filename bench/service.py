"""Bridges as processes, with a database and a model, for one scenario."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from bench.call_churn import ChurnRun
from bench.dialling import answering
from bench.load import ACCOUNT_SID, NUMBER
from bench.machine import free_port
from crm import businesses
from crm.connect import open_url, service_url
from crm.database import Database

READY_S = 60.0
SIGNAL_S = 0.2


class ServiceHarness:
    """The database, the model and the folder that the bridges of a scenario share."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.home = home
        self.database_url = database_url
        self.run = ChurnRun()
        self.model_url = ""
        self.metrics_url = ""
        self.business_id: Any = None

    @asynccontextmanager
    async def bridge(
        self, *options: str, module: str = "bridge.cli.main", **env: str
    ) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
        """Run `kolbridge serve`; it is stopped at the end if it still runs."""
        port, admin_port = env.get("PORT") or str(free_port()), str(free_port())
        self.metrics_url = f"http://127.0.0.1:{admin_port}/metrics"
        whole = {
            **os.environ,
            "KOLBRIDGE_HOME": str(self.home / "service"),
            "DATABASE_URL": await service_url(self.database_url),
            "DATABASE_ADMIN_URL": self.database_url,
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_VALIDATE_SIGNATURES": "0",
            "OPENAI_REALTIME_URL": self.model_url,
            "MAX_CALLS_PER_WORKER": "10000",
            "LIMIT_CONCURRENT_CALLS": "0",
            "LAG_BUDGET_MS": "10000",
            "MAX_BUSY_PERCENT": "100",
            "AUDIO_PREROLL_MS": "0",
            "LOG_LEVEL": "warning",
            "LOG_TRANSCRIPTS": "0",
            "IDLE_PROMPT_MS": "600000",
            **env,
            "PORT": port,
            "ADMIN_PORT": admin_port,
        }
        with (self.home / "bridge.telemetry.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, "serve", *options),
                env=whole,
                stderr=log,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            await _ready(url, process)
            yield url, process
        finally:
            if process.returncode is None:
                # The second signal ends calls at once; two together count as one.
                for _ in range(2):
                    with suppress(ProcessLookupError):
                        process.terminate()
                    await asyncio.sleep(SIGNAL_S)
            await process.wait()


async def _ready(url: str, process: asyncio.subprocess.Process) -> None:
    """Wait until a bridge reports that it can take calls."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(READY_S):
        while process.returncode is None:
            with suppress(aiohttp.ClientConnectionError):
                async with http.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)
    raise RuntimeError(f"the bridge did not start: exit code {process.returncode}")


Scenario = Callable[[ServiceHarness], Awaitable[Any]]


def run_scenario(scenario: Scenario) -> Any:
    """Run one scenario on a database made for it."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-bench-") as folder:
        database_url, server = open_url(None, Path(folder))
        try:
            return uvloop.run(
                _run(ServiceHarness(Path(folder), database_url), scenario)
            )
        finally:
            if server is not None:
                server.stop()


async def _run(harness: ServiceHarness, scenario: Scenario) -> Any:
    database = await Database.open(harness.database_url, pool_max=1)
    harness.business_id = await businesses.create(database, "Load")
    await businesses.add_number(database, harness.business_id, NUMBER)
    await database.close()
    async with answering(harness.run.wires, harness.run.session) as port:
        harness.model_url = f"ws://127.0.0.1:{port}/v1/realtime"
        return await scenario(harness)
