"""The collector's passes are counted while the service runs, and its objects frozen."""

import gc

from bridge.metrics import Histogram
from bridge.pauses import THRESHOLDS, Pauses


def passes(histogram):
    return histogram.family("x", "").samples[-2].value


def test_passes_are_timed_while_it_is_entered():
    histogram = Histogram((1.0,))
    before = gc.get_threshold(), list(gc.callbacks)
    with Pauses(histogram):
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
