"""The monitor of an event loop: a timer that measures how late and how busy it is.

The loop is busy while its thread works, by the thread's CPU clock. The loop is also
busy while it could work but another process has the processor, by the kernel's
accounting (`schedstat`, field 2, in ns). If a kernel keeps no such accounting, only the
work counts, and other processes show in the lag.
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
    """Reports a loop's measurements to its admission, from `start` to `stop`."""

    def __init__(self, admission: Admission, metrics: Metrics) -> None:
        self._admission = admission
        self._metrics = metrics
        self._began = self._due = 0.0
        self._work_s = self._waited_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._schedstat: int | None = None
        self._backoff = Backoff(RESTART_S_MIN, RESTART_S_MAX)

    def start(self) -> None:
        """Begin to measure the running loop; call this in the loop's thread."""
        try:
            self._schedstat = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            server_logger().info("no %s: neighbours are not seen", _SCHEDSTAT)
        self._work_s, self._waited_s = self._read()
        self._wait(monotonic(), TICK_S)

    def stop(self) -> None:
        """Stop measuring."""
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
        """Measure, and schedule the next tick, whatever fails."""
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
        """Return how long the thread worked, and waited for a processor, in s."""
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
