"""One process of the load: it obeys orders on stdin, one JSON object a line.

Each order is answered by one line on stdout. The process ends with its stdin, so that
it never outlives the command that started it.
"""

import asyncio
import gc
import sys
from time import monotonic, process_time
from typing import Any

import msgspec
import picows
import uvloop

from bridge.cli.capacity.calls import CallError, Calls
from bridge.cli.capacity.ends import FRAME_S

# The model's session of a call that was ended is closed after this, at the latest.
SESSION_ENDS_S = 3.0
RETRY_S = 1.0
_LINE_BYTES_MAX = 1 << 20


class Order(msgspec.Struct, frozen=True):
    """What to do: `calls`, `measure`, `report`, or nothing but to answer."""

    do: str
    calls: int = 0
    a_second: float = 10.0
    patience_s: float = 0.0


class Report(msgspec.Struct, frozen=True):
    """What one process has seen.

    `refused` answers `calls`. What precedes `sent_frames` answers `report`, and is of
    the step. The rest is of all time, in each answer.
    """

    calls: int = 0
    refused: str = ""
    gaps: int = 0
    uplink_ms: list[float] = []
    downlink_ms: list[float] = []
    lags_ms: list[float] = []
    frames_due: float = 0.0
    frames_sent: int = 0
    busy: float = 0.0
    sent_frames: int = 0
    said_frames: int = 0
    heard_frames: int = 0
    lost_calls: int = 0


class LoadProcess:
    """The load of this process, and its measurements since `measure`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._measured_at = monotonic()
        self._cpu_s = process_time()
        self._sent_frames = 0

    async def obey(self, order: Order) -> Report:
        """Do what is asked; return what is to be answered."""
        report = Report()
        if order.do == "calls":
            report = Report(refused=await self._become(order))
        elif order.do == "measure":
            self._measure()
        elif order.do == "report":
            report = self._report()
        return self._counted(report)

    def _counted(self, report: Report) -> Report:
        tally = self._calls.tally
        return msgspec.structs.replace(
            report,
            calls=len(self._calls),
            sent_frames=tally.sent_frames,
            said_frames=tally.said_frames,
            heard_frames=tally.heard_frames,
            lost_calls=tally.lost_calls,
        )

    async def _become(self, order: Order) -> str:
        """Place or end calls until there are so many, or one is refused for too long.

        Return why it is refused, or nothing.
        """
        patience_until = monotonic() + order.patience_s
        if len(self._calls) > order.calls:
            while len(self._calls) > order.calls:
                await self._calls.hang_up()
            await asyncio.sleep(SESSION_ENDS_S)
        self._calls.begin()
        while len(self._calls) < order.calls:
            try:
                await self._calls.place()
                await asyncio.sleep(1 / order.a_second)
            except CallError as error:
                if monotonic() >= patience_until:
                    return str(error)
                await asyncio.sleep(RETRY_S)
        return ""

    def _measure(self) -> None:
        gc.collect()
        gc.freeze()
        self._calls.tally.forget()
        self._calls.lags_ms.clear()
        self._measured_at, self._cpu_s = monotonic(), process_time()
        self._sent_frames = self._calls.tally.sent_frames

    def _report(self) -> Report:
        """Return the measurements; the load pauses until the next `calls`."""
        calls, tally = self._calls, self._calls.tally
        calls.pause()
        passed_s = monotonic() - self._measured_at
        return Report(
            gaps=tally.gaps,
            uplink_ms=tally.uplink_ms,
            downlink_ms=tally.downlink_ms,
            lags_ms=calls.lags_ms,
            frames_due=passed_s / FRAME_S * len(calls),
            frames_sent=tally.sent_frames - self._sent_frames,
            busy=(process_time() - self._cpu_s) / passed_s,
        )


async def run(url: str, model_port: int, number: int) -> None:
    """Be the load process `number` of a bridge at `url`."""
    calls = Calls(url, number * 100_000)
    model = await picows.ws_create_server(
        calls.session, "127.0.0.1", model_port, reuse_port=True
    )
    process = LoadProcess(calls)
    calls.begin()
    _answer(Report())
    orders = await _stdin()
    while line := await orders.readline():
        _answer(await process.obey(msgspec.json.decode(line, type=Order)))
    model.close()
    await calls.close()


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(_LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


def _answer(report: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
