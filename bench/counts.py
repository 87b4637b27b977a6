"""The cost of a frame in whole numbers, which fail the build; times do not.

A frame goes into one leg of a real line, as picows delivers it, and comes out of the
other leg's transport. Counted are requests to the loop, callbacks that ran, coroutines
that ran, allocated blocks, and garbage cycles. Uplink counts are per frame of speech;
downlink counts are per frame that Twilio gets.
"""

import gc
import logging
import operator
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from functools import partial
from inspect import CO_COROUTINE
from types import FrameType, SimpleNamespace
from typing import Any, NamedTuple

import uvloop
from picows import WSMsgType
from picows.picows import _make_test_ws_frame  # type: ignore[attr-defined]

from bench import allocations, budget, results, walks
from bench.kernels import FRAME_BYTES, frames_of
from bridge.agent.tools import ToolRunner
from bridge.line import driver, fast_path
from bridge.line.driver import CallDriver, Exchange
from bridge.line.legs import TwilioLeg
from bridge.settings.process import Settings
from bridge.telemetry.log import CallLogger, server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telephony import twilio
from bridge.telephony.twiml import Sentence

WARM_FRAMES, FRAMES = 100, 200
DELTA_FRAMES = 10
FRAME_S = 0.02


class _Timer(NamedTuple):
    """A timer of the loop; it makes no reference cycle."""

    at: float
    callback: Callable[..., object]
    loop: "CountingLoop"

    def cancel(self) -> None:
        """Have the loop forget it."""
        self.loop.forget(self)


class CountingLoop(uvloop.Loop):  # type: ignore[misc]
    """A loop that counts what is asked of it, and whose timers follow `now`."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.now = 1_000.0
        # A hook around each callback; the default does nothing.
        self.around: Callable[[Callable[[], object]], object] = operator.call
        self._timers: list[_Timer] = []

    def clock(self) -> float:
        """Return the simulated time, which `pass_time` advances."""
        return self.now

    def call_soon(self, *args: Any, **kwargs: Any) -> Any:
        self.asked["callbacks"] += 1
        return super().call_soon(*args, **kwargs)

    def call_later(self, delay: float, callback: Any, *args: Any, **kwargs: Any) -> Any:
        self.asked["timers"] += 1
        at = self.now + delay
        timer = _Timer(at, partial(callback, *args), self)
        self._timers.append(timer)
        return timer

    def create_task(self, *args: Any, **kwargs: Any) -> Any:
        self.asked["tasks"] += 1
        return super().create_task(*args, **kwargs)

    def turn(self, work: Callable[[], object]) -> None:
        """Run a function inside the loop, and then the loop until nothing is ready."""
        super().call_soon(self.around, work)
        for _ in range(3):
            super().call_soon(self.stop)
            self.run_forever()

    def pass_time(self, seconds: float) -> None:
        """Advance the time; fire each timer at its time."""
        until = self.now + seconds
        while due := [timer for timer in self._timers if timer.at <= until]:
            timer = min(due, key=lambda one: one.at)
            self._timers.remove(timer)
            self.now = max(self.now, timer.at)
            self.turn(timer.callback)
        self.now = until

    def forget(self, timer: _Timer) -> None:
        """Let a timer never fire."""
        self._timers = [one for one in self._timers if one is not timer]


class Wire:
    """A transport that keeps the number of messages it was given."""

    is_close_frame_sent = False
    close_handshake = None

    def __init__(self) -> None:
        raw = SimpleNamespace(setsockopt=lambda level, name, value: None)
        self.underlying_transport = SimpleNamespace(
            get_write_buffer_size=int,
            get_extra_info={"socket": raw}.get,
            write=self.write,
        )
        self.sent = 0

    def send(self, kind: Any, data: bytearray) -> None:
        """Take one message, as picows does; its content is not kept."""
        self.sent += 1

    def send_reuse_external_bytearray(
        self, kind: Any, data: bytearray, offset: int
    ) -> None:
        """Take one message that has room for its frame header."""
        self.sent += 1

    def write(self, data: bytearray) -> None:
        """Take a burst of messages, each with a server's frame header of four bytes."""
        at = 0
        while at < len(data):
            size = data[at + 1]
            at += 2 + size if size < 126 else 4 + int.from_bytes(data[at + 2 : at + 4])
            self.sent += 1

    def send_close(self, code: Any) -> None:
        """Take a close frame."""
        self.is_close_frame_sent = True

    def disconnect(self, graceful: bool = True) -> None:
        """Take a disconnect."""


class Stage:
    """A line that talks, with both legs on transports of this module."""

    def __init__(self) -> None:
        metrics = Metrics()
        settings = Settings()
        over: list[CallDriver] = []
        exchange = Exchange(
            settings=settings, metrics=metrics, tls=None, on_over=over.append
        )
        call = walks.answered()
        log = CallLogger(call.plan.call_sid)
        tools = ToolRunner({}, deadline_ms=1, log=log, metrics=metrics)
        self.line = CallDriver(
            exchange,
            call.plan,
            tools,
            account_sid="AC" + "0" * 32,
            fallback=Sentence("Sorry.", "en"),
        )
        self.metrics = metrics
        self.caller, self.model = Wire(), Wire()
        self._leg = TwilioLeg(self)
        self.leg = fast_path.CallerListener(self._leg)
        self._leg.on_ws_connected(self.caller)
        self.line.model_leg.on_ws_connected(self.model)
        start = _make_test_ws_frame(WSMsgType.TEXT, twilio_start(), True, False)
        self.leg.on_ws_frame(None, start)
        self.line.model_leg.receive(walks.READY)

    def claim_line(self, leg: TwilioLeg, start: twilio.Start) -> CallDriver:
        """Return the only line."""
        self.line.attach(leg)
        return self.line

    def end(self) -> None:
        """Hang up; both sockets are lost."""
        self.line.receive(self.line.call.receive_hangup, "done")
        self._leg.on_ws_disconnected(self.caller)
        self.line.model_leg.on_ws_disconnected(self.model)


def twilio_start() -> bytes:
    """Return the `start` message of a stream."""
    return (
        b'{"event":"start","sequenceNumber":"1","streamSid":"MZ%s","start":{"streamSid"'
        b':"MZ%s","accountSid":"AC%s","callSid":"CA%s","tracks":["inbound"],'
        b'"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
        b'"customParameters":{}}}' % ((b"0" * 32,) * 4)
    )


def uplink_messages() -> list[bytes]:
    """Return speech as Twilio sends it."""
    speech = frames_of("human-en-reader-1")[: WARM_FRAMES + FRAMES]
    return [walks.media(frame, number) for number, frame in enumerate(speech)]


def downlink_messages() -> list[bytes]:
    """Return a reply as the model sends it."""
    delta = b64encode(b"\x60" * (DELTA_FRAMES * FRAME_BYTES))
    form = (
        b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i",'
        b'"output_index":0,"content_index":0,"delta":"%s"}'
    )
    return [form % delta] * ((WARM_FRAMES + FRAMES) // DELTA_FRAMES)


def walk(way: str) -> dict[str, float]:
    """Send the messages of one direction; return the counts after a warm-up.

    The log is off: it has a line in two seconds of voice, and none per frame.
    """
    loop, logger = CountingLoop(), server_logger()
    was, driver.monotonic = driver.monotonic, loop.clock
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        return _Walk(loop, way).run()
    finally:
        logger.setLevel(level)
        driver.monotonic = was
        loop.close()


class _Walk:
    """One direction through one line."""

    def __init__(self, loop: CountingLoop, way: str) -> None:
        self._loop = loop
        self._coroutines = 0
        loop.turn(self._open)
        if way == "uplink":
            self._leg, self._out = self._stage.leg, self._stage.model
            self._messages, self._per = uplink_messages(), 1
        else:
            self._leg, self._out = self._stage.line.model_leg, self._stage.caller
            self._messages, self._per = downlink_messages(), DELTA_FRAMES

    def run(self) -> dict[str, float]:
        """Count twice over the same call, because a profiler allocates, too."""
        warm = WARM_FRAMES // self._per
        gate, counting = self._stage.line.call.uplink.gate, self._messages[warm:]
        self._send(self._messages[:warm])
        gc.collect()
        sent, crossed = self._out.sent, gate.frames
        allocations.take()
        self._loop.around = self._allocating
        self._send(counting)
        self._loop.around = operator.call
        found = allocations.take()
        cycles = gc.collect()
        out = self._out.sent - sent
        crossings = gate.frames - crossed
        self._loop.asked.clear()
        sent = self._out.sent
        sys.setprofile(self._on_call)
        try:
            self._send(counting)
        finally:
            sys.setprofile(None)
        again = self._out.sent - sent
        asked = self._loop.asked.copy()  # before the call's end asks for more
        self._loop.turn(self._stage.end)
        return {
            "crossings": crossings / (len(counting) * self._per),
            "sent": out / (len(counting) * self._per),
            "blocks": round(found.blocks / out, 2),
            "copies": round(found.copies / out, 2),
            "cycles": cycles / out,
            "awaits": self._coroutines / again,
            "tasks": asked["tasks"] / again,
            "callbacks": asked["callbacks"] / again,
            "timers": round(asked["timers"] / again, 2),
        }

    def _open(self) -> None:
        self._stage = Stage()

    def _send(self, messages: list[bytes]) -> None:
        for message in messages:
            frame = _make_test_ws_frame(WSMsgType.TEXT, message, True, False)
            self._loop.turn(partial(self._leg.on_ws_frame, None, frame))
            self._loop.pass_time(self._per * FRAME_S)

    @staticmethod
    def _allocating(work: Callable[[], object]) -> None:
        allocations.start()
        work()
        allocations.stop()

    def _on_call(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_flags & CO_COROUTINE:
            self._coroutines += 1


def measure() -> dict[str, float]:
    """Return the counts of both directions."""
    return {
        f"{way}_{name}": value
        for way in ("uplink", "downlink")
        for name, value in walk(way).items()
    }


def main(argv: list[str]) -> int:
    """Print the counts and write JSON; 1 if a count is over its budget."""
    about = results.machine()
    found = measure()
    print("\n".join(f"{name:24}{value:8.2f} a frame" for name, value in found.items()))
    results.save("counts", found, about)
    return budget.report(budget.counts(found))
