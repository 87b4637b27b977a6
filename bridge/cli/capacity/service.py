"""The service under load: `kolbridge serve` as a process of its own, on loopback.

It has the settings of the environment and of `.env`, except those that name a place
outside, those that would refuse the load, and those by which frames are delayed on
purpose.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from bridge.cli.capacity.calls import NUMBER
from bridge.cli.capacity.ends import TURN_SILENCE_FRAMES
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN
from bridge.sandbox.timeline import FRAME_MS
from bridge.settings.environment import read_dotenv
from crm import businesses
from crm.connect import service_url
from crm.database import Database

READY_S = 60.0
STOP_S = 15.0
METRICS_S = 3.0
_SIGNAL_S = 0.2
# Nobody listens there.
_NOWHERE = "http://127.0.0.1:9"
_LOADED = {
    "HOST": "127.0.0.1",
    "ADMIN_HOST": "127.0.0.1",
    "TWILIO_ACCOUNT_SID": SANDBOX_ACCOUNT_SID,
    "TWILIO_AUTH_TOKEN": SANDBOX_AUTH_TOKEN,
    "TWILIO_API_URL": _NOWHERE,
    "OPENAI_API_KEY": "sk-sandbox",
    "NO_PROXY": "127.0.0.1",
    "DB_PGBOUNCER": "0",
    # One business has all calls.
    "MAX_CALLS_PER_WORKER": "10000",
    "LIMIT_CONCURRENT_CALLS": "0",
    "LIMIT_MINUTES_PER_DAY": "0",
    "LIMIT_COST_PER_DAY": "0",
    # The calls are longer than those of callers.
    "MAX_CALL_SECONDS": "14400",
    "IDLE_PROMPT_MS": "600000",
    # The load's model ends a turn as `server_vad` does, after so long a silence.
    "TURN_DETECTION": "server_vad",
    "TURN_SILENCE_MS": str(TURN_SILENCE_FRAMES * FRAME_MS),
    # A frame of the preroll is late on purpose, and a gain would change its name.
    "AUDIO_PREROLL_MS": "0",
    "AUDIO_AGC": "0",
}
_UNSET = (
    *("PUBLIC_URL", "NODE_URL", "NODE_NAME", "ADMIN_TOKEN", "HTTPS_PROXY"),
    *("TWILIO_AUTH_TOKEN_SECONDARY", "TWILIO_SUBACCOUNTS", "TWILIO_SHARED_KEYS"),
    *("TWILIO_VALIDATE_SIGNATURES", "RECORD_DIR", "RECORD_AUDIO"),
)
Metrics = dict[str, float]


class ServiceError(RuntimeError):
    """The service does not start; the text says why."""


class Service:
    """The service while it runs."""

    def __init__(self, pid: int, url: str, metrics_url: str) -> None:
        self.url = url
        self._pid = pid
        self._metrics_url = metrics_url

    async def metrics(self) -> Metrics:
        """Return the sum of each metric over its labels, and each sample by itself.

        Raises TimeoutError if the service is too busy to answer.
        """
        timeout = aiohttp.ClientTimeout(total=METRICS_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(self._metrics_url) as answer,
        ):
            text = await answer.text()
        return samples_of(text)

    def cpu_s(self) -> float:
        """Return the CPU time of the service and of its workers."""
        return sum(map(_cpu_s, self._pids()))

    def waited_s(self) -> float:
        """Return how long their event loops waited while others had the processor."""
        return sum(map(_waited_s, self._pids()))

    def _pids(self) -> list[str]:
        workers = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text()
        return [str(self._pid), *workers.split()]


def _cpu_s(pid: str) -> float:
    """Return the user and system time of a process: proc_pid_stat(5), 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _waited_s(pid: str) -> float:
    """Return the run delay of a process's main thread: 0 if the kernel keeps none."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def samples_of(text: str) -> Metrics:
    """Return the samples of an exposition, and the sum of each name's samples."""
    found: Metrics = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            sample, _, value = line.rpartition(" ")
            found[sample] = float(value)
            name = sample.partition("{")[0]
            if name != sample:
                found[name] = found.get(name, 0.0) + float(value)
    return found


def environment(
    given: Mapping[str, str], dotenv: Path, more: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of the service; it is started where no `.env` lies."""
    in_file = read_dotenv(dotenv) if dotenv.exists() else {}
    # An empty variable counts as not set, and hides the one of the file.
    whole = in_file | {name: value for name, value in given.items() if value.strip()}
    return whole | dict.fromkeys(_UNSET, "") | _LOADED | dict(more)


@asynccontextmanager
async def serving(
    database_url: str,
    home: Path,
    env: Mapping[str, str],
    cores: frozenset[int],
    module: str,
) -> AsyncIterator[Service]:
    """Run the service on these processors until the context ends."""
    port, admin_port = free_port(), free_port()
    whole = {
        **env,
        "PORT": str(port),
        "ADMIN_PORT": str(admin_port),
        "DATABASE_URL": await service_url(database_url),
        "DATABASE_ADMIN_URL": database_url,
        "KOLBRIDGE_HOME": str(home / "home"),
    }
    log = home / "service.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, "serve"),
            env=whole,
            cwd=home,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=file,
            process_group=0,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
    try:
        url = f"http://127.0.0.1:{port}"
        await _ready(url, process, log)
        yield Service(process.pid, url, f"http://127.0.0.1:{admin_port}/metrics")
    finally:
        await _stop(process)


async def make_business(database_url: str) -> None:
    """Give the number that the callers dial to a business."""
    db = await Database.open(database_url, pool_max=1)
    try:
        business_id = await businesses.create(db, "Load")
        await businesses.add_number(db, business_id, NUMBER)
    finally:
        await db.close()


async def _ready(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until the service takes calls; raises ServiceError if it does not."""
    with suppress(TimeoutError):
        async with aiohttp.ClientSession() as http, asyncio.timeout(READY_S):
            while process.returncode is None:
                with suppress(aiohttp.ClientConnectionError):
                    async with http.get(f"{url}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)
    said = await asyncio.to_thread(log.read_text)
    raise ServiceError(f"the service does not start: {last_word(said)}")


def last_word(log: str) -> str:
    """Return the message of the last line of a log."""
    line = (log.splitlines() or ["no word"])[-1]
    try:
        said: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
    return str(said.get("message", line))


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End the service and its calls at once: that is what a second signal does."""
    for _ in range(2):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            await asyncio.sleep(_SIGNAL_S)
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
