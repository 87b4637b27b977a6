"""The monitor of an event loop: a timer that measures how late and how busy it is.

Busy is when the loop's thread works, by its own clock, and when it could but a
neighbour has the processor, by the kernel's books (`schedstat`, field 2, in ns). Where
a kernel keeps none the work alone counts, and neighbours show in the lag.
"""

import asyncio
import os
from time import monotonic, thread_time

from bridge.switchboard.admission import TICK_S, Admission, Change, Shut
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import (
    RESTART_S_MAX,
    RESTART_S_MIN,
    Backoff,
    note_failure,
)

_SCHEDSTAT = "/proc/thread-self/schedstat"
_SCHEDSTAT_BYTES = 64


class LoopMonitor:
    """Tells a admission of its loop, from `start` to `stop`."""

    def __init__(self, admission: Admission, metrics: Metrics) -> None:
        self._admission = admission
        self._metrics = metrics
        self._began = self._due = 0.0
        self._work_s = self._waited_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._schedstat: int | None = None
        self._backoff = Backoff(RESTART_S_MIN, RESTART_S_MAX)

    def start(self) -> None:
        """Begin to measure the running loop, in whose thread this is called."""
        try:
            self._schedstat = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            server_logger().info("no %s: neighbours are not seen", _SCHEDSTAT)
        self._work_s, self._waited_s = self._read()
        self._wait(monotonic(), TICK_S)

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._schedstat is not None:
            os.close(self._schedstat)
            self._schedstat = None

    def _wait(self, now: float, pause_s: float) -> None:
        self._began, self._due = now, now + pause_s
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._tick)

    def _tick(self) -> None:
        """Measure, and have the loop call again, whatever fails."""
        now, pause_s = monotonic(), TICK_S
        try:
            self._measure(now)
            self._backoff.reset()
        except Exception as error:
            note_failure(self._metrics, "loop_monitor", error)
            pause_s = self._backoff.next_s()
        self._wait(now, pause_s)

    def _measure(self, now: float) -> None:
        work_s, all_waited_s = self._read()
        lag_s = max(0.0, now - self._due)
        self._metrics.loop_lag_s.observe(lag_s)
        waited_s = all_waited_s - self._waited_s
        busy_s = work_s - self._work_s + waited_s
        change = self._admission.note(
            now, now - self._began, busy_s, lag_s * 1e3, waited_s
        )
        self._work_s, self._waited_s = work_s, all_waited_s
        if change is not None:
            self._tell(change, now)

    def _read(self) -> tuple[float, float]:
        """Return how long the thread has worked, and waited for a processor, in s."""
        waited_ns = 0
        if self._schedstat is not None:
            fields = os.pread(self._schedstat, _SCHEDSTAT_BYTES, 0).split()
            waited_ns = int(fields[1])
        return thread_time(), waited_ns / 1e9

    def _tell(self, change: Change, now: float) -> None:
        admission, log = self._admission, server_logger()
        self._metrics.count("admission_changes", to=change.value)
        if change is Change.REOPENED:
            log.warning(
                "[ADMISSION] open: the loop is %.0f %% busy, its lag p99 is %.1f ms",
                admission.busy * 100,
                admission.lag_ms_p99,
            )
        elif admission.shut(now) is Shut.LATE:
            log.warning(
                "[ADMISSION] closed: the loop's lag p99 is %.1f ms, LAG_BUDGET_MS=%g",
                admission.lag_ms_p99,
                admission.budget_ms,
            )
        else:
            log.warning(
                "[ADMISSION] closed: the loop is %.0f %% busy, MAX_BUSY_PERCENT=%g",
                admission.busy_expected(now) * 100,
                admission.busy_max * 100,
            )
