"""The pulse of an event loop: a timer that measures how late it is called."""

import asyncio
from time import monotonic

from bridge.governor import TICK_S, Change, Governor
from bridge.log import server_logger
from bridge.metrics import Metrics


class Pulse:
    """Tells a governor of its loop's lag, from `start` to `stop`."""

    def __init__(self, governor: Governor, metrics: Metrics) -> None:
        self._governor = governor
        self._metrics = metrics
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure the running loop."""
        self._due = monotonic() + TICK_S
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        lag_s = max(0.0, monotonic() - self._due)
        self._metrics.loop_lag_s.observe(lag_s)
        change = self._governor.note(lag_s * 1e3)
        if change is not None:
            self._tell(change)
        self.start()

    def _tell(self, change: Change) -> None:
        governor, log = self._governor, server_logger()
        self._metrics.count("admission_changes", to=change.value)
        if change is Change.CLOSED:
            log.warning(
                "[ADMISSION] closed: the loop's lag p99 is %.1f ms, LAG_BUDGET_MS=%g",
                governor.lag_ms_p99,
                governor.budget_ms,
            )
        else:
            log.warning(
                "[ADMISSION] open: the loop's lag p99 is %.1f ms", governor.lag_ms_p99
            )
