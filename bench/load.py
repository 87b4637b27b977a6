"""Many calls through real sockets: frame latency p50/p99 and CPU per call-second.

The bridge is `kolbridge serve` in a process of its own; callers and model are in this
process. `--hears` and `--speaks` set how a call divides its time. The model speaks
(downlink: from a delta to its first frame at the caller), the caller speaks (uplink:
from the caller's frame to the model's append), or the line is quiet. The preroll is
off, because its frames are delayed by design. `--server MODULE` measures another
program under the same load: `bench.relays.picows_relay` only relays. `--tls` encrypts
the connection to the model, as in production.

    python -m bench.load --calls 100 --seconds 10
"""

import argparse
import asyncio
import gc
import os
import ssl
import sys
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from secrets import token_hex
from time import monotonic, process_time
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

import aiohttp
import orjson
import trustme
import uvloop

from bench.dialling import answering, dial
from bench.ends import PERIOD_STEP, QUIET, Run, Shape, Stream
from bench.fast.frames import tick
from bench.fast.ticker import Ticker
from bench.kernels import frames_of
from bench.machine import cpu_seconds, free_port, rss_mb, spread
from crm import businesses
from crm.connect import open_url, service_url
from crm.database import Database

NUMBER = "+15550100300"
ACCOUNT_SID = "AC" + "0" * 32
FRAME_S = 0.02
# A frame of 20 ms is divided into slots; the calls of a slot send together.
SLOTS = 20
KOLBRIDGE = "bridge.cli.main"
# The largest peer takes ten seconds to import on a busy machine.
READY_S = 60.0
STOP_S = 5.0


async def open_stream(
    run: Run,
    http: aiohttp.ClientSession,
    url: str,
    number: int,
    speech: list[bytes],
    pause_s: float = 0.0,
) -> Stream:
    """Place one call: webhook, stream, `start`. Twilio pauses before the stream."""
    call_sid = f"CA{token_hex(16)}"
    form = {
        "CallSid": call_sid,
        "AccountSid": ACCOUNT_SID,
        "From": f"+1555{number:07}",
        "To": NUMBER,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with http.post(
        f"{url}/twilio/voice", data=urlencode(form), headers=headers
    ) as answer:
        document = fromstring(await answer.text())
    found = document.find(".//Stream")
    assert found is not None, "the bridge refused the call"
    parameters = {one.get("name"): one.get("value") for one in found.iter("Parameter")}
    stream = run.make_stream(number, speech)
    await asyncio.sleep(pause_s)
    await dial(run.wires, stream, found.get("url") or "")
    stream.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
    start = {
        "streamSid": stream.sid,
        "accountSid": ACCOUNT_SID,
        "callSid": call_sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": parameters,
    }
    stream.send({"event": "start", "sequenceNumber": "1", "start": start})
    return stream


async def open_calls(run: Run, url: str) -> list[Stream]:
    """Place all calls; the model's sessions have the same order."""
    # With a short pause at the end: no caller speaks without one.
    speech = [b64encode(frame) for frame in frames_of("human-en-reader-1")]
    speech += [QUIET] * 25
    streams: list[Stream] = []
    async with aiohttp.ClientSession() as http:
        for number in range(run.calls):
            streams += [await open_stream(run, http, url, number, speech)]
            while len(run.sessions) <= number:  # noqa: ASYNC110 it is being opened
                await asyncio.sleep(0.001)
    # Wait until a gap after the greetings no longer counts as an underrun.
    await asyncio.sleep(1.5)
    return streams


async def talk(
    run: Run,
    streams: list[Stream],
    seconds: float,
    shape: Shape = Shape(),  # noqa: B008 (frozen)
) -> None:
    """Keep the calls busy, each frame at its time; continue where they were."""
    plan = shape.plan()
    calls = list(zip(range(run.calls), streams, run.sessions, strict=True))
    slots = [calls[at::SLOTS] for at in range(SLOTS)]
    for stream, session in zip(streams, run.sessions, strict=True):
        stream.pause()
        session.pause()
    # The objects here live until the end, and a frame leaves no garbage cycle.
    gc.collect()
    gc.freeze()
    over = asyncio.Event()
    last = round(seconds / FRAME_S) * SLOTS - 1

    def on_tick(number: int) -> None:
        tick(slots[number % SLOTS], plan.speaking, plan.due, PERIOD_STEP, shape)
        if number == last:
            ticker.stop()
            over.set()

    ticker = Ticker(on_tick, FRAME_S / SLOTS)
    try:
        await over.wait()
        for session in run.sessions:
            session.rest()
    finally:
        ticker.stop()


async def drive(
    run: Run, url: str, seconds: float, pid: int, shape: Shape
) -> dict[str, Any]:
    """Open the calls, keep them busy, and return the measurements."""
    streams = await open_calls(run, url)
    began, cpu, own = monotonic(), cpu_seconds(pid), process_time()
    await talk(run, streams, seconds, shape)
    spent, wall = cpu_seconds(pid) - cpu, monotonic() - began
    return {
        "calls": run.calls,
        "seconds": round(wall, 2),
        "speech_frames": run.sent_frames,
        "appended_frames": run.appended_frames,
        "uplink_frames": len(run.uplink_ms),
        "uplink_ms": spread(run.uplink_ms),
        "downlink_frames": len(run.downlink_ms),
        "downlink_ms": spread(run.downlink_ms),
        "underruns": run.underruns,
        # Of the calls' own time: a late load generator makes no call cheaper.
        "cpu_us_a_call_second": round(spent / seconds / run.calls * 1e6),
        "rss_mb": rss_mb(pid),
        # Above about 0.8 the load generator itself delays the frames.
        "load_tool_cpu": round((process_time() - own) / wall, 2),
    }


Driver = Callable[[Run, str, int], Awaitable[dict[str, Any]]]


async def prepare(database_url: str) -> None:
    """Give the load's phone number to a business."""
    db = await Database.open(database_url, pool_max=1)
    business_id = await businesses.create(db, "Load")
    await businesses.add_number(db, business_id, NUMBER)
    await db.close()


async def measure(
    database_url: str,
    calls: int,
    driver: Driver,
    workers: int = 1,
    server: str = KOLBRIDGE,
    tls: bool = False,
) -> dict[str, Any]:
    """Start the model and the bridge, run the load, and stop everything.

    `driver` gets the run, the bridge's URL and its process id.
    """
    await prepare(database_url)
    async with serving(database_url, calls, workers, server, tls) as served:
        return await driver(*served)


@asynccontextmanager
async def serving(
    database_url: str,
    calls: int,
    workers: int = 1,
    server: str = KOLBRIDGE,
    tls: bool = False,
    extra: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[tuple[Run, str, int]]:
    """Start a model and a bridge; yield the run, the URL and the process id.

    `server` is the module to run instead of the bridge; it reads PORT and
    OPENAI_REALTIME_URL, and has `extra` in its environment.
    """
    run = Run(calls)
    env = {**await bridge_env(database_url), "WORKERS": str(workers), **extra}
    command = [sys.executable, "-m", server, "serve"]
    with tempfile.TemporaryDirectory(prefix="kolbridge-served-") as home:
        # Records that an earlier run could not write do not belong to this run.
        env = {"KOLBRIDGE_HOME": home, **env}
        async with (
            modelling(run, tls) as where,
            running(command, env | where) as (url, pid),
        ):
            yield run, url, pid


async def bridge_env(database_url: str) -> dict[str, str]:
    """Return the settings of a bridge under load, without its port and model."""
    return {
        "DATABASE_URL": await service_url(database_url),
        "DATABASE_ADMIN_URL": database_url,
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_VALIDATE_SIGNATURES": "0",
        "MAX_CALLS_PER_WORKER": "10000",
        "LIMIT_CONCURRENT_CALLS": "0",
        "LAG_BUDGET_MS": "10000",
        "MAX_BUSY_PERCENT": "100",
        "AUDIO_PREROLL_MS": "0",
        "LOG_LEVEL": "warning",
        "LOG_TRANSCRIPTS": "0",
        "IDLE_PROMPT_MS": "600000",
    }


@asynccontextmanager
async def modelling(run: Run, tls: bool = False) -> AsyncIterator[dict[str, str]]:
    """Start the run's model; yield the environment that directs a bridge to it.

    With `tls` the model has a certificate of an authority made for this run, which the
    bridge trusts by SSL_CERT_FILE.
    """
    context, scheme = None, "ws"
    with tempfile.TemporaryDirectory(prefix="kolbridge-tls-") as home:
        authority_pem = Path(home) / "authority.pem"
        if tls:
            authority = trustme.CA()
            context, scheme = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), "wss"
            authority.issue_cert("127.0.0.1").configure_cert(context)
            authority.cert_pem.write_to_path(str(authority_pem))
        model = answering(run.wires, lambda _: run.make_session(), context)
        async with model as port:
            env = {"OPENAI_REALTIME_URL": f"{scheme}://127.0.0.1:{port}/v1/realtime"}
            yield env | ({"SSL_CERT_FILE": str(authority_pem)} if tls else {})


@asynccontextmanager
async def running(
    command: list[str], env: dict[str, str]
) -> AsyncIterator[tuple[str, int]]:
    """Start a server; yield its URL and its process id."""
    port = str(free_port())
    bridge = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, "ADMIN_PORT": "0", **env, "PORT": port},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await ready(url, bridge)
        yield url, bridge.pid
    finally:
        for _ in range(2):  # the second signal ends calls at once
            with suppress(ProcessLookupError):
                bridge.terminate()
        try:
            await asyncio.wait_for(bridge.wait(), STOP_S)
        except TimeoutError:  # some peers wait until their callers hang up
            bridge.kill()
            await bridge.wait()


async def ready(url: str, server: asyncio.subprocess.Process | None = None) -> None:
    """Wait until the bridge answers; raises RuntimeError if it does not."""
    until = monotonic() + READY_S
    async with aiohttp.ClientSession() as http:
        while monotonic() < until:
            if server is not None and server.returncode is not None:
                raise RuntimeError(f"the bridge ended with {server.returncode}")
            try:
                async with http.get(f"{url}/healthz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
    raise RuntimeError("the bridge did not start")


def main() -> int:
    """Print one run as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--hears", type=float, default=0.5, metavar="PART")
    parser.add_argument("--speaks", type=float, default=0.5, metavar="PART")
    parser.add_argument("--server", default=KOLBRIDGE, metavar="MODULE")
    parser.add_argument("--tls", action="store_true", help="towards the model")
    args = parser.parse_args()
    shape = Shape(args.hears, args.speaks)
    found = run_load(
        args.calls, args.seconds, args.workers, shape, args.server, args.tls
    )
    print(orjson.dumps(found).decode())
    return 0


def run_load(
    calls: int,
    seconds: float,
    workers: int = 1,
    shape: Shape = Shape(),  # noqa: B008 (frozen)
    server: str = KOLBRIDGE,
    tls: bool = False,
) -> dict[str, Any]:
    """Run the load on a database made for it."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-load-") as home:
        url, database = open_url(None, Path(home))
        try:

            async def driver(run: Run, base: str, pid: int) -> dict[str, Any]:
                return await drive(run, base, seconds, pid, shape)

            return uvloop.run(measure(url, calls, driver, workers, server, tls))
        finally:
            if database is not None:
                database.stop()


if __name__ == "__main__":
    sys.exit(main())
