"""Frame latency while tools run at 100 a second, and while the database hangs.

The load of `bench.load` in three phases, in turn, over the same calls: speech alone;
speech with tools that write leads, at a total rate; and the same with every process of
PostgreSQL stopped, so that queries neither answer nor fail.

    python -m bench database --calls 50 --tools 100
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

import orjson
import uvloop

from bench.command_line import parser_of
from bench.ends import Run, Stream
from bench.load import measure, open_calls, spread, talk
from bridge.agent.crm_tools import LEADS_UPSERT
from crm.connect import open_url

Figures = dict[str, dict[str, float]]

TOOLS_A_SECOND = 100
# A quarter of a frame of 20 ms: more at the 99th percentile would be a regression.
P99_MORE_MS_MAX = 5.0
ROUNDS = 5
# A tool's deadline is 4 s: then the model has an answer, even if the database hangs.
TOOL_PATIENCE_S = 6.0
# After a hang, so that abandoned queries end.
RECOVERY_S = 2.0


async def ask_tools(run: Run, rate: float, seconds: float) -> None:
    """Have the model ask for tools, spread evenly over the calls and the time."""
    began = monotonic()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - monotonic()))
        session = run.sessions[number % len(run.sessions)]
        arguments = orjson.dumps({"name": f"Caller {number}", "city": "Haifa"}).decode()
        session.call_tool(f"t{began:.0f}-{number}", LEADS_UPSERT, arguments)


class Phase:
    """The measurements of all rounds of one phase."""

    def __init__(self) -> None:
        self._rounds: list[Figures] = []
        self._tool_ms: list[float] = []
        self._tool_errors = 0

    async def run(
        self, run: Run, streams: list[Stream], seconds: float, rate: float
    ) -> None:
        """Continue to talk, with tools or without, until the last tool is answered."""
        run.forget()
        asking = asyncio.ensure_future(ask_tools(run, rate, seconds if rate else 0.0))
        await talk(run, streams, seconds)
        await asking
        ways = {"uplink_ms": run.uplink_ms, "downlink_ms": run.downlink_ms}
        self._rounds.append({name: spread(values) for name, values in ways.items()})
        async with asyncio.timeout(TOOL_PATIENCE_S):
            while run.asked_at:  # noqa: ASYNC110 answers come over the sockets
                await asyncio.sleep(0.01)
        self._tool_ms += run.tool_ms
        self._tool_errors += run.tool_errors

    def figures(self) -> dict[str, Any]:
        """Return the median round: a stall of the machine affects one round."""
        ways = {
            way: {
                cut: round(median(one[way][cut] for one in self._rounds), 3)
                for cut in ("p50", "p99")
            }
            for way in ("uplink_ms", "downlink_ms")
        }
        return {
            **ways,
            "tools": len(self._tool_ms),
            "tool_errors": self._tool_errors,
            "tool_ms": spread(self._tool_ms),
        }


@contextmanager
def hanging(home: Path) -> Iterator[None]:
    """Stop every process of the server below `home`; continue them afterwards."""
    postmaster = int(next(home.glob("pg*/postmaster.pid")).read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
    pids = [postmaster, *map(int, children.split())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def drive(
    home: Path, args: argparse.Namespace, run: Run, url: str, pid: int
) -> dict[str, Any]:
    """Run the phases in turn, because the machine changes over time."""
    streams = await open_calls(run, url)
    phases = {name: Phase() for name in ("speech", "tools", "hanging")}
    for _ in range(args.rounds):
        await phases["speech"].run(run, streams, args.seconds, 0)
        await phases["tools"].run(run, streams, args.seconds, args.tools)
        with hanging(home):
            await phases["hanging"].run(run, streams, args.seconds, args.tools)
        await asyncio.sleep(RECOVERY_S)
    return {name: one.figures() for name, one in phases.items()}


def run_phases(args: argparse.Namespace) -> dict[str, Any]:
    """Run all phases on a database made for them."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-database-") as folder:
        home = Path(folder)
        url, server = open_url(None, home)
        try:
            driver = partial(drive, home, args)
            return uvloop.run(measure(url, args.calls, driver))
        finally:
            if server is not None:
                server.stop()


def judge(measured: dict[str, Any]) -> list[str]:
    """Return a line for each direction whose p99 grew, and for each failed tool."""
    broken = []
    for way in ("uplink_ms", "downlink_ms"):
        quiet = measured["speech"][way]["p99"]
        for name in ("tools", "hanging"):
            found = measured[name][way]["p99"]
            if found > quiet + P99_MORE_MS_MAX:
                broken.append(
                    f"{name}: {way} p99 {found:.2f}, allowed {P99_MORE_MS_MAX:g} ms "
                    f"more than {quiet:.2f}"
                )
    if measured["tools"]["tool_errors"]:
        broken.append(f"tools: {measured['tools']['tool_errors']} failed")
    if measured["hanging"]["tool_errors"] != measured["hanging"]["tools"]:
        broken.append("hanging: a tool was answered by a database that hangs")
    return broken


def main(argv: list[str] | None = None) -> int:
    """Print one run as JSON; 1 if the latency grew."""
    parser = parser_of("database", __doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=4.0, help="a phase lasts (4)")
    parser.add_argument("--tools", type=float, default=TOOLS_A_SECOND, help="a second")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args(argv)
    measured = run_phases(args)
    for name, found in measured.items():
        print(f"{name:14}{orjson.dumps(found).decode()}")
    broken = judge(measured)
    for line in broken:
        print(f"over budget: {line}", file=sys.stderr)
    return 1 if broken else 0
