"""The band-pass: scipy's, sample for sample, and what its design must do to sines."""

import math
import random

import numpy as np
import pytest

from dsp.g711 import FRAME_BYTES, decode, encode
from dsp.gate import NoiseGate

# Single precision, over what a frame has: 2e-6 of the loudest sample.
EXACT = 1e-4


def levels(ulaw):
    """Return the level of each frame in the speech band."""
    gate, found = NoiseGate(), []
    for at in range(0, len(ulaw), FRAME_BYTES):
        gate.analyze(ulaw[at : at + FRAME_BYTES])
        found.append(gate.rms)
    return np.array(found)


def sine(hz, peak=8_000, frames=20):
    turn = 2 * math.pi * hz / 8_000
    pcm = np.round(peak * np.sin(turn * np.arange(FRAME_BYTES * frames)))
    return encode(pcm.astype("<i2").tobytes())


@pytest.mark.parametrize("kind", ["every code", "loud", "a click", "direct current"])
def test_the_filter_is_scipys(kind):
    signal = pytest.importorskip("scipy.signal")
    sos = signal.butter(2, [300, 3400], btype="bandpass", fs=8000, output="sos")
    ulaw = {
        "every code": random.Random(1).randbytes(FRAME_BYTES * 50),
        "loud": b"\x80\x00" * (FRAME_BYTES * 10) + b"\xff" * (FRAME_BYTES * 10),
        "a click": b"\xff" * 200 + b"\x80" + b"\xff" * (FRAME_BYTES * 4 - 201),
        "direct current": b"\x8f" * (FRAME_BYTES * 20),
    }[kind]
    filtered = signal.sosfilt(sos, np.frombuffer(decode(ulaw), "<i2").astype(float))

    wanted = np.sqrt(np.mean(filtered.reshape(-1, FRAME_BYTES) ** 2, axis=1))
    assert levels(ulaw) == pytest.approx(wanted, rel=EXACT, abs=0.02)


@pytest.mark.parametrize(
    ("hz", "wanted_db"), [(300, -3), (1_000, 0), (3_400, -3), (50, -31.2)]
)
def test_what_is_left_of_a_sine(hz, wanted_db):
    # After 0.2 s the start has died away; 8,000 is the peak.
    level_db = 20 * math.log10(levels(sine(hz))[10:].mean() * math.sqrt(2) / 8_000)
    assert level_db == pytest.approx(wanted_db, abs=0.2)


def test_silence_ends_what_rings():
    """Nothing is left of a loud sound to become subnormal, which is slow."""
    after = levels(sine(1_000) + b"\xff" * (FRAME_BYTES * 10))[-8:]
    assert list(after) == [0] * 8
