"""The messenger's process: from the order on its standard input to the end of it.

The service starts it (`bridge.service.messenger_process`), gives it one line, and reads
its reports. It ends in order on SIGTERM, and when its input closes, as it does when the
service dies: it finishes what runs within a bound and gives back the rest. It is niced,
so that calls come first. It logs as the service does, to the same standard error.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from importlib import import_module
from typing import Protocol
from uuid import UUID, uuid4

import msgspec
import uvloop

from bridge.settings.process import Settings
from bridge.telemetry.gc_monitor import GcMonitor
from bridge.telemetry.log import LogWriter, server_logger
from bridge.telemetry.metrics import Collector, Metrics
from bridge.telemetry.supervised import SupervisedTask
from crm.database import Database

# Of the kernel's 19: a process with calls gets some three times the processor.
NICENESS = 5
REPORT_S = 2.0
_STDOUT = 1
# What costs a second to import: before the first message, not with it.
SLOW_MODULES = ("bridge.messaging.model_run",)


class Order(msgspec.Struct, frozen=True):
    """What the service tells its messenger: the settings hold secrets, so they stand on
    no command line. Under `holder` it has its conversations, which the service frees
    when it has died."""

    settings: Settings
    database_url: str
    public_url: str
    holder: UUID = msgspec.field(default_factory=uuid4)


class Report(msgspec.Struct, frozen=True):
    """What a messenger tells its service: that it lives, and its page of metrics."""

    page: str


class Works(Protocol):
    """What the process runs."""

    def start(self) -> None:
        """Begin in the running loop."""

    async def stop(self) -> None:
        """End in order, within a bound."""

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Return each gauge's help text and value."""


Make = Callable[[Order, Database, Metrics], Works]


def run(make: Make, slow_modules: tuple[str, ...] = SLOW_MODULES) -> int:
    """Run until the input closes or a signal comes; return the exit code."""
    os.nice(NICENESS)
    line = sys.stdin.buffer.readline()
    if not line:
        return 0
    order = msgspec.json.decode(line, type=Order)
    writer = LogWriter(order.settings.log_level, order.settings.secrets)
    writer.start()
    try:
        # The output has reports alone: what a library prints goes beside the log.
        with redirect_stdout(sys.stderr):
            for name in slow_modules:
                import_module(name)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_serve(order, make))
    finally:
        writer.stop()


async def _serve(order: Order, make: Make) -> int:
    settings, stop = order.settings, asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(sys.stdin.fileno(), _on_input, loop, stop)
    metrics = Metrics()
    # Without a first connection: a database that is away is waited for.
    database = await Database.open(
        order.database_url,
        pool_min=0,
        pool_max=settings.database_pool_size,
        command_timeout_s=settings.database_timeout_ms / 1e3,
        pgbouncer=settings.db_pgbouncer,
    )
    works = make(order, database, metrics)
    collector = Collector(metrics, tuple, works.gauges)
    reporting = SupervisedTask("reports", lambda: _report(collector), metrics)
    works.start()
    reporting.start()
    server_logger().info("[MESSAGE] the messenger runs, pid %d", os.getpid())
    with GcMonitor(metrics.gc_pause_s):
        await stop.wait()
        await works.stop()
    await reporting.stop()
    await database.close()
    server_logger().info("[MESSAGE] the messenger has stopped")
    return 0


def _on_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Stop when the service has closed the input, or is gone."""
    if not os.read(sys.stdin.fileno(), 4_096):
        loop.remove_reader(sys.stdin.fileno())
        stop.set()


async def _report(collector: Collector) -> None:
    while True:
        line = msgspec.json.encode(Report(collector.exposition().decode())) + b"\n"
        # A service that does not read must not stop the messenger.
        await asyncio.to_thread(_write, line)
        await asyncio.sleep(REPORT_S)


def _write(line: bytes) -> None:
    left = memoryview(line)
    # A service that is gone has closed the input, too.
    with suppress(BrokenPipeError):
        while left:
            left = left[os.write(_STDOUT, left) :]
