"""24 kHz to 8 kHz: the same bytes for any cut, and nothing folded into the band."""

import math
import struct

import pytest
from hypothesis import given, settings, strategies as st

from dsp.g711 import decode
from dsp.resample import PcmEncoder, coefficients


def tone(hz, seconds=0.5, peak=10_000):
    turn = 2 * math.pi * hz / 24_000
    count = int(24_000 * seconds)
    return struct.pack(
        f"<{count}h", *(round(peak * math.sin(turn * n)) for n in range(count))
    )


def rms(mulaw):
    samples = struct.unpack(f"<{len(mulaw)}h", decode(mulaw))[100:-100]
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


@pytest.mark.parametrize(("hz", "low", "high"), [(1000, 0.97, 1.03), (3000, 0.9, 1.03)])
def test_the_telephone_band_passes(hz, low, high):
    level = rms(PcmEncoder().encode(tone(hz))) / (10_000 / math.sqrt(2))
    assert low < level < high


@pytest.mark.parametrize("hz", [4800, 6000, 7000, 9000, 11_000])
def test_what_would_fold_into_the_band_is_stopped(hz):
    level = rms(PcmEncoder().encode(tone(hz))) / (10_000 / math.sqrt(2))
    assert 20 * math.log10(level + 1e-9) < -45


def test_the_coefficients_are_scipys():
    signal = pytest.importorskip("scipy.signal")
    wanted = signal.firwin(72, 3600, window=("kaiser", 7.0), fs=24_000)
    assert max(abs(a - b) for a, b in zip(coefficients(), wanted, strict=True)) < 1e-12


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 900), max_size=12))
def test_any_cut_gives_the_same_bytes(cuts):
    pcm = tone(700, 0.2)
    whole = PcmEncoder()
    expected = whole.encode(pcm) + whole.flush()
    encoder, out, at = PcmEncoder(), b"", 0
    for size in cuts:
        out += encoder.encode(pcm[at : at + size])
        at += size
    out += encoder.encode(pcm[at:]) + encoder.flush()
    assert out == expected


def test_a_third_of_the_samples_come_out():
    encoder = PcmEncoder()
    out = encoder.encode(tone(500, 1.0)) + encoder.flush()
    assert abs(len(out) - 8_000) <= 12
