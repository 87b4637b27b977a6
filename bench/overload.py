"""Half as many calls again as the bridge can carry: those it accepts keep their p99.

Calls ring at a steady rate and stay. First with the governor switched off, until the
99th percentile of a frame's way passes P99_MS_MAX, or on a machine with other work
twice what it was for the first calls: what stood before that is the capacity. The crowd
then grows to OVERLOAD times that, and what becomes of it is measured. Then as many ring
at a bridge whose governor is on.

With `--neighbours` so many processes that never rest share the bridge's processor, so
that it is at its end before the crowd is.

    python -m bench overload --rate 20
"""

import argparse
import asyncio
import os
import sys
from contextlib import ExitStack
from functools import partial
from time import monotonic
from typing import Any

import orjson

from bench.bite import burner
from bench.crowd import Crowd
from bench.house import House, run_scenario
from bench.machine import cpu_seconds, spread

OVERLOAD = 1.5
P99_MS_MAX = 5.0
STEP_S = 2.0
# What the accepted may have more, of the p99 at capacity: the run's own noise.
P99_GROWTH_MAX = 2.0

Figures = dict[str, Any]


class Party:
    """A crowd before one bridge, and its figures.

    Each has a processor of its own, where the machine has two; the neighbours share the
    bridge's.
    """

    def __init__(self, crowd: Crowd, url: str, pid: int, neighbours: list[int]) -> None:
        cores = sorted(os.sched_getaffinity(pid))
        for one in (pid, *neighbours):
            os.sched_setaffinity(one, cores[-1:])
        os.sched_setaffinity(0, cores[:1])
        self.crowd = crowd
        self._url = url
        self._pid = pid

    async def grow(self, calls: int, rate: float) -> None:
        """Have calls ring, each at its time, whatever becomes of those before."""
        began = monotonic()
        ringing = []
        for number in range(calls):
            await asyncio.sleep(max(0.0, began + number / rate - monotonic()))
            ringing.append(asyncio.ensure_future(self.crowd.join(self._url)))
        await asyncio.gather(*ringing)

    async def listen(self, seconds: float) -> Figures:
        """Measure for a while."""
        run = self.crowd.run
        run.forget()
        self.crowd.own_lag_ms.clear()
        began, cpu = monotonic(), cpu_seconds(self._pid)
        await asyncio.sleep(seconds)
        wall = monotonic() - began
        return {
            "calls": len(self.crowd.callers),
            "uplink_ms": spread(run.uplink_ms),
            "downlink_ms": spread(run.downlink_ms),
            "cpu": round((cpu_seconds(self._pid) - cpu) / wall, 2),
            "tool_lag_ms": spread(list(self.crowd.own_lag_ms)),
        }


def worst_p99(figures: Figures) -> float:
    """Return the worse of both ways."""
    return float(max(figures[way]["p99"] for way in ("uplink_ms", "downlink_ms")))


async def find_capacity(party: Party, rate: float, calls_max: int) -> Figures:
    """Grow until the p99 is over the limit; return the last figures that were not."""
    step = round(rate * STEP_S)
    good: Figures = {}
    misses, limit = 0, P99_MS_MAX
    while len(party.crowd.callers) < calls_max:
        await party.grow(step, rate)
        found = await party.listen(STEP_S)
        # Twice in a row: a stall of the machine is not the end of the bridge.
        print(f"growing     {orjson.dumps(found).decode()}", file=sys.stderr)
        if not good:
            limit = max(limit, worst_p99(found) * P99_GROWTH_MAX)
        misses = misses + 1 if worst_p99(found) > limit else 0
        if misses == 0:
            good = found
        elif misses == 2:
            break
    return good


async def drive(
    args: argparse.Namespace, neighbours: list[int], house: House
) -> dict[str, Figures]:
    """Overload a bridge that takes everything, then one that is governed."""
    found: dict[str, Figures] = {}
    offered = round(args.capacity * OVERLOAD)
    cores = os.sched_getaffinity(0)
    async with house.bridge() as (url, process), Crowd(house.run) as crowd:
        party = Party(crowd, url, process.pid, neighbours)
        if not args.capacity:
            found["capacity"] = await find_capacity(party, args.rate, args.calls_max)
            offered = round(found["capacity"]["calls"] * OVERLOAD)
        else:
            await party.grow(args.capacity, args.rate)
            found["capacity"] = await party.listen(args.seconds)
        await party.grow(max(0, offered - len(crowd.callers)), args.rate)
        found["ungoverned"] = await party.listen(args.seconds)
    house.run.by_name.clear()
    os.sched_setaffinity(0, cores)
    governed = house.bridge(LAG_BUDGET_MS=str(args.budget))
    async with governed as (url, process), Crowd(house.run) as crowd:
        party = Party(crowd, url, process.pid, neighbours)
        await party.grow(offered, args.rate)
        figures = await party.listen(args.seconds)
        found["governed"] = {**figures, **crowd.outcomes}
    return {"offered": {"calls": offered}, **found}


def judge(found: dict[str, Figures]) -> list[str]:
    """Return a line for what the governor did not keep."""
    broken = []
    allowed = max(P99_MS_MAX, worst_p99(found["capacity"]) * P99_GROWTH_MAX)
    p99 = worst_p99(found["governed"])
    if not p99 <= allowed:
        broken.append(f"governed: p99 {p99:.2f} ms, allowed {allowed:.2f}")
    if not found["governed"].get("refused"):
        broken.append("governed: no call was refused")
    lost = set(found["governed"]) - _FIGURES
    if lost:
        broken.append(f"governed: calls failed otherwise: {sorted(lost)}")
    return broken


_FIGURES = {
    "calls",
    "uplink_ms",
    "downlink_ms",
    "cpu",
    "tool_lag_ms",
    "accepted",
    "refused",
}


def main(argv: list[str] | None = None) -> int:
    """Print the figures as JSON; 1 if the accepted calls were hurt."""
    parser = argparse.ArgumentParser(
        prog="python -m bench overload", description=__doc__
    )
    parser.add_argument("--capacity", type=int, default=0, help="0: found by growing")
    parser.add_argument("--calls-max", type=int, default=2_500)
    parser.add_argument("--rate", type=float, default=20.0, help="calls a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured")
    parser.add_argument("--budget", type=int, default=20, help="LAG_BUDGET_MS")
    parser.add_argument("--neighbours", type=int, default=0, help="on its processor")
    args = parser.parse_args(argv)
    with ExitStack() as stack:
        burning = [stack.enter_context(burner()) for _ in range(args.neighbours)]
        found = run_scenario(partial(drive, args, burning))
    for name, figures in found.items():
        print(f"{name:12}{orjson.dumps(figures).decode()}")
    broken = judge(found)
    for line in broken:
        print(f"over budget: {line}", file=sys.stderr)
    return 1 if broken else 0
