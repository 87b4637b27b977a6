"""Saves the records of running calls, so that a killed process loses only moments.

This module looks at every call of the process at intervals, and passes on the records
that have changed: a call in which nothing was said since is not written again. Records
are passed on one at a time, because there may be hundreds; the loop is free in between.
"""

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic

from bridge.call.machine import Call
from bridge.call.plan import CallRecord
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import note_failure

# How much of a call a kill may lose. A turn takes several seconds, so that few calls
# have changed at any look.
EVERY_S = 1.0
# Between two calls; a record of 100 turns takes 0.07 ms.
BREATH_S = 0.002


async def keep_running(
    live_calls: Callable[[], Iterable[Call]],
    is_live: Callable[[str], bool],
    keep: Callable[[CallRecord], None],
    metrics: Metrics,
) -> None:
    """Pass on the record of each running call that has changed, until cancelled.

    A call whose record cannot be made is skipped until the call has changed again.
    """
    kept: dict[str, int] = {}
    while True:
        await asyncio.sleep(EVERY_S)
        known, kept = kept, {}
        for call in live_calls():
            call_sid, learnt = call.plan.call_sid, call.call_record.learnt
            kept[call_sid] = learnt
            # A call's final record is written elsewhere, and must be the last one.
            if known.get(call_sid, 0) != learnt and is_live(call_sid):
                try:
                    keep(call.record(monotonic()))
                except Exception as error:
                    note_failure(metrics, "checkpoints", error)
                await asyncio.sleep(BREATH_S)
