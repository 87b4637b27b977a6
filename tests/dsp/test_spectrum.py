"""The spectrum: numpy's, and what a sine, noise, a pulse and silence must read."""

import math
import random

import numpy as np
import pytest

from dsp.spectrum import powers

FRAMES = 3


def noise(rms, seed=1, frames=FRAMES):
    source = random.Random(seed)
    return [round(source.gauss(0, rms)) for _ in range(160 * frames)]


def sine(hz, peak):
    turn = 2 * math.pi / 8000
    return [round(peak * math.sin(turn * hz * n)) for n in range(160 * FRAMES)]


def pulse():
    return [0] * 400 + [20_000] + [0] * 79


@pytest.mark.parametrize(
    "samples", [noise(2_000), sine(1_000, 9_000), sine(437, 50), pulse(), [0] * 480]
)
def test_the_power_spectrum_is_numpys(samples):
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    wanted = np.abs(np.fft.rfft(samples[-256:] * window)) ** 2 / np.sum(window**2)

    power, _ = powers(samples)
    assert np.allclose(power, wanted, rtol=1e-4, atol=1e-4 * (wanted.max() + 1e-9))


def test_white_noise_reads_its_own_power_in_every_band():
    bands = np.mean([powers(noise(1_000, seed))[1] for seed in range(300)], axis=0)
    assert np.allclose(bands, 1_000**2, rtol=0.25)


def test_a_sine_lies_in_its_band_alone():
    _, bands = powers(sine(1_000, 9_000))
    # 1 kHz is the sixth centre of sixteen triangles from 200 to 3600 Hz in mel.
    place = (2595 * math.log10(1 + 1000 / 700) - mel(200)) / (
        (mel(3600) - mel(200)) / 17
    )
    loudest = bands.index(max(bands))
    assert abs(loudest + 1 - place) < 1
    far = [b for at, b in enumerate(bands) if abs(at - loudest) > 2]
    assert max(far) < 1e-3 * max(bands)


def mel(hz):
    return 2595 * math.log10(1 + hz / 700)
