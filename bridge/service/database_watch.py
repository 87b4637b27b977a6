"""Watches over the embedded database for as long as the service runs.

A server that is killed, or ends with the command that started it, is started again at
the same address; meanwhile calls go on, and what they leave waits.
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
    """Tend the server from a loop on the main thread, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        done = embedded.tend()
        if done is not None:
            metrics.count("embedded_starts")
            server_logger().error("%s", done)


def tend(embedded: EmbeddedServer, secrets: Iterable[str]) -> None:
    """Tend the server from a process without a loop."""
    try:
        done = embedded.tend()
    except (EmbeddedError, OSError) as error:
        done = f"the embedded database cannot be started: {error}"
    if done is not None:
        write_line(logging.ERROR, done, secrets)
