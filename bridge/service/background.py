"""What a process does beside its calls: limits, notices, its cache, erasures.

Each is a supervised task: one that fails is started again. What one process can do for
all workers of a service, the first worker does.
"""

import asyncio

from bridge.business.cache import BusinessCache
from bridge.business.directory import BusinessDirectory
from bridge.notices.dispatcher import Dispatcher
from bridge.records.erasing import ErasedCalls
from bridge.settings.process import Settings
from bridge.switchboard.business_limits import Admissions
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import SupervisedTask
from crm.database import Database


class Background:
    """The tasks of one process beside its calls, from `start` to `stop`."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        admissions: Admissions,
        directory: BusinessDirectory,
        cache: BusinessCache,
        metrics: Metrics,
        *,
        is_first: bool,
    ) -> None:
        self._has_cache = bool(settings.business_cache_hours)
        self._cache = cache
        notices = Dispatcher(settings, database, metrics).run
        self._notices = SupervisedTask("notices", notices, metrics)
        runs = {"limits": admissions.watch}
        if is_first:
            runs["erased_calls"] = ErasedCalls(database, settings).run
            if self._has_cache:
                # In case the database fails, one worker reads all businesses.
                runs["businesses"] = directory.keep_fresh
        self._tasks = [
            self._notices,
            *(SupervisedTask(name, run, metrics) for name, run in runs.items()),
        ]

    async def start(self) -> None:
        """Start the tasks."""
        if not self._has_cache:
            await asyncio.to_thread(self._cache.forget_others, ())
        for task in self._tasks:
            task.start()

    async def hand_over(self) -> None:
        """Leave to the service that has the port what needs this one no more: notices,
        which go by its settings, as a new password of the mail server."""
        await self._notices.stop()

    async def stop(self) -> None:
        """Stop the tasks, each at its next wait."""
        for task in self._tasks:
            await task.stop()
