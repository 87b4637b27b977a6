"""Bad input under load does not raise others' p99, and memory does not grow.

Callers talk. In every other phase disturbing callers join, one for each twenty. They
send rubbish, read nothing, leave sockets half open, or flood with keys or marks. For
comparison another kind behaves well and only hangs up early. A caller that is cut off
redials a second later. The frames of the other callers are timed. The phases alternate,
and their 99th percentiles are compared pair by pair.

Then many short calls are placed, and the memory that they leave in use is measured.

    python -m bench bad-input --calls 100 --rounds 8
    python -m bench bad-input --memory 10000
"""

import argparse
import asyncio
import sys
from functools import partial
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from prometheus_client.parser import text_string_to_metric_families

from bench.call_churn import CallChurn, Caller, ChurnRun
from bench.command_line import parser_of
from bench.fast.wires import BINARY
from bench.load import FRAME_S
from bench.machine import cpu_seconds, rss_mb, spread
from bench.service import ServiceHarness, run_scenario

SHARE = 0.05
P99_RATIO_MAX = 1.1
# Callers send in slots of 1 ms: smaller differences cannot be measured.
P99_MORE_MS_MIN = 1.0
FLOOD_A_TICK = 20
BRIEF_FRAMES = 5
# A client's frame carries a mask; this one changes nothing.
_NO_MASK = bytes(4)
FIRST_DISTURBING = 20_000
# A caller does not redial faster than this.
REDIAL_S = 1.0
# Between phases, so that unfinished work ends.
PAUSE_S = 0.5
SHORT_CALL_FRAMES = 10
SHORT_CALLS_AT_ONCE = 24
RSS_EVERY_CALLS = 250
# In the second half of the calls. What is kept of a call for a while is allocated by
# then, and the allocator takes a MB now and then. A kilobyte a call would be 7 %.
GROWTH_MAX = 0.05

Figures = dict[str, Any]


class Rubbish(Caller):
    """Sends several kinds of invalid messages in turn."""

    def tick(self) -> None:
        self.frames += 1
        texts = (
            b'{"event":"media"',
            b'{"event":"media","media":{"payload":"%%%"}}',
            b'{"event":"start"}',
            b"[" * 15_000,
            b'{"event":"media","media":{"payload":"' + b"/" * 20_000 + b'"}}',
            b"\xff\xfe",
        )
        if self.wire is not None and self.frames % 7 == 0:
            self.wire.send(b"\x00" * 160, BINARY)
        elif self.wire is not None:
            self.wire.send(texts[self.frames % len(texts)])


class SlowReader(Caller):
    """Talks, and reads nothing of what the bridge sends."""

    def tick(self) -> None:
        if self.wire is not None and self.frames == 0:
            self.wire.rest(True)
        super().tick()

    def hang_up(self) -> None:
        if self.wire is not None:
            self.wire.rest(False)
        super().hang_up()


class KeyFlood(Caller):
    """Presses a thousand keys a second."""

    text = b'{"event":"dtmf","sequenceNumber":"5","dtmf":{"digit":"5"}}'

    def tick(self) -> None:
        # One write, so that a flood costs the bridge more than the load generator.
        if self.wire is not None:
            head = bytes((0x81, 0x80 | len(self.text)))
            burst = (head + _NO_MASK + self.text) * FLOOD_A_TICK
            self.wire.write(burst)


class MarkFlood(KeyFlood):
    """Echoes a thousand marks a second that the bridge never sent."""

    text = b'{"event":"mark","sequenceNumber":"5","mark":{"name":"x:0:500"}}'


class Brief(Caller):
    """Behaves well, and hangs up as early as a flood is cut off.

    The difference to a flood is then not the cost of opening calls.
    """

    def tick(self) -> None:
        super().tick()
        if self.frames == BRIEF_FRAMES:
            self.hang_up()
            self.lost.set()


KINDS = {
    "rubbish": Rubbish,
    "slow_reader": SlowReader,
    "key_flood": KeyFlood,
    "mark_flood": MarkFlood,
    "brief": Brief,
}
HALF_OPEN = "half_open"
_HEADS = (
    b"GET /twilio/media HTTP/1.1\r\nHost: x\r\n",
    b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\nCallSid=",
    b"GET /twilio/media HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "
    b"Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
)


async def misbehave(
    churn: CallChurn, url: str, kind: str, number: int, enough: asyncio.Event
) -> None:
    """Send one kind of bad input until `enough` is set; redial when cut off."""
    until = asyncio.ensure_future(enough.wait())
    while not enough.is_set():
        if kind == HALF_OPEN:
            await _leave_half_open(url, _HEADS[number % len(_HEADS)], until)
            continue
        caller = await churn.join(url, churn.new_caller(KINDS[kind]))
        if caller is not None:
            lost = asyncio.ensure_future(caller.lost.wait())
            await asyncio.wait((lost, until), return_when=asyncio.FIRST_COMPLETED)
            lost.cancel()
            churn.leave(caller)
        await asyncio.wait((until,), timeout=REDIAL_S)


async def _leave_half_open(url: str, head: bytes, until: asyncio.Future[bool]) -> None:
    """Send a part of a request and nothing more, until the bridge closes."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(head)
    ended = asyncio.ensure_future(reader.read())
    await asyncio.wait((ended, until), return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    await asyncio.gather(ended, return_exceptions=True)
    writer.close()


class Phases:
    """The other callers' figures in the phases of one kind, and in the quiet ones."""

    def __init__(
        self, run: ChurnRun, pid: int, disturbing: int, seconds: float
    ) -> None:
        self._run = run
        self._disturbing = disturbing
        self._pid = pid
        self._seconds = seconds
        self.found: dict[str, list[dict[str, Figures]]] = {}

    async def pair(self, kind: str, churn: CallChurn, url: str, number: int) -> None:
        """Measure a quiet and a disturbed phase; which one is first alternates."""
        pair = {}
        disturbing = number % 2 == 0
        for is_disturbed in (disturbing, not disturbing):
            name = "disturbed" if is_disturbed else "quiet"
            enough = asyncio.Event()
            tasks = [
                asyncio.ensure_future(misbehave(churn, url, kind, at, enough))
                for at in range(self._disturbing if is_disturbed else 0)
            ]
            await asyncio.sleep(PAUSE_S)
            pair[name] = await self._measure()
            enough.set()
            await asyncio.gather(*tasks)
            await asyncio.sleep(PAUSE_S)
        self.found.setdefault(kind, []).append(pair)

    async def _measure(self) -> Figures:
        self._run.forget()
        cpu = cpu_seconds(self._pid)
        await asyncio.sleep(self._seconds)
        return {
            "uplink_ms": spread(self._run.uplink_ms),
            "downlink_ms": spread(self._run.downlink_ms),
            "cpu": (cpu_seconds(self._pid) - cpu) / self._seconds,
        }


def summary(pairs: list[dict[str, Figures]]) -> Figures:
    """Return the medians of the phases, and of the ratios of the pairs."""
    found: Figures = {}
    for way in ("uplink_ms", "downlink_ms"):
        quiet = [pair["quiet"][way]["p99"] for pair in pairs]
        disturbing = [pair["disturbed"][way]["p99"] for pair in pairs]
        ratios = [high / low for high, low in zip(disturbing, quiet, strict=True)]
        found[way] = {
            "quiet_p99": round(median(quiet), 2),
            "disturbed_p99": round(median(disturbing), 2),
            "ratio": round(median(ratios), 3),
            "ratios": [round(one, 2) for one in ratios],
        }
    for name in ("quiet", "disturbed"):
        found[f"cpu_{name}"] = round(median(pair[name]["cpu"] for pair in pairs), 3)
    return found


async def drive(
    args: argparse.Namespace, harness: ServiceHarness
) -> dict[str, Figures]:
    """Run all kinds in turn, round by round."""
    async with (
        harness.bridge() as (url, process),
        CallChurn(harness.run) as churn,
    ):
        for _ in range(args.calls):
            await churn.join(url)
        aside = ChurnRun()
        aside.by_name = harness.run.by_name
        phases = Phases(
            harness.run, process.pid, max(1, round(args.calls * SHARE)), args.seconds
        )
        async with CallChurn(aside, FIRST_DISTURBING) as disturbing:
            await asyncio.sleep(args.seconds)
            for number in range(args.rounds):
                for kind in args.kinds:
                    await phases.pair(kind, disturbing, url, number)
            figures = {kind: summary(pairs) for kind, pairs in phases.found.items()}
            lost = args.calls - sum(not one.is_lost for one in churn.callers)
        return {**figures, "churn": {"lost": lost, "disturbed": disturbing.outcomes}}


async def drive_memory(
    args: argparse.Namespace, harness: ServiceHarness
) -> dict[str, Figures]:
    """Place short calls as fast as possible; return how memory developed."""
    points: list[tuple[float, float]] = []
    async with harness.bridge() as (url, process), CallChurn(harness.run) as churn:
        numbers = iter(range(args.memory))

        async def visit() -> None:
            for number in numbers:
                if number % RSS_EVERY_CALLS == 0:
                    points.append((number, rss_mb(process.pid)))
                caller = await churn.join(url)
                if caller is not None:
                    await asyncio.sleep(SHORT_CALL_FRAMES * FRAME_S)
                    churn.leave(caller)

        await asyncio.gather(*(visit() for _ in range(SHORT_CALLS_AT_ONCE)))
        points.append((args.memory, rss_mb(process.pid)))
        refusals = await _fallbacks(harness.metrics_url)
    half = min(points, key=lambda point: abs(point[0] - args.memory / 2))[1]
    marks = {f"{calls:.0f}": mb for calls, mb in points[:: max(1, len(points) // 10)]}
    growth = points[-1][1] / half - 1
    return {
        "memory": {"rss_mb": marks, "growth": round(growth, 3), **churn.outcomes},
        "refused": refusals,
    }


async def _fallbacks(url: str) -> dict[str, float]:
    """Return how many calls got the fallback, by reason."""
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        page = await answer.text()
    return {
        sample.labels["reason"]: sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "kolbridge_fallbacks_total"
    }


def judge(found: dict[str, Figures]) -> list[str]:
    """Return a line for each figure that bad input made worse."""
    broken = []
    for kind, figures in found.items():
        for way in ("uplink_ms", "downlink_ms"):
            found_p99 = figures.get(way)
            if found_p99 is None:
                continue
            ratio = found_p99["ratio"]
            more_ms = found_p99["disturbed_p99"] - found_p99["quiet_p99"]
            if ratio > P99_RATIO_MAX and more_ms > P99_MORE_MS_MIN:
                broken.append(f"{kind}: {way} p99 x {ratio}, allowed {P99_RATIO_MAX}")
    if found.get("churn", {}).get("lost"):
        broken.append(f"churn: {found['churn']['lost']} calls were lost")
    growth = found.get("memory", {}).get("growth", 0.0)
    if growth > GROWTH_MAX:
        broken.append(f"memory: grew by {growth:.1%}, allowed {GROWTH_MAX:.0%}")
    return broken


def main(argv: list[str] | None = None) -> int:
    """Print the figures as JSON; 1 if a figure got worse."""
    parser = parser_of("bad-input", __doc__)
    kinds = [*KINDS, HALF_OPEN]
    parser.add_argument("--calls", type=int, default=100, help="that behave (100)")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a phase (3)")
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--memory", type=int, default=0, help="short calls instead")
    args = parser.parse_args(argv)
    found = run_scenario(partial(drive_memory if args.memory else drive, args))
    for name, figures in found.items():
        print(f"{name:12}{orjson.dumps(figures).decode()}")
    broken = judge(found)
    for line in broken:
        print(f"over budget: {line}", file=sys.stderr)
    return 1 if broken else 0
