"""All load processes together: orders go to each, and their reports are joined."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import msgspec

from bridge.cli.capacity.load_process import Order, Report

_MODULE = "bridge.cli.capacity.load_process"
_STOP_S = 5.0
# A report holds the latency of every named frame.
_LINE_BYTES_MAX = 1 << 26


class LoadError(RuntimeError):
    """A load process does not answer; the text says what it wrote."""


class Load:
    """The load processes, which share the calls evenly."""

    def __init__(self, processes: Sequence[asyncio.subprocess.Process]) -> None:
        self._processes = processes

    async def become(self, calls: int, a_second: float, patience_s: float) -> Report:
        """Place or end calls until there are so many; a refusal ends it."""
        whole, more = divmod(calls, len(self._processes))
        rate = a_second / len(self._processes)
        return joined(
            await asyncio.gather(
                *(
                    self._ask(at, Order("calls", whole + (at < more), rate, patience_s))
                    for at in range(len(self._processes))
                )
            )
        )

    async def all_do(self, what: str) -> Report:
        """Give all processes one order; return their joined reports."""
        places = range(len(self._processes))
        return joined(
            await asyncio.gather(*(self._ask(at, Order(what)) for at in places))
        )

    async def _ask(self, at: int, order: Order) -> Report:
        process = self._processes[at]
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        return await _answer_of(process)


def joined(reports: Sequence[Report]) -> Report:
    """Return what all processes together have seen; `busy` is that of the busiest."""
    return Report(
        calls=sum(one.calls for one in reports),
        gaps=sum(one.gaps for one in reports),
        refused=next((one.refused for one in reports if one.refused), ""),
        uplink_ms=_all(one.uplink_ms for one in reports),
        downlink_ms=_all(one.downlink_ms for one in reports),
        lags_ms=_all(one.lags_ms for one in reports),
        frames_due=sum(one.frames_due for one in reports),
        frames_sent=sum(one.frames_sent for one in reports),
        busy=max(one.busy for one in reports),
        sent_frames=sum(one.sent_frames for one in reports),
        said_frames=sum(one.said_frames for one in reports),
        heard_frames=sum(one.heard_frames for one in reports),
        lost_calls=sum(one.lost_calls for one in reports),
    )


def _all(parts: Iterable[list[float]]) -> list[float]:
    return [one for part in parts for one in part]


@asynccontextmanager
async def loading(
    url: str, model_port: int, cores: Sequence[int]
) -> AsyncIterator[Load]:
    """Run one load process on each of these processors; they end with the context."""
    processes: list[asyncio.subprocess.Process] = []
    try:
        for number, core in enumerate(cores):
            processes.append(await _started(url, model_port, number, core))
        for process in processes:
            await _answer_of(process)
        yield Load(processes)
    finally:
        await asyncio.gather(*map(_stopped, processes))


async def _started(
    url: str, model_port: int, number: int, core: int
) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", _MODULE, url, str(model_port), str(number)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES_MAX,
        # Ctrl-C is for the command, which then stops all of its processes.
        process_group=0,
    )
    os.sched_setaffinity(process.pid, {core})
    return process


async def _answer_of(process: asyncio.subprocess.Process) -> Report:
    assert process.stdout is not None and process.stderr is not None
    line = await process.stdout.readline()
    if not line:
        said = (await process.stderr.read()).decode(errors="replace").splitlines()
        raise LoadError(f"a load process ended: {said[-1] if said else 'no word'}")
    return msgspec.json.decode(line, type=Report)


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()
