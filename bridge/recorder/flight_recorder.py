"""The flight recorder: keeps the messages of calls, and writes them when calls end.

On the audio path the recorder only appends to the ring of its call. All other work runs
after the call in a separate thread, in short slices, so that running calls find the
interpreter free. Nothing waits for the recorder. Messages that its limits drop are
counted.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import time
from typing import Any

from bridge.call.plan import Action, CallPlan
from bridge.realtime import openai
from bridge.recorder.parts import file_name
from bridge.recorder.recording import SUFFIX, Header, Step, Writer
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from bridge.telephony import twilio

# About 75 messages a second pass through a busy call: half an hour, the longest call
# of the default settings.
RING_MESSAGES_MAX = 135_000
# Half an hour of both sides in mu-law, and 3 MB of words: what the model and the tools
# say in it is some 100 KB, and an event may have 4 MB.
RING_BYTES_MAX = 32_000_000
# Calls recorded at once, those being written included; others are not recorded. A call
# was measured to take 27 KB a second: half an hour of twenty is 1 GB.
RECORDERS_MAX = 20
# The oldest recordings beyond these are removed.
FILES_KEPT_MAX = 1_000
# The writer holds the interpreter for a slice and then yields it to the calls: half an
# hour is written in 15 s, with other calls' frames 3 ms later at p99.
SLICE_STEPS = 40
SLICE_PAUSE_S = 0.005


class Recorder:
    """The messages of one call; beyond a limit the oldest are dropped."""

    def __init__(self, plan: CallPlan, opened_at: float) -> None:
        self.plan = plan
        self.opened_at = opened_at
        # The same moment on the machine's clock, by which parts of a call are joined.
        self.began_at = time()
        self.dropped_messages = 0
        self._bytes = 0
        self._ring: deque[list[Any]] = deque()
        self._sizes: deque[int] = deque()

    def take(
        self, method: Callable[..., list[Action]], what: tuple[Any, ...], now: float
    ) -> list[Action]:
        """Give a message to the call and return its answer, having kept both.

        A message at which the call fails is kept without an answer.
        """
        entry = [method, what, now, None]
        size = _size(what)
        self._ring.append(entry)
        self._sizes.append(size)
        self._bytes += size
        while len(self._ring) > RING_MESSAGES_MAX or self._bytes > RING_BYTES_MAX:
            self._ring.popleft()
            self._bytes -= self._sizes.popleft()
            self.dropped_messages += 1
        actions = entry[3] = method(*what, now)
        return actions

    def drain(self) -> Iterator[list[Any]]:
        """Return the kept messages, oldest first, and remove each from the ring."""
        while self._ring:
            yield self._ring.popleft()


class Recorders:
    """The recorders of one process, and the thread that writes their files."""

    def __init__(
        self,
        folder: Path,
        metrics: Metrics,
        *,
        secrets: tuple[str, ...] = (),
        keeps_audio: bool = False,
    ) -> None:
        self._folder = folder
        self._metrics = metrics
        self._secrets = secrets
        self._keeps_audio = keeps_audio
        self._count = 0
        self._is_closing = threading.Event()
        self._thread = ThreadPoolExecutor(1, "recorder")
        self._writing: set[asyncio.Future[None]] = set()

    def begin(self, plan: CallPlan, now: float) -> Recorder | None:
        """Return a recorder for a call that begins, unless there are too many."""
        if self._count >= RECORDERS_MAX:
            self._metrics.count("dropped", limit="recorders")
            return None
        self._count += 1
        return Recorder(plan, now)

    def finish(self, recorder: Recorder) -> None:
        """Queue the recording of an ended call to be written soon."""
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._thread, self._write, recorder)
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        writing.add_done_callback(lambda done: self._on_written(recorder, done))

    async def close(self, patience_s: float) -> None:
        """Write the waiting recordings without pauses; those left over are lost."""
        self._is_closing.set()
        if self._writing:
            await asyncio.wait(self._writing, timeout=patience_s)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _on_written(self, recorder: Recorder, done: asyncio.Future[None]) -> None:
        self._count -= 1
        dropped = recorder.dropped_messages
        self._metrics.count("dropped", dropped, limit="recorder_messages")
        log = CallLogger(recorder.plan.call_sid, recorder.plan.business_id)
        error = None if done.cancelled() else done.exception()
        if done.cancelled():
            self._metrics.count("recordings", outcome="lost")
            log.error("recording not written: the process stops")
        elif error is not None:
            self._metrics.count("recordings", outcome="failed")
            log.error("recording not written: %s: %s", type(error).__name__, error)
        else:
            self._metrics.count("recordings", outcome="written")
            log.info("recording written: dropped=%d", dropped)

    # --- in the thread ---

    def _write(self, recorder: Recorder) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        header = Header(
            plan=recorder.plan,
            opened_at=recorder.opened_at,
            began_at=recorder.began_at,
            has_audio=self._keeps_audio,
            dropped=recorder.dropped_messages,
        )
        writer = Writer(header, secrets=self._secrets, keeps_audio=self._keeps_audio)
        path = self._folder / file_name(recorder.plan)
        writer.write(path, self._steps(writer, recorder))
        files = sorted(self._folder.glob(f"*{SUFFIX}"), key=_age)
        for oldest in files[: max(0, len(files) - FILES_KEPT_MAX)]:
            oldest.unlink(missing_ok=True)

    def _steps(self, writer: Writer, recorder: Recorder) -> Iterator[Step]:
        for number, entry in enumerate(recorder.drain(), 1):
            yield writer.step(*entry)
            if number % SLICE_STEPS == 0:
                self._is_closing.wait(SLICE_PAUSE_S)


def _age(path: Path) -> float:
    return path.stat().st_mtime


def _size(what: tuple[Any, ...]) -> int:
    message = what[0] if what else None
    if type(message) is twilio.Media:
        return len(message.media.payload)
    if type(message) is openai.AudioDelta:
        return len(message.delta)
    return len(repr(message))
