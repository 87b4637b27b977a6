"""The cost of a call, compared with a bare relay that is loaded in turn.

The processes are started together, and each has all its calls open. The load alternates
between them, slice by slice, so that changes of the machine affect all alike. Figures
are medians over the slices; ratios are taken slice by slice. Callers and model have one
processor, the process under load has another.

- `full`: every caller speaks without a pause and every frame is forwarded;
- `half`: every caller hears a reply half of the time and speaks the other half;
- `usual`: the caller hears a reply for 50 % of the time and speaks for 40 %;
- `ahead`: the same, with a model two seconds ahead of the caller.

    python -m bench capacity --calls 200 --rounds 8
    python -m bench capacity --server bridge.cli.main+tls bridge.cli.main
    python -m bench capacity --server bridge.cli.main+huge bridge.cli.main
    python -m bench capacity --calls 100 --server bridge.cli.main+2 bridge.cli.main
    python -m bench capacity --server bridge.cli.main bridge.cli.main+unsaved
"""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, NamedTuple

import orjson
import uvloop

from bench.command_line import parser_of
from bench.ends import Run, Shape, Stream
from bench.load import FRAME_S, KOLBRIDGE, open_calls, prepare, serving, talk
from bench.machine import apart, cpu_seconds, rss_mb, spread
from crm.connect import open_url

RELAY = "bench.relays.picows_relay"
TLS = "tls"
# What a mark after a module's name puts into its environment.
MARKS = {
    "huge": {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
    "unsaved": {"RESUME": "off"},
}
SHAPES = {
    "full": Shape(hears=0.0, speaks=1.0),
    "half": Shape(hears=0.5, speaks=0.5),
    "usual": Shape(hears=0.5, speaks=0.4),
    "ahead": Shape(hears=0.5, speaks=0.4, ahead=100),
}
SLICE_S = 2.0


class Server(NamedTuple):
    """One process under load."""

    module: str
    run: Run
    streams: list[Stream]
    pid: int


async def one_slice(server: Server, shape: Shape) -> dict[str, Any]:
    """Load one process for SLICE_S; return its cost and its latencies."""
    run = server.run
    run.forget()
    cpu, own = cpu_seconds(server.pid), process_time()
    await talk(run, server.streams, SLICE_S, shape)
    own = process_time() - own
    await asyncio.sleep(0.1)
    spent = cpu_seconds(server.pid) - cpu
    return {
        "cpu_us": spent / SLICE_S / run.calls * 1e6,
        "uplink": spread(run.uplink_ms),
        "downlink": spread(run.downlink_ms),
        "underruns": run.underruns,
        "forwarded": run.appended_frames / (SLICE_S / FRAME_S) / run.calls,
        "load_tool_cpu": own / SLICE_S,
    }


async def compare(
    database_url: str, modules: list[str], calls: int, rounds: int, shapes: list[str]
) -> dict[str, Any]:
    """Run all shapes over all modules in turn; return the figures by shape, module.

    `+tls` after a module gives it a model that is reached through TLS. `+huge` puts its
    memory in huge pages; `+unsaved` keeps no checkpoints, and leaves calls of other
    nodes alone. A number sets its workers, and multiplies the calls.
    """
    await prepare(database_url)
    async with AsyncExitStack() as stack:
        servers = []
        for module in modules:
            name, *marks = module.split("+")
            workers = next((int(mark) for mark in marks if mark.isdigit()), 1)
            ours = calls * workers
            env = environment_of(marks)
            serve = serving(database_url, ours, workers, name, TLS in marks, env)
            run, url, pid = await stack.enter_async_context(serve)
            empty_mb = rss_mb(pid)
            servers.append(Server(module, run, await open_calls(run, url), pid))
            kib = (rss_mb(pid) - empty_mb) * 1e6 / 1024 / ours
            print(f"{module}: {ours} calls, {kib:.0f} KiB each", file=sys.stderr)
        if all(one.run.calls == calls for one in servers):  # one worker each
            stack.enter_context(apart(*(one.pid for one in servers)))
        found: dict[str, Any] = {}
        for shape in shapes:
            slices: dict[str, list[dict[str, Any]]] = {one: [] for one in modules}
            for number in range(rounds + 1):
                for server in servers:
                    figures = await one_slice(server, SHAPES[shape])
                    if number:  # the first slice is a warm-up
                        slices[server.module].append(figures)
                print(f"{shape}: {number}/{rounds}", file=sys.stderr, end="\r")
            found[shape] = {one: summary(slices[one]) for one in modules}
            for one in modules:
                ratios = [
                    ours["cpu_us"] / max(theirs["cpu_us"], 1e-9)
                    for ours, theirs in zip(
                        slices[one], slices[modules[-1]], strict=True
                    )
                ]
                found[shape][one]["ratio"] = round(median(ratios), 2)
        return found


def environment_of(marks: list[str]) -> dict[str, str]:
    """Return what the marks put into the environment; SystemExit for an unknown one."""
    env: dict[str, str] = {}
    for mark in marks:
        if mark not in MARKS and mark != TLS and not mark.isdigit():
            raise SystemExit(
                f"expected {TLS}, {', '.join(MARKS)} or a number after +, got {mark!r}"
            )
        env |= MARKS.get(mark, {})
    return env


def summary(slices: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians over the slices."""
    return {
        "underruns": sum(one["underruns"] for one in slices),
        "cpu_us_a_call_second": round(median(one["cpu_us"] for one in slices)),
        "calls_a_core": round(1e6 / median(one["cpu_us"] for one in slices)),
        "forwarded": round(median(one["forwarded"] for one in slices), 2),
        "load_tool_cpu": round(median(one["load_tool_cpu"] for one in slices), 2),
        **{
            f"{way}_{part}_ms": round(median(one[way][part] for one in slices), 2)
            for way in ("uplink", "downlink")
            for part in ("p50", "p99")
        },
    }


def table(found: dict[str, Any]) -> list[str]:
    """Return the figures as lines of text."""
    lines = [
        f"{'':8}{'':28}{'CPU µs a':>10}{'to the':>8}{'uplink ms':>16}"
        f"{'downlink ms':>16}{'frames':>9}{'under':>7}{'tool':>6}",
        f"{'shape':8}{'process':28}{'call-s':>10}{'last':>8}{'p50':>8}{'p99':>8}"
        f"{'p50':>8}{'p99':>8}{'given':>9}{'runs':>7}{'CPU':>6}",
    ]
    for shape, by_module in found.items():
        for module, one in by_module.items():
            lines.append(
                f"{shape:8}{module:28}{one['cpu_us_a_call_second']:10}"
                f"{one['ratio']:8.2f}{one['uplink_p50_ms']:8.2f}"
                f"{one['uplink_p99_ms']:8.2f}{one['downlink_p50_ms']:8.2f}"
                f"{one['downlink_p99_ms']:8.2f}{one['forwarded']:9.2f}"
                f"{one['underruns']:7}{one['load_tool_cpu']:6.2f}"
            )
    return lines


def main(args: list[str]) -> int:
    """Print the table; write JSON if asked."""
    parser = parser_of("capacity", __doc__)
    parser.add_argument("--calls", type=int, default=200, help="a worker (200)")
    parser.add_argument("--rounds", type=int, default=8, help="slices of 2 s (8)")
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=[*SHAPES])
    parser.add_argument(
        "--server",
        nargs="+",
        default=[KOLBRIDGE, RELAY],
        metavar="MODULE",
        help="what to load; ratios are to the last one",
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(args)
    with tempfile.TemporaryDirectory(prefix="kolbridge-load-") as home:
        url, database = open_url(None, Path(home))
        try:
            found = uvloop.run(
                compare(url, given.server, given.calls, given.rounds, given.shapes)
            )
        finally:
            if database is not None:
                database.stop()
    print("\n".join(table(found)))
    if given.json is not None:
        given.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    return 0
