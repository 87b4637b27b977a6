"""Keeps the embedded database running for as long as the service runs.

A database server that is killed, or that ends with the command that started it, is
restarted at the same address. Meanwhile calls go on, and their records wait.
"""

import asyncio
import logging
from collections.abc import Iterable

from bridge.telemetry.log import server_logger, write_line
from bridge.telemetry.metrics import Metrics
from crm.embedded import EmbeddedServer
from crm.postgres_install import EmbeddedError

EVERY_S = 0.25


async def watch(embedded: EmbeddedServer, metrics: Metrics) -> None:
    """Keep the server running from a loop on the main thread, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        done = embedded.tend()
        if done is not None:
            metrics.count("embedded_starts")
            server_logger().error("%s", done)


def tend(embedded: EmbeddedServer, secrets: Iterable[str]) -> None:
    """Keep the server running, from a process without a loop."""
    try:
        done = embedded.tend()
    except (EmbeddedError, OSError) as error:
        done = f"the embedded database cannot be started: {error}"
    if done is not None:
        write_line(logging.ERROR, done, secrets)
