"""150 % of capacity: the admitted calls keep their p99.

A number of people call, stay for `--stay` seconds and call again. A refused caller
tries again REDIAL_S later. First they call a bridge without admission control. Their
number grows until the 99th percentile of a frame's latency exceeds P99_MS_MAX, or, on a
machine with other work, twice its first value. The number before that is the capacity.
Then they call a bridge with the default settings, alternately at the capacity and at
OVERLOAD times the capacity. The phases are compared pair by pair.

Call churn costs as much as the bridge and must not be the bottleneck. With `--spin`
each message costs the bridge so many us more, as on a slower processor. `--neighbours`
starts so many busy processes on the bridge's processor.

    python -m bench overload --spin 30
    python -m bench overload --capacity 300 --neighbours 2
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from contextlib import ExitStack
from functools import partial
from statistics import fmean, median
from typing import Any

import orjson

from bench.call_churn import CallChurn
from bench.command_line import parser_of
from bench.gate_self_test import cpu_hog
from bench.machine import apart, cpu_seconds, spread
from bench.service import ServiceHarness, run_scenario

OVERLOAD = 1.5
P99_MS_MAX = 5.0
STEP_CALLS = 20
STEP_S = 4.0
# The ratio to the first p99 that ends the search on a machine with other work.
P99_GROWTH_MAX = 2.0
# The allowed ratio of the accepted calls' p99 to that of the phases at capacity.
P99_RATIO_MAX = 1.2
# The share of the capacity that must be admitted under overload.
SHARE_MIN = 0.9
REDIAL_S = 10.0
# Newcomers a second: a phase does not include the cost of opening their calls.
RATE = 20.0
# From the last newcomer to the phase; admission uses the last second.
SETTLE_S = 3.0
LOOK_S = 0.25
SEED = 6
# No limit.
UNLIMITED = {"LAG_BUDGET_MS": "10000", "MAX_BUSY_PERCENT": "100"}
# The default settings.
LIMITED = {"LAG_BUDGET_MS": "", "MAX_BUSY_PERCENT": ""}

Figures = dict[str, Any]


class People:
    """The people who call a bridge, and the outcomes of their calls."""

    def __init__(self, churn: CallChurn, url: str, pid: int, stay_s: float) -> None:
        self._churn = churn
        self._url = url
        self._pid = pid
        self._stay_s = stay_s
        self._luck = random.Random(SEED)
        self._has_listened = False
        self._talking: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Task[None]] = set()

    async def become(self, number: int) -> None:
        """Set the number of callers; newcomers replace those who wait to redial.

        Newcomers call at a steady rate.
        """
        leaving = [*self._waiting, *list(self._talking)[number:]]
        for one in leaving:
            one.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        for _ in range(number - len(self._talking)):
            one = asyncio.ensure_future(self._live())
            self._waiting.add(one)
            one.add_done_callback(self._waiting.discard)
            one.add_done_callback(self._talking.discard)
            await asyncio.sleep(1.0 / RATE)

    async def _live(self) -> None:
        # The first calls have a random time left, as if they had begun earlier. Later
        # calls last the full time: else overload would also open more calls a second.
        is_first = not self._has_listened
        stay_s = self._stay_s * (self._luck.uniform(0.1, 1.0) if is_first else 1.0)
        me = asyncio.current_task()
        assert me is not None
        while True:
            caller = await self._churn.join(self._url)
            if caller is None:
                await asyncio.sleep(self._luck.uniform(0.5, 1.5) * REDIAL_S)
                continue
            self._waiting.discard(me)
            self._talking.add(me)
            try:
                async with asyncio.timeout(stay_s):
                    await caller.lost.wait()
            except TimeoutError:
                pass
            finally:
                self._churn.leave(caller)
                self._talking.discard(me)
            self._waiting.add(me)
            stay_s = self._stay_s

    async def listen(self, seconds: float) -> Figures:
        """Measure for some seconds."""
        self._has_listened = True
        churn, run = self._churn, self._churn.run
        run.forget()
        churn.own_lag_ms.clear()
        before, cpu, calls = Counter(churn.outcomes), cpu_seconds(self._pid), []
        for _ in range(round(seconds / LOOK_S)):
            calls.append(len(churn.callers))
            await asyncio.sleep(LOOK_S)
        return {
            "people": len(self._talking) + len(self._waiting),
            "calls": round(fmean(calls)),
            "uplink_ms": spread(run.uplink_ms),
            "downlink_ms": spread(run.downlink_ms),
            "cpu": round((cpu_seconds(self._pid) - cpu) / seconds, 2),
            "tool_lag_ms": spread(list(churn.own_lag_ms)),
            **{name: n - before[name] for name, n in churn.outcomes.items()},
        }


def worst_p99(figures: Figures) -> float:
    """Return the higher p99 of both directions."""
    return float(max(figures[way]["p99"] for way in ("uplink_ms", "downlink_ms")))


def tell(name: str, figures: Figures) -> None:
    """Print a figure as soon as it is known."""
    print(f"{name:12}{orjson.dumps(figures).decode()}", file=sys.stderr, flush=True)


async def find_capacity(people: People, args: argparse.Namespace) -> int:
    """Add callers until the p99 is over the limit; return the number before."""
    good, misses, limit = 0, 0, P99_MS_MAX
    for number in range(args.first, args.calls_max, STEP_CALLS):
        await people.become(number)
        await asyncio.sleep(SETTLE_S)
        found = await people.listen(STEP_S)
        tell("growing", found)
        if number == args.first:
            limit = max(limit, worst_p99(found) * P99_GROWTH_MAX)
        # Twice in a row, because one stall of the machine is not the bridge's limit.
        misses = misses + 1 if worst_p99(found) > limit else 0
        if misses == 0:
            good = number
        elif misses == 2:
            break
    return good


async def compare(
    people: People, number: int, capacity: int, seconds: float
) -> dict[str, Figures]:
    """Measure one phase at capacity and one above; every other pair is reversed."""
    pair = {}
    names = ("normal", "overload")
    for name in names if number % 2 == 0 else names[::-1]:
        factor = OVERLOAD if name == "overload" else 1.0
        await people.become(round(capacity * factor))
        await asyncio.sleep(SETTLE_S)
        pair[name] = await people.listen(seconds)
        tell(name, pair[name])
    return pair


async def drive(
    args: argparse.Namespace, neighbours: list[int], harness: ServiceHarness
) -> dict[str, Any]:
    """Find the capacity, then compare it with overload, pair by pair.

    Callers and bridge have a processor each; the neighbours share the bridge's.
    """
    module = "bench.slower" if args.spin else "bridge.cli.main"
    bridge = partial(harness.bridge, module=module, SPIN_US=str(args.spin))
    capacity = args.capacity
    if not capacity:
        async with (
            bridge(**UNLIMITED) as (url, process),
            CallChurn(harness.run) as churn,
        ):
            people = People(churn, url, process.pid, args.stay)
            with apart(process.pid, *neighbours):
                capacity = await find_capacity(people, args)
                await people.become(0)
        harness.run.by_name.clear()
    settings = UNLIMITED if args.unlimited else LIMITED
    async with bridge(**settings) as (url, process), CallChurn(harness.run) as churn:
        people = People(churn, url, process.pid, args.stay)
        with apart(process.pid, *neighbours):
            pairs = [
                await compare(people, number, capacity, args.seconds)
                for number in range(args.rounds)
            ]
            await people.become(0)
    return {"capacity": capacity, **summary(pairs)}


def summary(pairs: list[dict[str, Figures]]) -> Figures:
    """Return the medians of the phases, and of the ratios of the pairs."""
    found: Figures = {}
    for name in ("normal", "overload"):
        phases = [pair[name] for pair in pairs]
        found[name] = {
            "calls": median(one["calls"] for one in phases),
            "refused": median(one.get("refused", 0) for one in phases),
            "cpu": median(one["cpu"] for one in phases),
            "failed": sum(one[kind] for one in phases for kind in set(one) - _FIGURES),
        }
        for way in ("uplink_ms", "downlink_ms"):
            found[name][way] = {
                part: median(one[way][part] for one in phases)
                for part in ("p50", "p99")
            }
    for way in ("uplink_ms", "downlink_ms"):
        found[f"{way[:-3]}_ratios"] = [
            round(pair["overload"][way]["p99"] / pair["normal"][way]["p99"], 2)
            for pair in pairs
        ]
    return found


_FIGURES = {
    "people",
    "calls",
    "uplink_ms",
    "downlink_ms",
    "cpu",
    "tool_lag_ms",
    "accepted",
    "refused",
}


def judge(found: dict[str, Any]) -> list[str]:
    """Return a line for each promise that admission broke."""
    broken = []
    overload = found["overload"]
    for way in ("uplink", "downlink"):
        ratio = median(found[f"{way}_ratios"])
        if not ratio <= P99_RATIO_MAX:
            broken.append(f"{way} p99 x {ratio}, allowed {P99_RATIO_MAX}")
    if not overload["calls"] >= found["capacity"] * SHARE_MIN:
        share = overload["calls"] / found["capacity"]
        broken.append(f"{share:.0%} of the capacity let in, expected {SHARE_MIN:.0%}")
    if not overload["refused"]:
        broken.append("no call was refused")
    failed = found["normal"]["failed"] + overload["failed"]
    if failed:
        broken.append(f"{failed} calls failed otherwise")
    return broken


def main(argv: list[str] | None = None) -> int:
    """Print the figures as JSON; 1 if the accepted calls suffered."""
    parser = parser_of("overload", __doc__)
    parser.add_argument("--capacity", type=int, default=0, help="0: found by growing")
    parser.add_argument("--first", type=int, default=40, help="to begin with (40)")
    parser.add_argument("--calls-max", type=int, default=2_500)
    parser.add_argument("--stay", type=float, default=60.0, help="seconds a call (60)")
    parser.add_argument("--rounds", type=int, default=4, help="pairs of phases (4)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of a phase (15)")
    parser.add_argument("--spin", type=float, default=0.0, help="us a message (0)")
    parser.add_argument("--neighbours", type=int, default=0, help="on its processor")
    parser.add_argument("--unlimited", action="store_true", help="without a limit")
    args = parser.parse_args(argv)
    with ExitStack() as stack:
        burning = [stack.enter_context(cpu_hog()) for _ in range(args.neighbours)]
        found = run_scenario(partial(drive, args, burning))
    print(orjson.dumps(found).decode())
    broken = judge(found)
    for line in broken:
        print(f"over budget: {line}", file=sys.stderr)
    return 1 if broken else 0
