"""One node under load: database, service and load started, each step measured."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from bridge.cli.capacity import service as services
from bridge.cli.capacity.load import Load, loading
from bridge.cli.capacity.load_process import Report
from bridge.cli.capacity.search import Bounds, Found, Measure, Step, find
from bridge.cli.capacity.service import Metrics, Service
from crm.connect import open_url

SERVICE = "bridge.cli.main"
FIRST_CALLS = 16
# Opening costs the service 8 ms of work a call: so many take a sixth of a loop's time.
OPENED_A_SECOND = 20.0
# A refused call is tried again for so long: longer than admission's window of 10 s.
PATIENCE_S = 12.0
# After the last call has opened: admission's busy share is that of the last second.
SETTLE_S = 3.0
LOOK_S = 1.0
# What was sent has arrived when two looks find the same counts.
DRAIN_LOOK_S = 0.5
DRAIN_LOOKS_MAX = 20
_RECEIVED = 'kolbridge_frames_total{kind="rx"}'
_REFUSED = 'kolbridge_fallbacks_total{reason="'


class Counts(NamedTuple):
    """Counts of all time: what was sent and has not arrived, and what was refused."""

    lost_frames: int
    lost_calls: int
    refusals: Mapping[str, float]


class Cores(NamedTuple):
    """The processors of the service, and those of the load."""

    service: frozenset[int]
    load: tuple[int, ...]

    @property
    def are_shared(self) -> bool:
        """Whether service and load take processor time from each other."""
        return bool(self.service.intersection(self.load))


class Plan(NamedTuple):
    """What is to be measured."""

    workers: int
    seconds: float
    up_to: int
    bounds: Bounds
    first: int = FIRST_CALLS
    settle_s: float = SETTLE_S
    patience_s: float = PATIENCE_S
    module: str = SERVICE


def divided(cores: set[int], workers: int) -> Cores:
    """Give each worker a processor, and the rest to the load.

    With too few, the load keeps one, and shares it with the service if it must.
    """
    ordered = sorted(cores)
    ours = min(workers, max(1, len(ordered) - 1))
    rest = tuple(ordered[:-ours]) or tuple(ordered)
    return Cores(frozenset(ordered[-ours:]), rest)


def measured(
    plan: Plan, env: Mapping[str, str], dotenv: Path, tell: Callable[[Step], None]
) -> Found:
    """Return the capacity of one node; call this outside of a running event loop.

    Raises ServiceError or LoadError if one of them does not run.
    """
    cores = divided(os.sched_getaffinity(0), plan.workers)
    with tempfile.TemporaryDirectory(prefix="kolbridge-capacity-") as folder:
        before = os.sched_getaffinity(0)
        # The database's processes inherit this: they are not on the service's.
        os.sched_setaffinity(0, cores.load)
        url, database = open_url(None, Path(folder))
        try:
            whole = services.environment(env, dotenv, {"WORKERS": str(plan.workers)})
            return asyncio.run(_found(plan, url, Path(folder), whole, cores, tell))
        finally:
            os.sched_setaffinity(0, before)
            if database is not None:
                database.stop()


async def _found(
    plan: Plan,
    database_url: str,
    folder: Path,
    env: Mapping[str, str],
    cores: Cores,
    tell: Callable[[Step], None],
) -> Found:
    await services.make_business(database_url)
    async with _node(plan, database_url, folder, env, cores) as measure:

        async def told(calls: int) -> Step:
            step = await measure(calls)
            tell(step)
            return step

        return await find(told, plan.first, plan.up_to, plan.bounds)


@asynccontextmanager
async def _node(
    plan: Plan, database_url: str, folder: Path, env: Mapping[str, str], cores: Cores
) -> AsyncIterator[Measure]:
    """Start the service and its load; yield what measures one number of calls."""
    model_port = services.free_port()
    whole = {
        **env,
        "OPENAI_REALTIME_URL": f"ws://127.0.0.1:{model_port}/v1/realtime",
    }
    async with (
        services.serving(
            database_url, folder, whole, cores.service, plan.module
        ) as service,
        loading(service.url, model_port, cores.load) as load,
    ):
        yield Node(plan, service, load).measure


class Node:
    """A service and its load."""

    def __init__(self, plan: Plan, service: Service, load: Load) -> None:
        self._plan = plan
        self._service = service
        self._load = load

    async def measure(self, calls: int) -> Step:
        """Return what one number of calls gets of the node; the load pauses then."""
        plan, load = self._plan, self._load
        before = await self._counted()
        opened = await load.become(
            calls, OPENED_A_SECOND * plan.workers, plan.patience_s
        )
        if opened.refused:
            await load.all_do("report")
            after = await self._counted()
            return Step(calls, refused=refusal(before, after) or opened.refused)
        await asyncio.sleep(plan.settle_s)
        await load.all_do("measure")
        began, service = monotonic(), self._service
        cpu_s, waited_s = service.cpu_s(), service.waited_s()
        busy = await self._busy()
        passed_s = monotonic() - began
        cpu_s, waited_s = service.cpu_s() - cpu_s, service.waited_s() - waited_s
        step = _step(await load.all_do("report"), calls)
        after = await self._counted()
        return step._replace(
            busy_percent=busy * 100,
            waited_percent=waited_s / passed_s / plan.workers * 100,
            cpu_ms=cpu_s * 1e3 / passed_s / calls,
            lost_frames=max(0, after.lost_frames - before.lost_frames),
            lost_calls=after.lost_calls - before.lost_calls,
        )

    async def _busy(self) -> float:
        """Wait for the step; return the busy share of a worker's loop meanwhile."""
        looks = max(1, round(self._plan.seconds / LOOK_S))
        found = []
        for _ in range(looks):
            await asyncio.sleep(self._plan.seconds / looks)
            try:
                metrics = await self._service.metrics()
                found.append(metrics["kolbridge_loop_busy"] / self._plan.workers)
            except TimeoutError:
                found.append(1.0)
        return sum(found) / looks

    async def _counted(self) -> Counts:
        """Return the counts of the paused load, once what was on its way has arrived.

        A service that is far behind may need longer than this waits.
        """
        counts, last = Counts(0, 0, {}), None
        for _ in range(DRAIN_LOOKS_MAX):
            report = await self._load.all_do("nothing")
            with suppress(TimeoutError):
                counts = _counts(report, await self._service.metrics())
            if counts == last:
                break
            last = counts
            await asyncio.sleep(DRAIN_LOOK_S)
        return counts


def _step(report: Report, calls: int) -> Step:
    up, down = (
        (percentile(values, 50), percentile(values, 99))
        for values in (report.uplink_ms, report.downlink_ms)
    )
    return Step(
        calls,
        uplink_ms=up,
        downlink_ms=down,
        gaps=report.gaps,
        load_busy_percent=report.busy * 100,
        load_lag_ms=percentile(report.lags_ms, 99),
        load_sent=report.frames_sent / max(1.0, report.frames_due),
    )


def _counts(report: Report, metrics: Metrics) -> Counts:
    up = report.sent_frames - round(metrics[_RECEIVED])
    down = report.said_frames - report.heard_frames
    refusals = {name: metrics[name] for name in metrics if name.startswith(_REFUSED)}
    return Counts(up + down, report.lost_calls, refusals)


def refusal(before: Counts, after: Counts) -> str:
    """Return the reasons for which calls were refused between two counts."""
    grown = (
        name.removeprefix(_REFUSED).rstrip('"}')
        for name, value in after.refusals.items()
        if value > before.refusals.get(name, 0.0)
    )
    return ", ".join(sorted(grown))


def percentile(values: list[float], percent: int) -> float:
    """Return the smallest value that so many percent of the values do not exceed."""
    if not values:
        return 0.0
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]
