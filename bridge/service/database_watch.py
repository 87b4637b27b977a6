"""Keeps the embedded database running for as long as the service runs.

A database server that is killed, or that ends with the command that started it, is
restarted at the same address. Meanwhile calls go on, and their records wait.
"""

import asyncio
import logging
from collections.abc import Iterable
from mmap import mmap

from bridge.telemetry.log import server_logger, write_line
from bridge.telemetry.metrics import Metrics
from crm.embedded import EmbeddedServer
from crm.postgres_install import EmbeddedError

EVERY_S = 0.25
_COUNT_BYTES = 8


class Starts:
    """How often the parent of several workers has started the server again.

    The workers, which it forks, read what it counts: it has no metrics of its own.
    """

    def __init__(self) -> None:
        self._memory = mmap(-1, _COUNT_BYTES)

    @property
    def count(self) -> int:
        """Return the number."""
        return int.from_bytes(self._memory[:])

    def add(self) -> None:
        """Count one more; in the parent alone."""
        self._memory[:] = (self.count + 1).to_bytes(_COUNT_BYTES)


async def watch(embedded: EmbeddedServer, metrics: Metrics) -> None:
    """Keep the server running from a loop on the main thread, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        done = embedded.tend()
        if done is not None:
            metrics.count("embedded_starts")
            server_logger().error("%s", done)


async def follow(starts: Starts, metrics: Metrics) -> None:
    """Count in a worker what its parent starts again, until cancelled."""
    seen = starts.count
    while True:
        await asyncio.sleep(EVERY_S)
        now = starts.count
        metrics.count("embedded_starts", now - seen)
        seen = now


def tend(embedded: EmbeddedServer, starts: Starts, secrets: Iterable[str]) -> None:
    """Keep the server running, from a process without a loop."""
    try:
        done = embedded.tend()
        if done is not None:
            starts.add()
    except (EmbeddedError, OSError) as error:
        done = f"the embedded database cannot be started: {error}"
    if done is not None:
        write_line(logging.ERROR, done, secrets)
