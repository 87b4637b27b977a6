"""How long the garbage collector stops the process: every frame waits for that.

The service's start-up objects are frozen, types made per frame are not tracked, and a
call that is over leaves no cycle, so that reference counts free it. A pass over all
that lives is then hardly worth its time, 30 ms at 500 calls: it becomes rare, and the
passes over young objects small. Each pass is counted; a pause shows in the metrics.
"""

import gc
from time import perf_counter

from bridge.metrics import Histogram

# A call tracks about 90 objects: a young pass every 8 calls; a second one over the
# survivors every 16 (2,000 objects, 1 ms); one over all every 80,000.
THRESHOLDS = (700, 2, 5_000)


class Pauses:
    """Keeps the collector's passes short and times them, while it is entered."""

    def __init__(self, into: Histogram) -> None:
        self._into = into
        self._began = 0.0
        self._thresholds = gc.get_threshold()

    def __enter__(self) -> None:
        """Freeze what is there, for it lives as long as the process."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        gc.callbacks.append(self._on_pass)

    def __exit__(self, *error: object) -> None:
        """Leave the collector as it was."""
        gc.callbacks.remove(self._on_pass)
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()

    def _on_pass(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = perf_counter()
        else:
            self._into.observe(perf_counter() - self._began)
