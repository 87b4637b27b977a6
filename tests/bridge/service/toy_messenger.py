"""A messenger process without a model and a carrier, which does as it is told."""

import asyncio
import os
import sys

from bridge.messaging.process import run
from crm import message_work


class Toy:
    """Counts that it ran; NODE_NAME of its settings says what it does."""

    def __init__(self, order, database, metrics):
        self._what = order.settings.node_name
        self._claiming = message_work.claim(database, order.holder, 1_000)
        self._metrics = metrics

    def start(self):
        self._metrics.count("conversations", outcome="done")
        if self._what == "claims":
            self._claimed = asyncio.ensure_future(self._claiming)
        else:
            self._claiming.close()
        if self._what == "prints":
            print("a library says hello", flush=True)
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
