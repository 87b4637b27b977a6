"""The flight recorder: keeps the messages of calls, and writes them beside the calls.

On the audio path the recorder only appends to the ring of its call. Each second the
ring is handed to a separate thread, which writes it to the call's spool in short
slices, so that running calls find the interpreter free. After the call the spool
becomes the recording's file. If the disk does not take it, the recorder tries again.
Nothing waits for the recorder. Messages that its limits drop are counted.
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
from bridge.recorder.spool import Spool, check, forget_left, pack_left, written_at
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
# Recordings of ended calls that the disk has not taken; of the oldest beyond these only
# what is on the disk is kept.
UNWRITTEN_MAX = 20
# How often what the disk has not taken is tried again; the pause doubles up to the
# longest while it takes nothing.
RETRY_S, RETRY_S_MAX = 10.0, 640.0
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

    The thread first says if the folder cannot be written, and packs what earlier
    processes have left in it. Made where a loop runs.
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
        self._writing: set[asyncio.Future[str]] = set()
        self._spools: dict[Recorder, Spool] = {}
        # The recorders of running calls, and of those whose ring is being written.
        self._timers: dict[Recorder, asyncio.TimerHandle] = {}
        self._spooling: dict[Recorder, asyncio.Future[None]] = {}
        # Used by the thread alone, oldest first.
        self._unwritten: deque[tuple[Recorder, Spool]] = deque()
        self._retry_s = RETRY_S
        self._retry: asyncio.TimerHandle | asyncio.Future[bool]
        self._thread.submit(self._check)
        self._try_again()

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
        """Write the waiting recordings without pauses; those left over are lost.

        What the disk does not take is left to the next process. May be called again.
        """
        if self._is_closing.is_set():
            return
        self._is_closing.set()
        for timer in self._timers.values():
            timer.cancel()
        self._retry.cancel()
        loop = asyncio.get_running_loop()
        leaving = loop.run_in_executor(self._thread, self._leave_unwritten)
        waiting: set[asyncio.Future[Any]] = {*self._writing, leaving}
        await asyncio.wait(waiting, timeout=patience_s)
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

    def _try_again(self) -> None:
        """Write what the disk did not take, and what earlier processes have left."""
        loop = asyncio.get_running_loop()
        self._retry = loop.run_in_executor(self._thread, self._write_waiting)
        self._retry.add_done_callback(self._on_tried)

    def _on_tried(self, done: asyncio.Future[bool]) -> None:
        if done.cancelled() or self._is_closing.is_set():
            return
        error = done.exception()
        if error is not None:
            server_logger().error("recordings not tried again: %r", error)
        is_waiting = error is not None or done.result()
        self._retry_s = min(2 * self._retry_s, RETRY_S_MAX) if is_waiting else RETRY_S
        loop = asyncio.get_running_loop()
        self._retry = loop.call_later(self._retry_s, self._try_again)

    def _on_written(self, recorder: Recorder, done: asyncio.Future[str]) -> None:
        self._count -= 1
        dropped = recorder.dropped_messages
        self._metrics.count("dropped", dropped, limit="recorder_messages")
        log = _log_of(recorder)
        error = None if done.cancelled() else done.exception()
        if done.cancelled():
            self._metrics.count("recordings", outcome="lost")
            log.error("recording not written: the process stops")
        elif error is not None:
            self._metrics.count("recordings", outcome="failed")
            log.error("recording not written: %s: %s", type(error).__name__, error)
        elif done.result():
            self._metrics.count("recordings", outcome="waiting")
            log.error("recording waits for the disk: %s", done.result())

    # --- in the thread ---

    def _check(self) -> None:
        """Say before the first call that none can be recorded; calls go on."""
        try:
            check(self._folder)
        except OSError as error:
            where = f"RECORD_DIR={self._folder} cannot be written"
            server_logger().error("%s: %s: no call is recorded", where, error.strerror)

    def _append(self, recorder: Recorder, entries: deque[list[Any]]) -> None:
        self._spool_of(recorder).append(entries, self._pause)

    def _write(self, recorder: Recorder, entries: deque[list[Any]]) -> str:
        """Write a recording; return "", or why it waits. Raises OSError if it is
        lost."""
        spool = self._spool_of(recorder)
        spool.append(entries, self._pause)
        del self._spools[recorder]
        return self._finish(recorder, spool)

    def _finish(self, recorder: Recorder, spool: Spool) -> str:
        dropped = recorder.dropped_messages
        try:
            spool.finish(dropped, self._pause)
        except OSError as error:
            if spool.is_lost:
                raise
            self._unwritten.append((recorder, spool))
            if len(self._unwritten) > UNWRITTEN_MAX:
                self._leave(*self._unwritten.popleft())
            return f"{type(error).__name__}: {error}"
        self._metrics.count("recordings", outcome="written")
        _log_of(recorder).info("recording written: dropped=%d", dropped)
        self._remove_oldest()
        return ""

    def _write_waiting(self) -> bool:
        """Write what waits for the disk; return whether anything still waits."""
        for _ in range(len(self._unwritten)):
            self._finish_late(*self._unwritten.popleft())
        return self._pack_left() or bool(self._unwritten)

    def _leave_unwritten(self) -> None:
        """Try once more; leave to the next process what the disk does not take."""
        for _ in range(len(self._unwritten)):
            if self._finish_late(*self._unwritten.popleft()):
                self._leave(*self._unwritten.pop())

    def _finish_late(self, recorder: Recorder, spool: Spool) -> str:
        try:
            return self._finish(recorder, spool)
        except OSError as error:
            self._metrics.count("recordings", outcome="failed")
            _log_of(recorder).error("recording not written: %s", error)
            return ""

    def _leave(self, recorder: Recorder, spool: Spool) -> None:
        if spool.leave():
            self._metrics.count("recordings", outcome="left")
            _log_of(recorder).error("recording left in the folder, to be packed later")
        else:
            self._metrics.count("recordings", outcome="failed")
            _log_of(recorder).error("recording not written: the disk took none of it")

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
        files = sorted(self._folder.glob(f"*{SUFFIX}"), key=written_at)
        for oldest in files[: max(0, len(files) - FILES_KEPT_MAX)]:
            oldest.unlink(missing_ok=True)

    def _pack_left(self) -> bool:
        """Pack what dead processes have left; return whether any cannot be packed."""
        count = failed = 0
        for failure in pack_left(self._folder, self._pause):
            if failure:
                server_logger().error("a recording is left behind: %s", failure)
            failed += bool(failure)
            count += not failure
            if self._is_closing.is_set():
                break
        if count:
            self._remove_oldest()
            self._metrics.count("recordings", count, outcome="packed")
            server_logger().warning("%d recordings of earlier processes written", count)
        if forgotten := forget_left(self._folder):
            self._metrics.count("recordings", forgotten, outcome="lost")
            server_logger().error("%d recordings left behind are removed", forgotten)
        return bool(failed)

    def _pause(self) -> None:
        self._is_closing.wait(SLICE_PAUSE_S)


def _log_of(recorder: Recorder) -> CallLogger:
    return CallLogger(recorder.plan.call_sid, recorder.plan.business_id)


def _size(what: tuple[Any, ...]) -> int:
    message = what[0] if what else None
    if type(message) is twilio.Media:
        return len(message.media.payload)
    if type(message) is openai.AudioDelta:
        return len(message.delta)
    return len(repr(message))
