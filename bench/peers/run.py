"""The cost of a call in Kolbridge and in other programs, under the same load in turn.

    python -m bench peers --calls 20 --rounds 3
    python -m bench peers --only kolbridge picows_relay

A round starts each peer, opens its calls, keeps them busy and stops it. A peer that
cannot be installed or that fails is reported in a line, and the others continue. Every
caller hears a reply half of the time and speaks the other half. Figures are medians
over the rounds.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import uvloop

from bench.command_line import parser_of
from bench.ends import Shape
from bench.load import KOLBRIDGE, bridge_env, drive, modelling, prepare, running
from bench.peers.ends import PeerRun
from bench.peers.installing import Peer, PeerUnavailable, peers
from crm.connect import open_url

HALF = Shape(hears=0.5, speaks=0.5, ahead=0)
BRIDGE = Peer(name="kolbridge", about="Kolbridge, all of it", module=KOLBRIDGE)
# The time limit for opening and closing the calls, besides the load.
OPENING_S = 60.0


async def one_round(
    peer: Peer, command: list[str], env: dict[str, str], calls: int, seconds: float
) -> dict[str, Any]:
    """Start a peer, load it and stop it; return the figures."""
    run = PeerRun(min(calls, peer.calls_max or calls))
    async with (
        modelling(run) as where,
        running(command, env | where) as (url, pid),
        asyncio.timeout(seconds + OPENING_S),
    ):
        found = await drive(run, url, seconds, pid, HALF)
    marks = found["uplink_frames"] + found["downlink_frames"] + run.lost
    if not found["uplink_frames"] or not found["downlink_frames"]:
        raise RuntimeError("it carried no audio")
    return {**found, "lost": round(run.lost / marks, 4)}


async def measure(
    env: dict[str, str],
    commands: dict[Peer, list[str]],
    calls: int,
    seconds: float,
    rounds: int,
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Run all peers in turn; return the figures, and the failures by name."""
    found: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in commands}
    failed: dict[str, str] = {}
    for number in range(1, rounds + 1):
        for peer, command in commands.items():
            if peer.name in failed:
                continue
            try:
                figures = await one_round(peer, command, env, calls, seconds)
            except Exception as error:  # anything may fail in another project's program
                failed[peer.name] = f"{type(error).__name__}: {error}".rstrip(": ")
                say(f"{peer.name}: failed, goes on without: {failed[peer.name]}")
                continue
            found[peer.name].append(figures)
            cost = figures["cpu_us_a_call_second"]
            say(f"round {number}/{rounds}: {peer.name}: {cost} µs a call-second")
    return found, failed


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians over the rounds."""
    cost = median(one["cpu_us_a_call_second"] for one in rounds)
    return {
        "calls": rounds[0]["calls"],
        "rounds": len(rounds),
        "cpu_us_a_call_second": round(cost),
        "calls_a_core": round(1e6 / cost) if cost else None,
        **{
            f"{way}_{part}_ms": round(
                median(one[f"{way}_ms"][part] for one in rounds), 2
            )
            for way in ("uplink", "downlink")
            for part in ("p50", "p99")
        },
        "rss_mb": median(one["rss_mb"] for one in rounds),
        "lost": median(one["lost"] for one in rounds),
        "load_tool_cpu": median(one["load_tool_cpu"] for one in rounds),
    }


def table(found: dict[str, dict[str, Any]]) -> list[str]:
    """Return the figures as lines of Markdown."""
    lines = [
        "| peer | calls | CPU µs a call-second | calls a core | uplink p50 / p99 "
        "ms | downlink p50 / p99 ms | RSS MB | marks lost |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, one in found.items():
        lines.append(
            f"| {name} | {one['calls']} | {one['cpu_us_a_call_second']:,} "
            f"| {one['calls_a_core'] or 0:,} "
            f"| {one['uplink_p50_ms']} / {one['uplink_p99_ms']} "
            f"| {one['downlink_p50_ms']} / {one['downlink_p99_ms']} "
            f"| {one['rss_mb']:.0f} | {one['lost']:.1%} |"
        )
    return lines


def say(line: str) -> None:
    """Print progress, apart from the table."""
    print(line, file=sys.stderr, flush=True)


def commands_of(wanted: list[Peer]) -> dict[Peer, list[str]]:
    """Make every peer's environment; report and leave out those that fail."""
    commands = {}
    for peer in wanted:
        say(f"{peer.name}: {peer.about}")
        try:
            commands[peer] = peer.command()
        except PeerUnavailable as why:
            say(f"{peer.name}: left out: {why}")
    return commands


def main(args: list[str] | None = None) -> int:
    """Print the table and write JSON; 1 if a peer could not be measured."""
    parser = parser_of("peers", __doc__)
    everyone = {peer.name: peer for peer in (BRIDGE, *peers())}
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a round (10)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(everyone), metavar="NAME")
    parser.add_argument("--json", type=Path, default=Path("bench/results/peers.json"))
    given = parser.parse_args(args)
    wanted = [everyone[name] for name in given.only or everyone]
    commands = commands_of(wanted)
    with tempfile.TemporaryDirectory(prefix="kolbridge-peers-") as home:
        url, database = open_url(None, Path(home))
        try:
            rounds, failed = uvloop.run(
                _measured(url, commands, given.calls, given.seconds, given.rounds)
            )
        finally:
            if database is not None:
                database.stop()
    found = {name: summary(some) for name, some in rounds.items() if some}
    print("\n".join(table(found)))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    results = {"peers": found, "rounds": rounds, "failed": failed}
    given.json.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    return 1 if failed or len(commands) < len(wanted) else 0


async def _measured(
    database_url: str, commands: dict[Peer, list[str]], *how: Any
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    await prepare(database_url)
    return await measure(await bridge_env(database_url), commands, *how)
