"""Rolling restarts under load: no record is lost, and no call ends before its deadline.

Calls arrive at a steady rate. Some are ended by their caller, the others by the model,
and a few would last beyond any deadline. Every few seconds a new bridge is started.
Once it is ready, new calls go there and the old bridge gets SIGTERM. The outcome of
every call is compared with the records in the database.

With `--one-port` there is no load balancer: all callers ring at one port, which each
new bridge takes over from the old one. The old bridge gets no signal, so that its
calls, also the long ones, end by themselves.

    python -m bench restart --rate 5 --restarts 3
"""

import argparse
import asyncio
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import orjson

from bench.call_churn import CallChurn
from bench.command_line import parser_of
from bench.machine import free_port
from bench.service import ServiceHarness, run_scenario
from crm.database import Database

CALL_S = 6.0
DRAIN_SECONDS = 12
LONG_S = 120.0
# One call in this many lasts until the bridge ends it.
LONG_EVERY = 20
# One in this many is ended by the model; Twilio then requests `after-stream`.
ENDED_BY_MODEL_EVERY = 3
END_CALL = ("end_call", '{"reason":"goodbye"}')
# The time for the goodbye and for closing both sockets after the deadline.
FAREWELL_S = 12.0
# The time for the new bridge to start, and for the old one to serve what it accepted.
TAKE_OVER_S = 10.0

_SORRY = ("ended_with_sorry", "ended_at_deadline_with_sorry")

Figures = dict[str, Any]


class Current:
    """Where new calls go; a load balancer would know it."""

    def __init__(self) -> None:
        self.url = ""


class Visit:
    """One call from its ring to its end, and its outcome for the caller."""

    def __init__(self, churn: CallChurn, current: Current) -> None:
        self.churn = churn
        self.current = current
        self.caller = churn.new_caller()
        self.is_long = self.caller.number % LONG_EVERY == 0
        self.outcome = "open"

    async def run(self) -> None:
        """Ring at the current bridge, stay, and hang up or be cut off."""
        url = self.current.url
        if await self.churn.join(url, self.caller) is None:
            self.outcome = "not_accepted"
            return
        await self._until_lost(LONG_S if self.is_long else CALL_S)
        is_lost = self.caller.is_lost
        if is_lost or self.caller.number % ENDED_BY_MODEL_EVERY:
            self.churn.leave(self.caller)
            self.outcome = "lost" if is_lost else "left"
            if is_lost and self.is_long:
                self.outcome = await self._what_next("ended_at_deadline")
            return
        self.outcome = await self._end_by_model()

    async def _until_lost(self, patience_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self.caller.lost.wait()

    async def _end_by_model(self) -> str:
        """Have the model end the call; `after-stream` is asked of the new process."""
        caller = self.caller
        self.churn.run.by_name[caller.name].call_tool(f"end-{caller.number}", *END_CALL)
        await self._until_lost(FAREWELL_S)
        is_ended = caller.is_lost
        self.churn.leave(caller)
        if not is_ended:
            return "not_ended"
        return await self._what_next("ended")

    async def _what_next(self, outcome: str) -> str:
        answer = await self.caller.ask_what_next(self.current.url)
        return outcome if answer == "Hangup" else f"{outcome}_with_sorry"


async def drive(args: argparse.Namespace, harness: ServiceHarness) -> Figures:
    """Restart under load; return the outcomes of the calls and of their records."""
    current, visits, drains = Current(), [], []
    tasks: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as stack:
        churn = await stack.enter_async_context(CallChurn(harness.run))

        async def start() -> asyncio.subprocess.Process:
            bridge = harness.bridge(
                *(["--take-over"] if args.one_port else []),
                DRAIN_SECONDS=str(DRAIN_SECONDS),
                WORKERS=str(args.workers),
                PORT=port,
            )
            before = _made_at(socket_path)
            url, process = await stack.enter_async_context(bridge)
            # On one port the old bridge may be the one that answers `/readyz`.
            while args.one_port and _made_at(socket_path) == before:  # noqa: ASYNC110 a file
                await asyncio.sleep(0.05)
            current.url = url
            return process

        async def ring() -> None:
            while True:
                visits.append(Visit(churn, current))
                tasks.append(asyncio.ensure_future(visits[-1].run()))
                await asyncio.sleep(1 / args.rate)

        port = str(free_port()) if args.one_port else ""
        socket_path = harness.home / "service" / "doors" / f"{port}.sock"
        old = await start()
        ringing = asyncio.ensure_future(ring())
        for _ in range(args.restarts):
            await asyncio.sleep(args.every)
            new = await start()
            if not args.one_port:
                old.send_signal(signal.SIGTERM)
            drains.append(asyncio.ensure_future(_timed(old)))
            old = new
        await asyncio.sleep(args.every)
        ringing.cancel()
        if args.one_port:  # a caller's next webhook needs a bridge that listens
            await asyncio.gather(*drains)
        old.send_signal(signal.SIGTERM)
        drains.append(asyncio.ensure_future(_timed(old)))
        await asyncio.gather(*tasks)
        drained = await asyncio.gather(*drains)
    outcomes = Counter(visit.outcome for visit in visits)
    return {
        "calls": len(visits),
        **outcomes,
        "drain_s": [round(seconds, 1) for seconds, _ in drained],
        "drain_s_allowed": FAREWELL_S
        + (LONG_S + TAKE_OVER_S if args.one_port else DRAIN_SECONDS),
        "exit_codes": [code for _, code in drained],
        "records": await _records(harness, visits),
    }


def _made_at(path: Path) -> int:
    return path.stat().st_ctime_ns if path.exists() else 0


async def _timed(process: asyncio.subprocess.Process) -> tuple[float, int]:
    began = monotonic()
    code = await process.wait()
    return monotonic() - began, code


async def _records(harness: ServiceHarness, visits: list[Visit]) -> Figures:
    """Return how many calls have no record, and why the others ended."""
    database = await Database.open(harness.database_url, pool_max=1)
    async with database.tenant(harness.business_id) as connection:
        rows = await connection.fetch("select call_sid, end_reason from calls")
    await database.close()
    reasons = {row["call_sid"]: row["end_reason"] for row in rows}
    accepted = [one.caller.call_sid for one in visits if one.outcome != "not_accepted"]
    return {
        "missing": len(set(accepted) - set(reasons)),
        **Counter(reasons.values()),
    }


def judge(found: Figures) -> list[str]:
    """Return a line for everything that a restart cost."""
    broken = [
        f"{found[name]} calls: {name}"
        for name in ("not_accepted", "lost", "not_ended", "open", *_SORRY)
        if found.get(name)
    ]
    if found["records"]["missing"]:
        broken.append(f"{found['records']['missing']} records are missing")
    if any(found["exit_codes"]):
        broken.append(f"exit codes {found['exit_codes']}")
    longest, allowed = max(found["drain_s"]), found["drain_s_allowed"]
    if longest > allowed:
        broken.append(f"a drain took {longest} s, allowed {allowed:g}")
    return broken


def main(argv: list[str] | None = None) -> int:
    """Print the figures as JSON; 1 if a call or a record was lost."""
    parser = parser_of("restart", __doc__)
    parser.add_argument("--rate", type=float, default=5.0, help="calls a second (5)")
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--one-port", action="store_true", help="take over one port")
    parser.add_argument("--every", type=float, default=10.0, help="seconds (10)")
    args = parser.parse_args(argv)
    found = run_scenario(partial(drive, args))
    print(orjson.dumps(found).decode())
    broken = judge(found)
    for line in broken:
        print(f"over budget: {line}", file=sys.stderr)
    return 1 if broken else 0
