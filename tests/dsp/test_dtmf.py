"""Keypad tones: all sixteen at any level and twist are known, speech is not."""

import itertools

import numpy as np
import pytest

from bench.gate import subset
from dsp.gate import SPEECH, STATE_MASK, NoiseGate

ROWS, COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
FRAME = 160


def tone(row, column, peak, twist_db=0.0, error=1.0):
    time = np.arange(1_600) / 8_000
    high = 10 ** (twist_db / 20)
    sound = np.sin(2 * np.pi * row * error * time)
    sound += high * np.sin(2 * np.pi * column * error * time)
    return subset.mulaw(peak / 32_768 / (1 + high) * sound)


def run(audio):
    gate = NoiseGate()
    tones, opened = [], False
    for at in range(0, len(audio) - FRAME + 1, FRAME):
        opened |= gate.analyze(audio[at : at + FRAME]) & STATE_MASK == SPEECH
        tones.append(gate.is_tone)
    return tones, opened


@pytest.mark.parametrize("key", list(itertools.product(ROWS, COLUMNS)))
@pytest.mark.parametrize("peak", [800, 5_000, 30_000])
@pytest.mark.parametrize("twist_db", [-6.0, 0.0, 4.0])
def test_every_key_is_a_tone_and_not_speech(key, peak, twist_db):
    tones, opened = run(b"\xff" * FRAME * 20 + tone(*key, peak, twist_db))
    assert all(tones[21:])
    assert not opened


@pytest.mark.parametrize("error", [0.985, 1.015])
def test_q24s_frequency_tolerance_is_still_a_tone(error):
    assert all(run(tone(770, 1336, 8_000, error=error))[0][1:])


def test_speech_is_hardly_ever_a_tone():
    voices = b"".join(
        subset.mulaw(subset.samples(name)) for name in (*subset.VOICES, *subset.FAR)
    )
    tones, _ = run(voices)
    assert sum(tones) <= len(tones) / 1_000


@pytest.mark.parametrize("hz", [350, 440, 697, 1_000, 1_336, 2_600])
def test_one_sine_alone_is_no_key(hz):
    time = np.arange(3_200) / 8_000
    assert not any(run(subset.mulaw(0.3 * np.sin(2 * np.pi * hz * time)))[0])
