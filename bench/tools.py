"""Tools against a full database: 200 businesses, 100,000 leads; and a booking race.

In a booking race fifty callers want one slot, through one connection pool. Each is
timed from request to answer. The tool runs as in a call. Each figure is the median of
five blocks, since a stall of the machine affects one block only.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from statistics import median
from typing import NamedTuple
from uuid import UUID

import asyncpg
import orjson

from bench.machine import spread
from bridge.agent.crm_tools import crm_tools
from bridge.agent.tools import ToolRunner
from bridge.call.plan import RunTool, ToolResult
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from crm import businesses
from crm.businesses import Business, Service
from crm.database import Database
from crm.embedded import EmbeddedServer
from crm.migrate import migrate

_BUDGET_MS = {"race": 100.0}
_TOOL_BUDGET_MS = 25.0
# Filling the database is one statement that takes some seconds.
_PATIENCE_S = 120.0


class Size(NamedTuple):
    """The size of a measurement; a block is `rounds` of every tool and `races`."""

    businesses: int = 200
    leads: int = 100_000
    blocks: int = 5
    rounds: int = 200
    races: int = 5
    racers: int = 50


_FULL = Size()
Times = dict[str, list[float]]


def measure(size: Size = _FULL) -> dict[str, dict[str, float]]:
    """Return p50 and p99, in ms, of each tool and of the race."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-bench-") as home:
        server = EmbeddedServer(Path(home))
        try:
            url = server.start()
            asyncio.run(migrate(url))
            return asyncio.run(_measure(url, size))
        finally:
            server.stop()


def judge(results: dict[str, dict[str, float]]) -> list[str]:
    """Return a line for each figure over its budget."""
    return [
        f"{name} p99 {found['p99']:.1f} ms"
        for name, found in results.items()
        if found["p99"] > _BUDGET_MS.get(name, _TOOL_BUDGET_MS)
    ]


async def _measure(url: str, size: Size) -> dict[str, dict[str, float]]:
    db = await Database.open(url, command_timeout_s=_PATIENCE_S)
    try:
        shops = await _fill(db, size)
        await _settle(url)
        # The first race opens the pool's connections, which stay open.
        await _race(db, shops[-1], "warm", size.racers)
        blocks = [await _block(db, shops, at, size) for at in range(size.blocks)]
    finally:
        await db.close()
    spreads = [{name: spread(one[name]) for name in one} for one in blocks]
    return {
        name: {cut: median(one[name][cut] for one in spreads) for cut in ("p50", "p99")}
        for name in spreads[0]
    }


async def _block(db: Database, shops: list[Business], at: int, size: Size) -> Times:
    times: Times = {}
    for number in range(at * size.rounds, (at + 1) * size.rounds):
        await _round(db, shops[number % len(shops)], number, times)
    for number in range(at * size.races, (at + 1) * size.races):
        shop = shops[number % len(shops)]
        took_ms = await _race(db, shop, str(number), size.racers)
        times.setdefault("race", []).extend(took_ms)
    return times


async def _settle(url: str) -> None:
    """Do the maintenance that loading the database would cause during the run."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("vacuum analyze")
        await connection.execute("checkpoint")
    finally:
        await connection.close()


async def _fill(db: Database, size: Size) -> list[Business]:
    shops = []
    for number in range(size.businesses):
        made: UUID = await businesses.create(
            db, f"Shop {number}", time_zone="Asia/Jerusalem", country="IL"
        )
        for dow in range(7):
            await businesses.set_hours(db, made, dow, [(480, 1200)])
        await businesses.add_service(db, made, Service("Cut", 30, 10))
        found = await businesses.get(db, made)
        assert found is not None
        shops.append(found)
    async with db.owner() as connection:
        await connection.execute(
            "insert into leads (business_id, phone, name) select id, "
            "'+1555' || lpad(n::text, 7, '0'), 'Caller ' || n from businesses, "
            f"generate_series(1, {size.leads // size.businesses}) n"
        )
        await connection.execute(
            "insert into appointments (business_id, starts_at, ends_at, busy_until) "
            "select id, at, at + interval '30 min', at + interval '40 min' "
            "from businesses, generate_series(now() - interval '300 days', "
            "now() + interval '30 days', interval '13 hours') at"
        )
    return shops


async def _round(db: Database, shop: Business, number: int, times: Times) -> None:
    tools = _runner(db, shop, f"+1555{number % 400 + 1:07}", f"CA{number}")

    async def ask(name: str, arguments: dict[str, str]) -> ToolResult:
        text = orjson.dumps(arguments).decode()
        result, took_ms = await _timed(tools.run(RunTool(name, name, text)))
        assert result.ok, result.output
        times.setdefault(name, []).append(took_ms)
        return result

    found = orjson.loads((await ask("calendar_find_slots", {})).output)["slots"]
    await ask("calendar_create_appointment", {"starts_at": found[0]["starts_at"]})
    new = {"new_starts_at": found[-1]["starts_at"]}
    await ask("calendar_reschedule_appointment", new)
    await ask("leads_upsert", {"name": "Dana", "city": "Haifa"})
    await ask("calendar_cancel_appointment", {})


async def _race(db: Database, shop: Business, name: str, racers: int) -> list[float]:
    """Let callers race who are in no round of the tools; one of them gets the slot."""
    first = _runner(db, shop, "+15550000001", f"CR{name}")
    found = await first.run(RunTool("f", "calendar_find_slots", "{}"))
    at = orjson.loads(found.output)["slots"][0]["starts_at"]
    text = orjson.dumps({"starts_at": at}).decode()
    answers = await asyncio.gather(
        *(
            _timed(
                _runner(db, shop, f"+1555{500 - one:07}", f"CR{name}-{one}").run(
                    RunTool("b", "calendar_create_appointment", text)
                )
            )
            for one in range(racers)
        )
    )
    assert sum("booked" in orjson.loads(one.output) for one, _ in answers) == 1
    return [took_ms for _, took_ms in answers]


async def _timed(work: Awaitable[ToolResult]) -> tuple[ToolResult, float]:
    started = time.perf_counter()
    result = await work
    return result, (time.perf_counter() - started) * 1e3


def _runner(db: Database, shop: Business, phone: str, sid: str) -> ToolRunner:
    return ToolRunner(
        crm_tools(db, shop, phone, call_sid=sid),
        deadline_ms=10_000,
        log=CallLogger(sid),
        metrics=Metrics(),
    )


def main(argv: list[str]) -> int:
    """Print the figures; 1 if one is over its budget."""
    results = measure()
    for name, found in results.items():
        print(f"{name:34}p50 {found['p50']:7.2f} ms  p99 {found['p99']:7.2f} ms")
    broken = judge(results)
    for line in broken:
        print(f"over budget: {line}")
    return 1 if broken else 0
