"""The collector's passes are counted and bounded, and what lives is frozen."""

import asyncio
import gc
from collections import deque

from bridge.telemetry.gc_monitor import FULL_EVERY, LIVE_MAX, THRESHOLDS, GcMonitor
from bridge.telemetry.metrics import Histogram
from tests.bridge import ws_peer

# What a full pass may find: what lived after the one before, and what came since.
FOUND_MAX = LIVE_MAX + (FULL_EVERY + 2) * THRESHOLDS[0]


class Node:
    """What a cycle is made of."""

    def __init__(self):
        self.itself = self


def passes(histogram):
    return histogram.family("x", "").samples[-2].value


def test_passes_are_timed_while_it_is_entered():
    async def told():
        histogram = Histogram((1.0,))
        before = gc.get_threshold(), list(gc.callbacks)
        with GcMonitor(histogram):
            assert gc.get_freeze_count() > 1_000
            assert gc.get_threshold() == THRESHOLDS
            counted = passes(histogram)
            gc.collect(0)
            gc.collect(1)

            assert passes(histogram) == counted + 2
        gc.collect(0)
        assert passes(histogram) == counted + 2
        assert (gc.get_threshold(), list(gc.callbacks)) == before
        assert gc.get_freeze_count() == 0

    ws_peer.run(told)


def test_what_becomes_garbage_late_never_piles_up():
    """Cycles that live through the young passes, as requests in flight do."""

    async def told():
        in_flight, found = deque(maxlen=2_000), []

        def look(phase, info):
            if phase == "start" and info["generation"] == 2:
                found.append(len(gc.get_objects()))

        with GcMonitor(Histogram((1.0,))):
            gc.callbacks.append(look)
            for at in range(100_000):
                in_flight.append(Node())
                if at % 50 == 0:
                    await asyncio.sleep(0)
            gc.callbacks.remove(look)
            left = len(gc.get_objects())

        assert len(found) >= 100_000 // (FOUND_MAX - LIVE_MAX) - 1
        assert max(*found, left) < FOUND_MAX

    ws_peer.run(told)


def test_what_lives_long_is_looked_at_once():
    async def told():
        kept, found = [], []

        def look(phase, info):
            if phase == "start" and info["generation"] == 2:
                found.append(len(gc.get_objects()))

        with GcMonitor(Histogram((1.0,))):
            frozen = gc.get_freeze_count()
            gc.callbacks.append(look)
            for at in range(60_000):
                kept.append([at])
                if at % 50 == 0:
                    await asyncio.sleep(0)
            gc.callbacks.remove(look)

            assert max(found) < FOUND_MAX
            assert gc.get_freeze_count() - frozen > 40_000
            kept.clear()
            # Nothing had to be found: their counts fell to zero.
            assert gc.get_freeze_count() - frozen < FOUND_MAX

    ws_peer.run(told)


def test_a_full_pass_that_comes_too_late_is_none():
    async def told():
        guard = GcMonitor(Histogram((1.0,)))
        with guard:
            pass
        frozen = gc.get_freeze_count()
        guard._pass_over_all()

        assert gc.get_freeze_count() == frozen == 0

    ws_peer.run(told)
