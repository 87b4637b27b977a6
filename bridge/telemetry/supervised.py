"""Background tasks that must live as long as their owner, supervised.

A task that nobody awaits ends silently at its first exception. A supervised task is
restarted after a pause, which grows while the task keeps failing. Each failure is
logged with its traceback and counted. A coroutine that returns has failed, too.
"""

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics

RESTART_S_MIN = 0.1
RESTART_S_MAX = 30.0
# A task that has run for longer than this begins again with the shortest pause.
STEADY_S = 60.0


class Backoff:
    """Pauses between tries: each twice the one before, from `first_s` to `last_s`."""

    def __init__(self, first_s: float, last_s: float) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Return how long to wait before the next try."""
        pause_s, self._next_s = self._next_s, min(self._next_s * 2, self._last_s)
        return pause_s

    def reset(self) -> None:
        """Begin with the shortest pause again: a try succeeded."""
        self._next_s = self._first_s


def note_failure(metrics: Metrics, name: str, error: BaseException | None) -> None:
    """Log and count a failed task; `error` is None if the task just returned."""
    metrics.count("task_failures", task=name)
    server_logger().error("task %s failed and is started again", name, exc_info=error)


class SupervisedTask:
    """One coroutine, run again and again from `start` to `stop`.

    Each call of `run` starts afresh; `run` itself keeps any state between two calls.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], Coroutine[Any, Any, None]],
        metrics: Metrics,
    ) -> None:
        self._name = name
        self._run = run
        self._metrics = metrics
        # Prometheus sees an increase only of a series that existed before.
        metrics.count("task_failures", 0, task=name)
        self._backoff = Backoff(RESTART_S_MIN, RESTART_S_MAX)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run in the running loop."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._live(), name=self._name)

    def done(self) -> bool:
        """Tell whether the task is not running: not started yet, or stopped."""
        return self._task is None or self._task.done()

    def cancel(self) -> None:
        """Cancel the task, and wait for nothing; it may be started again."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def stop(self) -> None:
        """Cancel the task, and return when the task has ended."""
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _live(self) -> None:
        while True:
            began_at = monotonic()
            note_failure(self._metrics, self._name, await self._failure())
            if monotonic() - began_at > STEADY_S:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next_s())

    async def _failure(self) -> BaseException | None:
        """Run the coroutine until it ends; return the error that ended it."""
        try:
            await self._run()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # A library cancelled what it awaited; this task was not cancelled.
            return error.with_traceback(None)
        except Exception as error:
            return error
        return None
