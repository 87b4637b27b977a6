"""`python -m bench greeting`: from `start` to the first frame that the caller hears.

The bridge is a process of its own. Calls ring over real sockets, a few at a time. The
model confirms a session SESSION_S after `session.update`, and speaks MODEL_S after a
request. Twilio opens its stream a random time after the webhook, so that either side
can be first. Every caller talks from the first frame on. In ms:

- *heard*: from `start` sent to the greeting's first frame received;
- *ours*: the same, less the delay that a bridge of no cost would have. Such a bridge
  asks the model once the session is confirmed or the caller is there;
- *webhook*: from the ring to the TwiML;
- *session*: from the ring to `session.update` at the model.

`/metrics` reports the first of them, too: `kolbridge_greeting_seconds`.
"""

import asyncio
import random
import re
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import aiohttp
import uvloop

from bench.command_line import parser_of
from bench.distributions import report
from bench.ends import MEDIA, UPDATED, Run, Session, Stream
from bench.kernels import frames_of
from bench.load import FRAME_S, bridge_env, modelling, open_stream, prepare, running
from bench.machine import free_port
from crm.connect import open_url

SESSION_S = 0.1
MODEL_S = 0.3
PAUSES_S = (0.05, 0.8)
AT_ONCE = 4
PATIENCE_S = 10.0
SEED = 1
# The caller's number in the prompt identifies the session.
_CALLER = re.compile(rb"phone\W+1555(\d{7})")


class GreetingSession(Session):
    """The model's end of a call, with fixed delays."""

    def __init__(self, run: "GreetingRun") -> None:
        super().__init__(run)
        self._greetings = run

    def receive(self, data: bytes, at: float) -> None:
        if data.startswith(b'{"type":"session.update"'):
            found = _CALLER.search(data)
            assert found is not None, "the session does not say who calls"
            self._number = int(found[1])
            self._greetings.told_at[self._number] = at
            self._later(SESSION_S, self._confirm)
        elif data.startswith(b'{"type":"response.create"'):
            self._later(MODEL_S, lambda: self.speak(self._number))
        else:
            super().receive(data, at)

    def _confirm(self) -> None:
        self._greetings.confirmed_at[self._number] = monotonic()
        self.wire.send(UPDATED)

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(delay_s, act)


class GreetedStream(Stream):
    """A caller's end, which notes the times of `start` and of the greeting."""

    def __init__(self, run: Run, number: int, speech: list[bytes]) -> None:
        super().__init__(run, number, speech)
        self.answered_at = monotonic()
        self.started_at = 0.0
        self.greeted_at = 0.0
        self.greeted = asyncio.Event()
        self.reads_all = True

    def send(self, message: dict[str, Any]) -> None:
        if message["event"] == "start":
            self.started_at = monotonic()
        super().send(message)

    def receive(self, data: bytes, at: float) -> None:
        if not data.startswith(MEDIA):
            super().receive(data, at)
        elif not self.greeted.is_set():
            self.greeted_at = at
            self.greeted.set()


class GreetingRun(Run):
    """The measurements, by the caller's number."""

    def __init__(self, calls: int) -> None:
        super().__init__(calls)
        self.told_at: dict[int, float] = {}
        self.confirmed_at: dict[int, float] = {}

    def make_session(self) -> GreetingSession:
        return GreetingSession(self)

    def make_stream(self, number: int, speech: list[bytes]) -> GreetedStream:
        return GreetedStream(self, number, speech)


class Times(NamedTuple):
    """The times of one call, in ms."""

    heard: float
    ours: float
    webhook: float
    session: float


async def place(
    run: GreetingRun, http: aiohttp.ClientSession, url: str, number: int, pause_s: float
) -> Times:
    """Place one call, talk until the greeting comes, and hang up."""
    speech = [b64encode(frame) for frame in frames_of("human-en-reader-1")]
    rang_at = monotonic()
    stream = await open_stream(run, http, url, number, speech, pause_s)
    assert isinstance(stream, GreetedStream)
    async with asyncio.timeout(PATIENCE_S):
        while not stream.greeted.is_set():
            stream.send_frame(is_speaking=True)
            await asyncio.sleep(FRAME_S)
    stream.send({"event": "stop", "stop": {}})
    stream.wire.say_goodbye()
    earliest = max(stream.started_at, run.confirmed_at[number] + MODEL_S)
    return Times(
        (stream.greeted_at - stream.started_at) * 1e3,
        (stream.greeted_at - earliest) * 1e3,
        (stream.answered_at - rang_at) * 1e3,
        (run.told_at[number] - rang_at) * 1e3,
    )


async def place_all(run: GreetingRun, url: str, metrics_url: str) -> dict[str, Any]:
    """Place all calls; return their times, and the bridge's own mean and count."""
    luck = random.Random(SEED)
    pauses = [luck.uniform(*PAUSES_S) for _ in range(run.calls)]
    lines = asyncio.Semaphore(AT_ONCE)
    async with aiohttp.ClientSession() as http:

        async def one(number: int) -> Times:
            async with lines:
                return await place(run, http, url, number, pauses[number])

        times = await asyncio.gather(*(one(number) for number in range(run.calls)))
        own = await _own(http, metrics_url, run.calls)
    columns = zip(*times, strict=True)
    values = {
        name: [round(ms, 2) for ms in column]
        for name, column in zip(Times._fields, columns, strict=True)
    }
    return {"values": values, "metrics": own}


async def _own(http: aiohttp.ClientSession, url: str, calls: int) -> dict[str, float]:
    """Return the figures of `/metrics` once every call has ended."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with http.get(url) as answer:
                page = await answer.text()
            found = dict(
                line.rsplit(" ", 1)  # the value is the last field
                for line in page.splitlines()
                if line.startswith("kolbridge_greeting_seconds")
            )
            count = float(found["kolbridge_greeting_seconds_count"])
            if count == calls:
                total_s = float(found["kolbridge_greeting_seconds_sum"])
                return {"count": count, "mean_ms": round(total_s / count * 1e3, 2)}
            await asyncio.sleep(0.05)


async def _measure(database_url: str, calls: int) -> dict[str, Any]:
    await prepare(database_url)
    run = GreetingRun(calls)
    admin_port = str(free_port())
    env = {**await bridge_env(database_url), "ADMIN_PORT": admin_port}
    command = [sys.executable, "-m", "bridge.cli.main", "serve"]
    async with (
        modelling(run) as where,
        running(command, env | where) as (url, _),
    ):
        metrics_url = f"http://127.0.0.1:{admin_port}/metrics"
        return await place_all(run, url, metrics_url)


def measure(calls: int) -> dict[str, Any]:
    """Run all calls on a database made for them."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-greeting-") as home:
        url, database = open_url(None, Path(home))
        try:
            found: dict[str, Any] = uvloop.run(_measure(url, calls))
            return found
        finally:
            if database is not None:
                database.stop()


def main(argv: list[str]) -> int:
    """Measure, print and draw."""
    parser = parser_of("greeting", __doc__)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    parser.add_argument("--calls", type=int, default=200)
    args = parser.parse_args(argv)
    results = measure(args.calls)
    report(args.out, "greeting", results, digits=1)
    own = results["metrics"]
    print(f"/metrics: {own['count']:.0f} greetings, mean {own['mean_ms']:.1f} ms")
    return 0
