"""The build for this processor hears what the portable one hears."""

import pytest

from bridge.sandbox.clips import clip
from dsp.cpu import has_avx2
from dsp.fastest import NoiseGate
from dsp.gate import NoiseGate as PortableGate
from tests.dsp.test_gate import cut

CLIPS = ("human-en-reader-1", "caller-he-1", "noise-fan")


def test_fastest_build_is_taken():
    assert (NoiseGate.__module__ == "dsp.gate_avx2") == has_avx2()


# A decision near a bar would differ now and then if the last bits did.
@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("far_dbfs", [-127.0, -30.0])
def test_both_builds_decide_alike(name, far_dbfs):
    fast, portable = NoiseGate(), PortableGate()
    for frame in cut(clip(name)):
        assert fast.analyze(frame, far_dbfs) == portable.analyze(frame, far_dbfs)
        assert fast.score == portable.score
        assert fast.features == portable.features
