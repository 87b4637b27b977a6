"""The demo's service in its own process, and its businesses and callers."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson

from bridge.cli.demo.script import HOURS, DemoBusiness, steps
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, Caller
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.result import CallResult
from bridge.sandbox.timeline import Happening
from crm import saving
from crm.businesses import Business, Person, Service
from crm.database import Database

START_S = 20.0
STOP_S = 15.0
CALL_S_MAX = 100.0
LIVE_URL = "wss://api.openai.com/v1/realtime"


class Bridge:
    """The service in its own process, and what it logs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.url = ""
        self.lines: list[dict[str, Any]] = []
        self._is_ready = asyncio.Event()
        self._reader = asyncio.ensure_future(self._read())

    async def ready(self) -> None:
        """Wait until it listens; raises RuntimeError with its output otherwise."""
        await asyncio.wait(
            (self._reader, asyncio.ensure_future(self._is_ready.wait())),
            timeout=START_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not self.url:
            said = "; ".join(str(line.get("message")) for line in self.lines[-3:])
            raise RuntimeError(f"the bridge did not start: {said}")

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            try:
                line = orjson.loads(data)
            except orjson.JSONDecodeError:
                line = {"message": data.decode(errors="replace").strip()}
            self.lines.append(line)
            text = str(line.get("message", ""))
            if text.startswith("listening on "):
                self.url = f"http://{text.split()[2]}"
                self._is_ready.set()
            elif "call" in line:
                show(str(line["call"])[-4:], text)

    def said_of(self, call_sid: str) -> list[str]:
        """Return the messages logged for one call."""
        return [
            str(line["message"]) for line in self.lines if line.get("call") == call_sid
        ]

    async def stop(self) -> None:
        """Let the service drain and exit."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        await self._reader


async def make(
    db: Database,
    business: DemoBusiness,
    *,
    services: tuple[Service, ...] = (),
    staff: tuple[Person, ...] = (),
) -> Business:
    """Store one of the demo's businesses, with more services and people if given."""
    described = {"language": business.language, **business.columns}
    described["required_fields"] = tuple(described["required_fields"])
    made = Business(
        id=uuid4(),
        name=business.name,
        numbers=(business.number,),
        settings=business.settings,
        services=(business.service, *services),
        staff=staff,
        hours=HOURS,
        **described,
    )
    await saving.save(db, made)
    return made


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def environment(database_url: str, model: RealtimeServer | None) -> dict[str, str]:
    """Return the service's environment; without a `model`, OpenAI's is used."""
    env = {
        **os.environ,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "ADMIN_PORT": str(free_port()),
        "DATABASE_URL": database_url,
        "TWILIO_ACCOUNT_SID": SANDBOX_ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": SANDBOX_AUTH_TOKEN,
        "OPENAI_REALTIME_URL": os.environ.get("OPENAI_REALTIME_URL") or LIVE_URL,
    }
    env.pop("PUBLIC_URL", None)
    if model is not None:
        env |= {"OPENAI_REALTIME_URL": model.url, "OPENAI_API_KEY": model.api_key}
    return env


@asynccontextmanager
async def running_bridge(env: dict[str, str]) -> AsyncIterator[Bridge]:
    """Run the service; raises RuntimeError if it does not start."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge.cli.main", "serve"),
        env=env,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    bridge = Bridge(process)
    try:
        await bridge.ready()
        yield bridge
    finally:
        await bridge.stop()


async def place_call(url: str, business: DemoBusiness) -> CallResult:
    """Call a business as the demo's caller does, and show what the caller does."""

    def observe(happening: Happening) -> None:
        show(business.language, f"caller {happening.kind} {happening.detail}")

    caller = Caller(
        url, from_number=business.caller, to_number=business.number, observe=observe
    )
    return await caller.call(steps(business.language), max_s=CALL_S_MAX)


def show(who: str, text: str) -> None:
    """Print a line of what happens in a call."""
    print(f"         {who:>4}  {text[:100]}", flush=True)
