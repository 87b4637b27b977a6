"""Frame latency beside conversations in writing, and without them, in one run.

The calls run all the time. Slices of two seconds with and without writers take turns,
so that changes of the machine affect both. The writers, Twilio and the model of the
chats are a process of their own. A latency is that of the second quietest slice.

    python -m bench messages --beside-calls 200 --at-once 200
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from bench.capacity import Server, one_slice
from bench.consoles import summary
from bench.latency import HALF
from bench.load import KOLBRIDGE, open_calls, prepare, serving
from bench.machine import free_port
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN
from bridge.sandbox.messaging.messages_api import MessagingApi
from bridge.sandbox.messaging.writer import Writer
from bridge.sandbox.responses.server import ResponsesServer
from crm import businesses
from crm.connect import open_url
from crm.database import Database

SLICES = 6
# Before each slice, so that both kinds begin alike; writers need some seconds to write.
PAUSE_S = 4.0
NUMBER = "+15560000001"
ANSWER_S_MAX = 60.0
_ECHO = "Thanks, bye!"


async def _write(writer: Writer, think_s: float, first_s: float) -> None:
    """Write, read and write again, until cancelled."""
    await asyncio.sleep(first_s)
    while True:
        await writer.write(_ECHO)
        await writer.next(ANSWER_S_MAX)
        await asyncio.sleep(think_s)


async def write_for_ever(
    bridge_url: str, api_port: int, model_port: int, writers: int, think_s: float
) -> None:
    """Run Twilio, the model and so many writers until the process is ended."""
    api = MessagingApi(senders={NUMBER}, port=api_port)
    model = ResponsesServer(latency_s=1.0, port=model_port, keeps_requests=False)
    async with api, model:
        api.connect(bridge_url)
        # Others than those of the processes before, whose answers may still come.
        first = 5_000_000 + os.getpid() % 1_000 * 1_000
        everyone = [
            Writer(api, bridge_url, number=f"+1555{first + at}", business=NUMBER)
            for at in range(writers)
        ]
        pace_s = think_s / max(writers, 1)
        print("open", flush=True)
        await asyncio.gather(
            *(_write(one, think_s, at * pace_s) for at, one in enumerate(everyone))
        )


@asynccontextmanager
async def _writing(*words: object) -> AsyncIterator[None]:
    module = "bench.messages.beside_calls"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *map(str, words)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"open\n", "nobody writes"
        yield
    finally:
        process.kill()
        await process.wait()


async def _slices(url: str, calls: int, writers: int, think_s: float) -> dict[str, Any]:
    await prepare(url)
    await _prepare_chats(url)
    api_port, model_port = free_port(), free_port()
    extra = {
        "TWILIO_ACCOUNT_SID": SANDBOX_ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": SANDBOX_AUTH_TOKEN,
        "TWILIO_API_URL": f"http://127.0.0.1:{api_port}",
        "OPENAI_API_URL": f"http://127.0.0.1:{model_port}/v1",
        "OPENAI_API_KEY": "sk-sandbox",
        "LIMIT_MESSAGES_PER_WRITER_PER_MINUTE": "0",
        "LIMIT_COST_PER_DAY": "0",
    }
    found: dict[str, Any] = {"without": [], "with": []}
    async with serving(url, calls, extra=extra) as (run, bridge_url, pid):
        server = Server(KOLBRIDGE, run, await open_calls(run, bridge_url), pid)
        await one_slice(server, HALF)
        for _ in range(SLICES):
            await asyncio.sleep(PAUSE_S)
            found["without"].append(await one_slice(server, HALF))
            words = bridge_url, api_port, model_port, writers, think_s
            async with _writing(*words):
                await asyncio.sleep(PAUSE_S)
                found["with"].append(await one_slice(server, HALF))
    return {**summary(found), "answers": await _answers(url)}


async def _prepare_chats(url: str) -> None:
    database = await Database.open(url, pool_max=1)
    business_id = await businesses.create(database, "Chats")
    await businesses.add_number(database, business_id, NUMBER)
    await businesses.set_setting(database, business_id, "whatsapp", True)
    await database.close()


async def _answers(url: str) -> int:
    database = await Database.open(url, pool_max=1)
    total = 0
    for _, business_id in await businesses.numbers(database):
        async with database.tenant(business_id) as connection:
            total += await connection.fetchval(
                "select count(*) from messages where direction = 'out' and sid <> ''"
            )
    await database.close()
    return total


def measure(calls: int, writers: int, think_s: float) -> dict[str, Any]:
    """Run all slices on a database made for them."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-beside-") as home:
        url, database = open_url(None, Path(home))
        try:
            found = uvloop.run(_slices(url, calls, writers, think_s))
        finally:
            if database is not None:
                database.stop()
    return {"calls": calls, "writers": writers, **found}


if __name__ == "__main__":
    # What is measured does not wait for its load.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    where, *numbers = sys.argv[1:]
    ports = [int(one) for one in numbers[:3]]
    uvloop.run(write_for_ever(where, *ports, float(numbers[3])))
