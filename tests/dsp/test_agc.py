"""The gain for quiet callers: where they arrive, what stays, what never clips."""

import numpy as np
import pytest

from bench.gate import subset
from dsp.g711 import GAIN_TABLES, decode
from dsp.gate import SPEECH, STATE_MASK, NoiseGate

FRAME = 160


def heard(signal, gate):
    """Put a signal through a gate; return it as lifted, and its level where spoken."""
    audio = subset.mulaw(signal)
    lifted = b""
    is_open = []
    for at in range(0, len(audio) - FRAME + 1, FRAME):
        frame = audio[at : at + FRAME]
        is_open.append(gate.analyze(frame) & STATE_MASK == SPEECH)
        lifted += frame.translate(GAIN_TABLES[gate.gain_step])
    samples = np.frombuffer(decode(lifted), "<i2") / 32768
    return samples, np.array(is_open)


def caller(level_dbov):
    """20 s of a reader after a second of a quiet line, at an active level."""
    voice = np.concatenate(
        [subset.samples(f"human-en-reader-{number}") for number in (1, 2, 3, 4)]
    )
    voice = voice / subset.active_rms(voice) * 10 ** (level_dbov / 20)
    ground = np.random.default_rng(1).normal(0, 10 ** (-66 / 20), 8_000 + len(voice))
    ground[8_000:] += voice
    return ground


def active_dbov(samples):
    return 20 * np.log10(subset.active_rms(samples))


@pytest.mark.parametrize("level_dbov", [-36, -32, -28])
def test_a_quiet_caller_arrives_within_3_db_of_the_target(level_dbov):
    samples, _ = heard(caller(level_dbov), NoiseGate(agc=True))
    assert -25 <= active_dbov(samples[8_000 + 8_000 :]) <= -19


@pytest.mark.parametrize("level_dbov", [-20, -14])
def test_a_loud_caller_is_left_alone(level_dbov):
    signal = caller(level_dbov)
    samples, _ = heard(signal, NoiseGate(agc=True))
    untouched = np.frombuffer(decode(subset.mulaw(signal)), "<i2") / 32768
    assert abs(active_dbov(samples) - active_dbov(untouched[: len(samples)])) < 0.6


def test_noise_alone_is_never_lifted():
    gate = NoiseGate(agc=True)
    noise = subset.background("pink", 160_000, np.random.default_rng(3))
    heard(noise / subset.rms(noise) * 0.01, gate)
    assert gate.gain_step == 0


def test_a_shout_after_whispering_does_not_clip():
    quiet, loud = caller(-38), caller(-10)
    gate = NoiseGate(agc=True)
    samples, _ = heard(np.concatenate([quiet, loud]), gate)
    assert np.abs(samples).max() <= 32_635 / 32_768
    # Nothing was cut off: what is at the largest code was there before.
    first = np.frombuffer(decode(subset.mulaw(loud)), "<i2") / 32768
    there = np.sum(np.abs(samples[len(quiet) :]) > 0.97)
    assert there <= np.sum(np.abs(first) > 0.97)


def test_gain_moves_by_half_a_db_upwards():
    gate = NoiseGate(agc=True)
    audio, steps = subset.mulaw(caller(-36)), []
    for at in range(0, len(audio) - FRAME + 1, FRAME):
        gate.analyze(audio[at : at + FRAME])
        steps.append(gate.gain_step)
    rises = np.diff(steps)
    assert rises.max() == 1
    assert max(steps) > 20


def test_without_it_every_byte_stays_as_it_came():
    gate = NoiseGate()
    audio = subset.mulaw(caller(-36))
    for at in range(0, len(audio) - FRAME + 1, FRAME):
        gate.analyze(audio[at : at + FRAME])
        assert gate.gain_step == 0
    assert GAIN_TABLES[0] == bytes(range(256))


def test_the_gain_is_not_seen_by_snr_and_floor():
    signal = caller(-36)
    plain, lifted = NoiseGate(), NoiseGate(agc=True)
    audio = subset.mulaw(signal)
    for at in range(0, len(audio) - FRAME + 1, FRAME):
        frame = audio[at : at + FRAME]
        assert plain.analyze(frame) == lifted.analyze(frame)
        assert (plain.snr_db, plain.floor_rms) == (lifted.snr_db, lifted.floor_rms)
