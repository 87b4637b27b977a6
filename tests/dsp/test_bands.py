"""Band floors and features: what a sine, noise, a step, a pulse and silence read."""

import math
import sys

import numpy as np

from bench.gate import subset
from bench.gate.acoustics import in_room, room
from dsp.bands import decibels_of
from dsp.gate import NoiseGate

FRAME = 160
LINE_DB = 20.0  # line_db(0): 10 units, a quiet line
LEVEL, LAG, FLAT, FAR, UNDER_FAR, CREST = 32, 34, 35, 36, 37, 43
FAR_NEAR, FAR_LATE, FAR_LATEST = 38, 39, 40
OVER_FAST, OVER_SLOW = slice(0, 16), slice(16, 32)


def run(samples, far_dbfs=-127.0, gate=None):
    """Put a signal of full scale 1 through a gate and return it."""
    gate = gate or NoiseGate()
    audio = subset.mulaw(np.asarray(samples, float))
    for at in range(0, len(audio) - FRAME + 1, FRAME):
        gate.analyze(audio[at : at + FRAME], far_dbfs)
    return gate


def white(seconds, rms, seed=1):
    return np.random.default_rng(seed).normal(0, rms, int(8_000 * seconds))


def sine(seconds, hz, peak):
    return peak * np.sin(2 * np.pi * hz * np.arange(int(8_000 * seconds)) / 8_000)


def test_the_logarithm_of_every_power_is_exact_to_0_00001_db():
    powers = [1.001**at for at in range(23_100)]
    assert powers[-1] > 1e10
    worst = max(abs(decibels_of(power) - 10 * math.log10(power)) for power in powers)
    assert worst < 1e-5


def test_silence_reads_the_least_that_is_told_apart():
    gate = run(np.zeros(8_000))
    assert np.allclose(gate.floors_db, LINE_DB, atol=0.01)
    assert np.allclose(gate.features[OVER_FAST], 0, atol=0.01)
    assert abs(gate.features[LEVEL] - LINE_DB) < 0.01


def test_the_floor_of_noise_lies_a_little_under_its_mean():
    gate = run(white(5, 0.03))
    mean_db = 20 * np.log10(0.03 * 32_768)
    assert np.all(np.array(gate.floors_db) < mean_db)
    assert np.mean(gate.floors_db) > mean_db - 8
    assert abs(gate.features[LEVEL] - mean_db) < 3


def test_a_step_of_the_noise_is_learnt_within_two_seconds():
    gate = run(white(3, 0.003))
    low = np.mean(gate.floors_db)
    run(white(0.5, 0.03, seed=2), gate=gate)
    assert np.mean(gate.features[OVER_FAST]) > 15
    run(white(2, 0.03, seed=3), gate=gate)
    assert np.mean(gate.floors_db) > low + 15
    assert np.mean(gate.features[OVER_FAST]) < 8


def test_speech_in_the_first_frames_is_not_the_floor():
    voice = subset.samples("human-en-reader-1")
    first = int(subset.activity(voice)[0][0] * 8_000)
    gate = run(voice[first : first + 8_000])
    loud_db = 20 * np.log10(subset.active_rms(voice) * 32_768)
    assert np.mean(gate.slow_floors_db) < loud_db - 20
    # The floors of a line with the same noise before it are no higher.
    known = run(np.concatenate([white(3, 1e-4), voice[first : first + 8_000]]))
    assert np.mean(gate.slow_floors_db) < np.mean(known.slow_floors_db) + 12


def test_the_slow_floor_knows_the_line_after_half_a_minute_of_sound():
    gate = run(white(3, 0.003))
    low = np.mean(gate.slow_floors_db)
    run(white(20, 0.03, seed=3), gate=gate)
    assert np.mean(gate.floors_db) > low + 15
    assert low + 9 < np.mean(gate.slow_floors_db) < low + 11
    run(white(2, 0.003, seed=4), gate=gate)
    assert abs(np.mean(gate.slow_floors_db) - low) < 2


def test_the_slow_floor_climbs_less_while_somebody_speaks():
    """In a room that fills the pauses: the fast floor is in the speech by then."""
    gate = run(white(3, 0.0003))
    low = np.mean(gate.slow_floors_db)
    voice = np.resize(subset.samples("human-en-reader-1"), 20 * 8_000)
    held = in_room(voice, room(np.random.default_rng(1), 0.4, 0.3))
    run(0.05 * held / subset.rms(held), gate=gate)
    assert np.mean(gate.floors_db) > low + 8
    assert np.mean(gate.slow_floors_db) < low + 4


def test_the_start_of_both_floors_is_quick():
    gate = run(white(2, 0.03))
    mean_db = 20 * np.log10(0.03 * 32_768)
    assert np.mean(gate.floors_db) > mean_db - 8
    assert np.mean(gate.slow_floors_db) > mean_db - 20


def test_a_sine_lifts_its_own_band_alone_and_is_not_flat():
    gate = run(np.concatenate([white(2, 0.001), sine(0.3, 1_000, 0.2)]))
    over = np.array(gate.features[OVER_FAST])
    assert over.max() > 35
    assert np.sum(over > 20) <= 3
    flat = run(white(2, 0.03)).features[FLAT]
    assert flat - gate.features[FLAT] > 15


def test_a_pulse_has_all_its_energy_in_one_part_of_the_frame():
    pulse = np.zeros(160)
    pulse[70:74] = 0.6
    gate = run(np.concatenate([np.zeros(1_600), pulse]))
    assert gate.features[CREST] > 7
    assert run(white(1, 0.03)).features[CREST] < 4


def test_a_voiced_sound_tells_its_pitch_lag():
    hz, count = 125, np.arange(8_000)
    voiced = sum(np.sin(2 * np.pi * hz * k * count / 8_000) / k for k in range(3, 20))
    gate = run(0.05 * voiced)
    assert gate.periodicity > 0.8
    # 4000 / 125 = 32 samples at 4 kHz; two periods fit as well as one. 0 dB is 10.
    lag = 10 * 10 ** (gate.features[LAG] / 10)
    assert min(abs(lag - 32), abs(lag - 64)) < 1.1
    assert run(white(1, 0.03)).periodicity < 0.3


def test_the_far_level_is_remembered_for_half_a_second_by_its_age():
    gate = run(np.zeros(1_600))
    quiet = gate.features[FAR]
    gate.analyze(b"\xff" * FRAME, -20.0)
    far_db = 90.309 - 20
    assert abs(gate.features[FAR] - far_db) < 0.01
    assert abs(gate.features[UNDER_FAR] - (LINE_DB - far_db)) < 0.01
    seen = []
    for _ in range(26):
        gate.analyze(b"\xff" * FRAME)
        ages = FAR, FAR_NEAR, FAR_LATE
        seen.append([gate.features[n] > quiet + 1 for n in ages])
    assert [row[0] for row in seen] == [True] * 25 + [False]
    assert [at for at, row in enumerate(seen, 1) if row[1]] == list(range(6, 14))
    assert [at for at, row in enumerate(seen, 1) if row[2]] == list(range(14, 26))


def test_the_state_of_a_call_is_under_5_kib():
    assert sys.getsizeof(NoiseGate()) <= 5_120
