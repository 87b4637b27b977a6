"""A messenger process without a model and a carrier, which does as it is told."""

import asyncio
import os
import sys

from bridge.messaging.process import run


class Toy:
    """Counts that it ran; NODE_NAME of its settings says what it does."""

    def __init__(self, settings, database, metrics, public_url):
        self._what = settings.node_name
        self._metrics = metrics

    def start(self):
        self._metrics.count("conversations", outcome="done")
        if self._what == "dies":
            os._exit(3)

    async def stop(self):
        self._metrics.count("conversations", outcome="failed")
        if self._what == "late":
            await asyncio.sleep(60)

    def gauges(self):
        return {"messenger_conversations": ("Conversations worked on", 1.0)}


if __name__ == "__main__":
    sys.exit(run(Toy, ()))
