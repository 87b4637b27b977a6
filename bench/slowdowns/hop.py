"""A queue and a task of the call between a leg and the call."""

import asyncio
import sys
from typing import Any

from bench.slowdowns import go_on
from bridge.line.driver import CallDriver


def apply() -> None:
    """Patch the line."""
    begin, receive = CallDriver.__init__, CallDriver.receive
    queues: dict[CallDriver, asyncio.Queue[Any]] = {}
    tasks = set()

    async def forward(self: CallDriver) -> None:
        while not self.is_over:
            receive(self, *await queues[self].get())
        del queues[self]

    def queued(self: CallDriver, *what: Any) -> None:
        if self not in queues:
            queues[self] = asyncio.Queue()
            task = asyncio.ensure_future(forward(self))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        queues[self].put_nowait(what)

    def without_fast_path(self: CallDriver, *args: Any, **how: Any) -> None:
        begin(self, *args, **how)
        self.fast_path.is_open = False

    CallDriver.receive = queued  # type: ignore[method-assign]
    CallDriver.__init__ = without_fast_path  # type: ignore[method-assign]


if __name__ == "__main__":
    apply()
    sys.exit(go_on())
