"""How long the garbage collector stops the process: every frame waits for that.

The service's start-up objects are frozen, types made per frame are not tracked, and a
call or a request that is over leaves no cycle, so that reference counts free it. A pass
takes as long as what it looks at is many, 20,000 objects some 10 ms; so what a pass may
find is bounded. Passes over young objects are small. A full one is never left to the
interpreter, which waits for millions of objects: it is made after every FULL_EVERY
passes, between two callbacks of the loop, and what then lives beyond LIVE_MAX is frozen
too, or with hundreds of calls each would look at all of them again. A frozen object is
freed by its reference count as any other. Each pass is counted; a pause shows in the
metrics.

That holds for the generations of Python 3.11 to 3.13 and for the increments of 3.14,
which follow references and so are as long as what lives is connected.
"""

import asyncio
import gc
from time import perf_counter

from bridge.telemetry.metrics import Histogram

# A call tracks about 90 objects: a young pass every 8 calls; a second one over the
# survivors every 24 (2,000 objects, 1 ms). The last is out of reach.
THRESHOLDS = (700, 2, 1_000_000)
# Each pass leaves 700 objects at most to the oldest generation: 10,500 for a full one.
FULL_EVERY = 15
# What may live unfrozen after a full pass: half as much again as it finds.
LIVE_MAX = 5_000


class GcMonitor:
    """Keeps the collector's passes short and times them, while it is entered.

    To be entered inside of the loop that the process serves with.
    """

    def __init__(self, into: Histogram) -> None:
        self._into = into
        self._began = 0.0
        self._passes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thresholds = gc.get_threshold()

    def __enter__(self) -> None:
        """Freeze what is there, for it lives as long as the process."""
        self._loop = asyncio.get_running_loop()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        gc.callbacks.append(self._on_pass)

    def __exit__(self, *error: object) -> None:
        """Leave the collector as it was."""
        gc.callbacks.remove(self._on_pass)
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()
        self._loop = None

    def _on_pass(self, phase: str, info: dict[str, int]) -> None:
        """Time a pass, which may run in any thread and in the midst of anything."""
        if phase == "start":
            self._began = perf_counter()
            return
        self._into.observe(perf_counter() - self._began)
        self._passes += 1
        if self._passes == FULL_EVERY and self._loop is not None:
            self._loop.call_soon_threadsafe(self._pass_over_all)

    def _pass_over_all(self) -> None:
        if self._loop is None:
            return
        gc.collect()
        self._passes = 0
        if len(gc.get_objects()) > LIVE_MAX:
            gc.freeze()
