"""Bounds and measures the pauses of the garbage collector: every frame waits for them.

The service's start-up objects are frozen, and types made per frame are not tracked. A
call or a request that is over leaves no cycle, so that reference counts free it. The
time of a pass grows with the number of objects that the pass visits: 20,000 objects
take some 10 ms. The number of objects that a pass may visit is therefore bounded.
Passes over young objects are small. A full pass is never left to the interpreter, which
waits for millions of objects. This module makes a full pass after every FULL_EVERY
passes, between two callbacks of the loop. If more than LIVE_MAX objects then live, all
of them are frozen too; otherwise, with hundreds of calls, each full pass would visit
them again. A reference count frees a frozen object as any other. Each pass is counted;
a pause shows in the metrics.

This holds for the generations of Python 3.11 to 3.13. It also holds for the increments
of 3.14, which follow references: an increment is as long as the live objects are
connected.
"""

import asyncio
import gc
from time import perf_counter

from bridge.telemetry.metrics import Histogram

# A call tracks about 90 objects: a young pass runs every 8 calls. A pass over the
# survivors runs every 24 (2,000 objects, 1 ms). The last threshold is never reached.
THRESHOLDS = (700, 2, 1_000_000)
# Each pass leaves 700 objects at most to the oldest generation: 10,500 for a full one.
FULL_EVERY = 15
# How many objects may stay unfrozen after a full pass: half as many again as it finds.
LIVE_MAX = 5_000


class GcMonitor:
    """Keeps the collector's passes short and times them, while the monitor is entered.

    Enter the monitor inside the loop that serves the process's calls.
    """

    def __init__(self, into: Histogram) -> None:
        self._into = into
        self._began = 0.0
        self._passes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thresholds = gc.get_threshold()

    def __enter__(self) -> None:
        """Freeze the objects that exist: they live as long as the process."""
        self._loop = asyncio.get_running_loop()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        gc.callbacks.append(self._on_pass)

    def __exit__(self, *error: object) -> None:
        """Restore the collector's former settings."""
        gc.callbacks.remove(self._on_pass)
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()
        self._loop = None

    def _on_pass(self, phase: str, info: dict[str, int]) -> None:
        """Time a pass, which may run in any thread and at any point of the code."""
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
