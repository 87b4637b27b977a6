"""Frame latency of 200 calls over real sockets, compared with a bare relay in this run.

Both processes have all their calls open and are loaded in turn, two seconds each, so
that changes of the machine affect both. A latency is that of the second quietest of an
attempt's four slices: a burst of other work affects one or two slices, a slower program
affects all. An attempt passes if the p99 of both directions keeps `bench/budget.toml`.
There are three attempts; the first that passes ends them. Where it is allowed, the
three processes get real-time priority, so that other processes are not measured.

    python -m bench latency
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from bench import budget, results
from bench.capacity import RELAY, Server, one_slice
from bench.command_line import parser_of
from bench.ends import Shape
from bench.load import KOLBRIDGE, open_calls, prepare, serving
from crm.connect import open_url

CALLS = 200
SLICES = 4
ATTEMPTS = 3
FIRST = 1
HALF = Shape(hears=0.5, speaks=0.5)

Figures = dict[str, Any]


def go_first(*pids: int) -> bool:
    """Give processes real-time priority; False where that is not allowed."""
    try:
        for pid in pids:
            os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(FIRST))
    except PermissionError:
        return False
    return True


def quiet(by_slice: list[float]) -> float:
    """Return the second lowest value; the only one if it is."""
    return round(sorted(by_slice)[:2][-1], 3)


def compared(ours: list[Figures], relay: list[Figures]) -> Figures:
    """Return one attempt's figures, and their ratios to the relay's."""
    found: Figures = {"relay": {}}
    for way in ("uplink", "downlink"):
        for part in ("p50", "p99"):
            name = f"{way}_{part}_ms"
            found[name] = quiet([one[way][part] for one in ours])
            found["relay"][name] = quiet([one[way][part] for one in relay])
        theirs = found["relay"][f"{way}_p99_ms"]
        found[f"{way}_p99_ratio"] = round(found[f"{way}_p99_ms"] / theirs, 2)
    found["underruns"] = quiet([one["underruns"] for one in ours])
    pairs = list(zip(ours, relay, strict=True))
    found["cpu_us_a_call_second"] = round(median(one["cpu_us"] for one in ours))
    # The kernel counts CPU in ticks of 10 ms: a small relay may have used none.
    ratios = [a["cpu_us"] / max(b["cpu_us"], 1.0) for a, b in pairs]
    found["cpu_ratio"] = round(median(ratios), 2)
    found["load_tool_cpu"] = round(median(one["load_tool_cpu"] for one in ours), 2)
    return found


async def attempts(
    database_url: str,
    server: str,
    judge: Callable[[Figures], list[str]],
    calls: int,
    prefers: bool,
) -> Figures:
    """Measure until an attempt passes, at most ATTEMPTS times."""
    await prepare(database_url)
    async with AsyncExitStack() as stack:
        places = []
        for module in (server, RELAY):
            serve = serving(database_url, calls, server=module)
            run, url, pid = await stack.enter_async_context(serve)
            places.append(Server(module, run, await open_calls(run, url), pid))
        goes_first = prefers and go_first(os.getpid(), *(one.pid for one in places))
        tried: list[Figures] = []
        for place in places:
            await one_slice(place, HALF)
        while len(tried) < ATTEMPTS and (not tried or judge(tried[-1])):
            slices: tuple[list[Figures], list[Figures]] = ([], [])
            for _ in range(SLICES):
                for place, into in zip(places, slices, strict=True):
                    into.append(await one_slice(place, HALF))
            tried.append(compared(*slices))
        return {"calls": calls, "goes_first": goes_first, "attempts": tried}


def measure(
    server: str = KOLBRIDGE, calls: int = CALLS, prefers: bool = True
) -> Figures:
    """Run all attempts on a database made for them."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-latency-") as home:
        url, database = open_url(None, Path(home))
        try:
            return uvloop.run(attempts(url, server, budget.latency, calls, prefers))
        finally:
            if database is not None:
                database.stop()


def table(found: Figures) -> list[str]:
    """Return the attempts as lines of text."""
    lines = [
        f"{found['calls']:<4} calls{'':14}{'uplink ms':>18}{'downlink ms':>18}"
        f"{'CPU us a':>10}",
        f"{'attempt':12}{'':12}" + f"{'p50':>9}{'p99':>9}" * 2 + f"{'call-s':>10}",
    ]
    parts = ("uplink_p50", "uplink_p99", "downlink_p50", "downlink_p99")
    names = [f"{part}_ms" for part in parts]
    for number, one in enumerate(found["attempts"], 1):
        ours = "".join(f"{one[name]:9.2f}" for name in names)
        theirs = "".join(f"{one['relay'][name]:9.2f}" for name in names)
        lines += [
            f"{number:<12}{'kolbridge':12}{ours}{one['cpu_us_a_call_second']:10}",
            f"{'':12}{'relay':12}{theirs}",
            f"{'':12}{'ratio':12}{'':9}{one['uplink_p99_ratio']:9.2f}{'':9}"
            f"{one['downlink_p99_ratio']:9.2f}{one['cpu_ratio']:10.2f}",
        ]
    return lines


def main(argv: list[str] | None = None) -> int:
    """Print the attempts and write JSON; 1 if none passed."""
    parser = parser_of("latency", __doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--server", default=KOLBRIDGE, metavar="MODULE")
    parser.add_argument(
        "--beside", action="store_true", help="do not go before other processes"
    )
    args = parser.parse_args(argv)
    about = results.machine()
    found = measure(args.server, args.calls, prefers=not args.beside)
    print("\n".join(table(found)))
    broken = budget.latency(found["attempts"][-1])
    if args.server == KOLBRIDGE:
        results.save("latency", found, about)
    return budget.report(broken)
