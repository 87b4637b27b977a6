"""`kolbridge demo`: two whole calls on this machine, watched and judged.

The database, the sandbox's model and the callers run in this process. The bridge is the
real service in a process of its own, reached over its own endpoints. While the calls
run, a timeline is printed; afterwards `demo/` holds the sound, the pictures and a
report.
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import aiohttp

from bridge.agent.prompt import CALL_FACTS
from bridge.cli.demo import plot, report
from bridge.cli.demo.checks import Check, Evidence, check
from bridge.cli.demo.script import BUSINESSES, CALLER_NAMES, DemoBusiness, script
from bridge.cli.demo.service import (
    Bridge,
    environment,
    make,
    place_call,
    running_bridge,
)
from bridge.cli.pictures import NoPicturesError, pyplot
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.result import CallResult
from bridge.sandbox.script import by_language
from bridge.sandbox.session import Session
from crm import calls, leads
from crm.connect import open_url, service_url
from crm.database import Database
from dsp.g711 import FRAME_BYTES

ROW_S = 1.0
CELL_S = 0.1
_SILENCE = b"\xff" * FRAME_BYTES


class Placed(NamedTuple):
    """One call of the demo, its business, and what the caller experienced."""

    business: DemoBusiness
    business_id: UUID
    result: CallResult


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 if every check holds."""
    try:
        pyplot()  # now, not after a minute of calls
    except NoPicturesError as error:
        print(f"kolbridge demo: {error}")
        return 2
    if args.live and not os.environ.get("OPENAI_API_KEY"):
        print("kolbridge demo: --live needs OPENAI_API_KEY")
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kolbridge-demo-") as home:
        url, server = open_url(None, Path(home))
        try:
            return asyncio.run(_demo(url, args.out, args.live))
        finally:
            if server is not None:
                server.stop()


async def _demo(database_url: str, out: Path, live: bool) -> int:
    db = await Database.open(database_url, pool_max=4)
    model = RealtimeServer(
        by_language({b.language: script(b.language) for b in BUSINESSES})
    )
    await model.start()
    try:
        ids = [(await make(db, business)).id for business in BUSINESSES]
        env = environment(await service_url(database_url), None if live else model)
        env["DATABASE_ADMIN_URL"] = database_url
        async with running_bridge(env) as bridge:
            placed = await _place_calls(bridge, model, ids)
            await _records_written(db, placed)
            orphans = await _orphans(env["ADMIN_PORT"])
        print()
        return await _conclude(db, out, placed, model.sessions, bridge, orphans)
    finally:
        await model.close()
        await db.close()


async def _place_calls(
    bridge: Bridge, model: RealtimeServer, ids: list[UUID]
) -> list[Placed]:
    """Place a call to each business, all at once, and show the timeline."""
    watcher = asyncio.ensure_future(_watch(model))
    try:
        results = await asyncio.gather(
            *(place_call(bridge.url, business) for business in BUSINESSES)
        )
    finally:
        watcher.cancel()
    return [Placed(*one) for one in zip(BUSINESSES, ids, results, strict=True)]


async def _watch(model: RealtimeServer) -> None:
    """Print what the gate forwards: # speech, . silence inside a turn."""
    seen: dict[int, int] = {}
    cells: dict[int, str] = {}
    began = asyncio.get_running_loop().time()
    while True:
        for _ in range(round(ROW_S / CELL_S)):
            await asyncio.sleep(CELL_S)
            for at, session in enumerate(model.sessions):
                heard = session.heard
                fresh = heard[seen.get(at, 0) :]
                seen[at] = len(heard)
                cell = " " if not fresh else "." if not fresh.strip(b"\xff") else "#"
                cells[at] = cells.get(at, "") + cell
        now = asyncio.get_running_loop().time() - began
        lanes = "  ".join(
            f"{model.sessions[at].language} gate |{row}|" for at, row in cells.items()
        )
        print(f"{now:5.1f} s  {lanes}", flush=True)
        cells.clear()


async def _records_written(db: Database, placed: list[Placed]) -> None:
    """Wait until both calls are in the database."""
    for _ in range(100):
        found = [await calls.recent(db, one.business_id) for one in placed]
        if all(found):
            return
        await asyncio.sleep(0.05)


async def _orphans(admin_port: str) -> str:
    url = f"http://127.0.0.1:{admin_port}/metrics"
    async with (
        aiohttp.ClientSession() as http,
        http.get(url) as answer,
    ):
        text = await answer.text()
    return next(
        (
            line.split()[-1]
            for line in text.splitlines()
            if "orphan" in line and not line.startswith("#")
        ),
        "missing",
    )


async def _conclude(
    db: Database,
    out: Path,
    placed: list[Placed],
    sessions: list[Session],
    bridge: Bridge,
    orphans: str,
) -> int:
    chapters = []
    for at, one in enumerate(placed):
        name = "" if at == 0 else f"-{one.business.language}"
        # The real model shows nothing of its sessions.
        session = next(
            (s for s in sessions if s.language == one.business.language), None
        )
        recorded = await _recorded(db, one)
        evidence = await _gather(db, one, placed, session, recorded.prompt, bridge)
        checks = check(evidence)
        checks.append(
            Check("no orphaned model session", orphans in ("0", "0.0"), orphans)
        )
        title = f"{one.business.name} ({one.business.language})"
        sound, picture = out / f"call{name}.wav", out / f"timeline{name}.png"
        one.result.save(sound)
        plot.draw(picture, f"timeline: {one.business.language}", one.result, session)
        chapters.append(
            report.Chapter(
                title=title,
                language=one.business.language,
                sound=sound,
                picture=picture,
                turns=recorded.turns,
                tools=recorded.tools,
                prompt=recorded.prompt,
                lead=evidence.lead,
                time_zone=evidence.time_zone,
                log=evidence.log,
                checks=checks,
            )
        )
        print(f"{title}")
        for line in checks:
            print(f"  {'✓' if line.ok else '✗'} {line.text}: {line.figure}")
    report.write(out / "report.html", chapters)
    print(f"\n{out}/report.html, {out}/call.wav, {out}/timeline.png")
    failed = sum(not line.ok for chapter in chapters for line in chapter.checks)
    return 1 if failed else 0


class Recorded(NamedTuple):
    """What the database says of a call."""

    turns: list[calls.Turn]
    tools: list[calls.ToolCall]
    prompt: str


async def _recorded(db: Database, one: Placed) -> Recorded:
    key = (db, one.business_id, one.result.call_sid)
    row = await calls.find(*key)
    prompt = ""
    if row is not None:
        prompt = row["prompt"].replace(CALL_FACTS, row["prompt_facts"], 1)
    return Recorded(await calls.turns(*key), await calls.tools(*key), prompt)


async def _gather(
    db: Database,
    one: Placed,
    placed: list[Placed],
    session: Session | None,
    prompt: str,
    bridge: Bridge,
) -> Evidence:
    """Collect the evidence of a call, and what it could have seen of the others."""
    business = one.business
    foreign = []
    for other in placed:
        if other is one:
            continue
        if other.business.name in prompt:
            foreign.append("the prompt names the other business")
        if await leads.find(db, one.business_id, other.business.caller):
            foreign.append("the other's lead is visible")
        rows = await calls.recent(db, one.business_id)
        if other.result.call_sid in {row["call_sid"] for row in rows}:
            foreign.append("the other's call is visible")
    return Evidence(
        language=business.language,
        time_zone=business.columns["time_zone"],
        result=one.result,
        session=session,
        log=bridge.said_of(one.result.call_sid),
        lead=await leads.find(db, one.business_id, business.caller),
        name=CALLER_NAMES[business.language],
        foreign=foreign,
    )
