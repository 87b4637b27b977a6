"""The flight recorder: keeps the messages of calls, and writes them beside the calls.

On the audio path the recorder only appends to the ring of its call. Each second the
ring is handed to a separate thread, which writes it to the call's spool in short
slices, so that running calls find the interpreter free. After the call the spool
becomes the recording's file. Nothing waits for the recorder. Messages that its limits
drop are counted.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import time
from typing import Any

from bridge.call.plan import Action, CallPlan
from bridge.realtime import openai
from bridge.recorder.recording import SUFFIX, Header
from bridge.recorder.spool import Spool, pack_left
from bridge.telemetry.log import CallLogger, server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telephony import twilio

# What waits for the disk: about 75 messages a second pass through a busy call, half an
# hour of them.
RING_MESSAGES_MAX = 135_000
# Half an hour of both sides in mu-law, and 3 MB of words: what the model and the tools
# say in it is some 100 KB, and an event may have 4 MB.
RING_BYTES_MAX = 32_000_000
# Calls recorded at once, those being written included; others are not recorded. A call
# was measured to take 27 KB a second: while the disk does not answer, half an hour of
# twenty is 1 GB.
RECORDERS_MAX = 20
# The oldest recordings beyond these are removed.
FILES_KEPT_MAX = 1_000
# How often a call's ring is written to its spool: a killed process loses as much.
SPOOL_EVERY_S = 1.0
# The thread's pause between two slices.
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

    def cut(self) -> deque[list[Any]]:
        """Return the kept messages, oldest first, and begin another ring.

        Not while a message is taken: its answer is not there yet.
        """
        entries, self._ring = self._ring, deque()
        self._sizes.clear()
        self._bytes = 0
        return entries


class Recorders:
    """The recorders of one process, and the thread that writes their files.

    The thread first packs what killed processes have left in the folder.
    """

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
        self._spools: dict[Recorder, Spool] = {}
        # The recorders of running calls, and of those whose ring is being written.
        self._timers: dict[Recorder, asyncio.TimerHandle] = {}
        self._spooling: dict[Recorder, asyncio.Future[None]] = {}
        self._thread.submit(self._pack_left)

    def begin(self, plan: CallPlan, now: float) -> Recorder | None:
        """Return a recorder for a call that begins, unless there are too many."""
        if self._count >= RECORDERS_MAX:
            self._metrics.count("dropped", limit="recorders")
            return None
        self._count += 1
        recorder = Recorder(plan, now)
        self._set_timer(recorder)
        return recorder

    def finish(self, recorder: Recorder) -> None:
        """Queue the recording of an ended call to be written soon."""
        timer = self._timers.pop(recorder, None)
        if timer is not None:
            timer.cancel()
        loop, entries = asyncio.get_running_loop(), recorder.cut()
        writing = loop.run_in_executor(self._thread, self._write, recorder, entries)
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        writing.add_done_callback(lambda done: self._on_written(recorder, done))

    async def close(self, patience_s: float) -> None:
        """Write the waiting recordings without pauses; those left over are lost."""
        self._is_closing.set()
        for timer in self._timers.values():
            timer.cancel()
        if self._writing:
            await asyncio.wait(self._writing, timeout=patience_s)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _set_timer(self, recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        self._timers[recorder] = loop.call_later(SPOOL_EVERY_S, self._spool, recorder)

    def _spool(self, recorder: Recorder) -> None:
        """Hand a call's ring to the thread, unless the last one is still with it."""
        self._set_timer(recorder)
        if recorder in self._spooling:
            return
        loop, entries = asyncio.get_running_loop(), recorder.cut()
        if not entries:
            return
        spooling = loop.run_in_executor(self._thread, self._append, recorder, entries)
        self._spooling[recorder] = spooling
        spooling.add_done_callback(lambda _: self._spooling.pop(recorder))

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

    def _append(self, recorder: Recorder, entries: deque[list[Any]]) -> None:
        self._spool_of(recorder).append(entries, self._pause)

    def _write(self, recorder: Recorder, entries: deque[list[Any]]) -> None:
        spool = self._spool_of(recorder)
        spool.append(entries, self._pause)
        del self._spools[recorder]
        spool.finish(recorder.dropped_messages, self._pause)
        self._remove_oldest()

    def _spool_of(self, recorder: Recorder) -> Spool:
        """Return the spool of a call; nothing is on the disk before its first write."""
        if recorder not in self._spools:
            header = Header(
                plan=recorder.plan,
                opened_at=recorder.opened_at,
                began_at=recorder.began_at,
                has_audio=self._keeps_audio,
            )
            spool = Spool(self._folder, header, secrets=self._secrets)
            self._spools[recorder] = spool
        return self._spools[recorder]

    def _remove_oldest(self) -> None:
        files = sorted(self._folder.glob(f"*{SUFFIX}"), key=_age)
        for oldest in files[: max(0, len(files) - FILES_KEPT_MAX)]:
            oldest.unlink(missing_ok=True)

    def _pack_left(self) -> None:
        count = 0
        for failure in pack_left(self._folder, self._pause):
            if failure:
                server_logger().error("a recording is left behind: %s", failure)
            count += not failure
            if self._is_closing.is_set():
                break
        if count:
            self._remove_oldest()
            self._metrics.count("recordings", count, outcome="packed")
            server_logger().warning("%d recordings of killed processes written", count)

    def _pause(self) -> None:
        self._is_closing.wait(SLICE_PAUSE_S)


def _age(path: Path) -> float:
    """Return when a file was written; 0 if another process has removed it."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(what: tuple[Any, ...]) -> int:
    message = what[0] if what else None
    if type(message) is twilio.Media:
        return len(message.media.payload)
    if type(message) is openai.AudioDelta:
        return len(message.delta)
    return len(repr(message))
