"""Health: samples of this process each minute, and the checks of its node.

The checks run an hour after each other, on the first worker, and when somebody asks.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.service.doctor_run import Line, run_doctor
from bridge.settings.process import Settings
from bridge.switchboard.dispatch import Switchboard
from bridge.telemetry.log import server_logger
from bridge.telemetry.supervised import SupervisedTask
from crm import health
from crm.database import Database
from crm.health import Sample
from crm.transient import DATABASE_ERRORS

LOOKS_A_MINUTE = 6
LOOK_S = 10.0
# The first calls after a start come before the first checks.
FIRST_CHECK_S = 120.0


class Health:
    """Samples and checks of one process, from `on_startup` to `on_cleanup`."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        switchboard: Switchboard,
        node: str,
        worker: int,
        run: Callable[[], Awaitable[list[Line]]] | None = None,
    ) -> None:
        self._every_s = settings.health_check_minutes * 60.0
        self._database = database
        self._switchboard = switchboard
        self._node = node
        self._worker = worker
        self._run = run or run_doctor
        self._asked = asyncio.Event()
        self._is_checking = False
        self._lag_ms_max = 0.0
        self._frames = (0, 0)
        metrics = switchboard.metrics
        self._lags = metrics.loop_lag_s.counts()
        self._tasks = (
            SupervisedTask("health_samples", self._sample, metrics),
            SupervisedTask("health_checks", self._check, metrics),
        )

    async def on_startup(self, app: web.Application) -> None:
        """Begin to sample and to check in the running loop."""
        for task in self._tasks:
            task.start()

    async def on_cleanup(self, app: web.Application) -> None:
        """Stop both."""
        for task in self._tasks:
            await task.stop()

    def check_now(self) -> None:
        """Have the checks run as soon as they do not run already."""
        self._asked.set()

    @property
    def is_checking(self) -> bool:
        """Whether the checks of this process run, or are asked to."""
        return self._is_checking or self._asked.is_set()

    # --- samples ---

    async def _sample(self) -> None:
        self._frames = self._count()
        self._lags = self._switchboard.metrics.loop_lag_s.counts()
        while True:
            for _ in range(LOOKS_A_MINUTE):
                await asyncio.sleep(LOOK_S)
                self.look()
            try:
                await health.add_sample(self._database, self.take())
            except DATABASE_ERRORS as error:
                server_logger().warning("no sample kept: %s", type(error).__name__)

    def look(self) -> None:
        """Note the loop's lag."""
        lag_ms = self._switchboard.admission.lag_ms_p99
        self._lag_ms_max = max(self._lag_ms_max, lag_ms)

    def take(self) -> Sample:
        """Return the sample of the time since the last one."""
        before, self._frames = self._frames, self._count()
        lag_ms, self._lag_ms_max = self._lag_ms_max, 0.0
        lags, self._lags = self._lags, self._switchboard.metrics.loop_lag_s.counts()
        rx, forwarded = (
            max(0, now - then) for now, then in zip(self._frames, before, strict=True)
        )
        return Sample(
            node=self._node,
            worker=self._worker,
            calls=len(list(self._switchboard.live_calls())),
            lag_ms_p99=lag_ms,
            rx_frames=rx,
            forwarded_frames=min(rx, forwarded),
            lag_counts=tuple(
                now - then for now, then in zip(self._lags, lags, strict=True)
            ),
        )

    def _count(self) -> tuple[int, int]:
        """Return how many frames came and were forwarded since the process began."""
        metrics = self._switchboard.metrics
        rx = metrics.value("frames", kind="rx")
        forwarded = metrics.value("frames", kind="forwarded")
        for call in self._switchboard.live_calls():
            rx += call.fast_path.rx_frames
            forwarded += call.uplink.forwarded_frames
        return rx, forwarded

    # --- checks ---

    async def _check(self) -> None:
        pause_s = FIRST_CHECK_S
        while True:
            await self._wait(pause_s)
            self._asked.clear()
            self._is_checking = True
            try:
                found = await self._run()
                await health.save_checks(self._database, self._node, found)
            except DATABASE_ERRORS as error:
                server_logger().warning("no check kept: %s", type(error).__name__)
            finally:
                self._is_checking = False
            pause_s = self._every_s

    async def _wait(self, pause_s: float) -> None:
        """Wait for the next time, or until somebody asks."""
        is_timed = self._every_s and self._worker == 0
        try:
            async with asyncio.timeout(pause_s if is_timed else None):
                await self._asked.wait()
        except TimeoutError:
            return
