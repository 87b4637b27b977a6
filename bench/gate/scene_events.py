"""Synthesised sounds for the scenes: a sneeze, a bark, and a song.

They are not recordings. A cough is in `bench.noises`.
"""

import numpy as np

from bench.gate.subset import RATE, Audio

Generator = np.random.Generator
# Formants of open vowels, in Hz, and a resonance's width as a share of its frequency.
VOWELS = (
    (700, 1_200, 2_500),
    (500, 900, 2_400),
    (550, 1_800, 2_500),
    (400, 750, 2_300),
)
WIDTH = 1 / 8
SCALE = (0, 2, 4, 5, 7, 9, 11, 12)


def sneeze(rng: Generator) -> Audio:
    """A breath that rises, with more or less voice, a stop, and a burst of hiss."""
    time = np.arange(int(rng.uniform(0.12, 0.3) * RATE)) / RATE
    voice = voiced(rng.uniform(180, 350) * (1 + 0.6 * time), VOWELS[0])
    voice *= rng.uniform(0.3, 1.5) / np.std(voice)
    breath = rng.standard_normal(len(time)) + voice
    breath *= time / time[-1]
    burst_s = np.arange(int(rng.uniform(0.25, 0.5) * RATE)) / RATE
    hiss = np.diff(rng.standard_normal(len(burst_s) + 1))
    hiss *= np.minimum(burst_s / 0.01, 1) * np.exp(-burst_s / rng.uniform(0.06, 0.14))
    stop = np.zeros(int(rng.uniform(0.04, 0.15) * RATE))
    return np.concatenate([breath / _peak(breath) * 0.5, stop, hiss / _peak(hiss)])


def bark(rng: Generator) -> Audio:
    """One to four barks: a rough tone that falls, with a sharp onset."""
    parts = []
    root = rng.uniform(250, 650)
    for _ in range(int(rng.integers(1, 5))):
        time = np.arange(int(rng.uniform(0.1, 0.25) * RATE)) / RATE
        rough = 1 + 0.08 * rng.standard_normal(len(time))
        tone = voiced(root * (1.3 - 1.5 * time) * rough, (900, 1_600, 2_600))
        tone += 0.3 * _peak(tone) * rng.standard_normal(len(time))
        tone *= np.minimum(time / 0.015, 1) * np.exp(-time / 0.09)
        parts += [tone, np.zeros(int(rng.uniform(0.15, 0.5) * RATE))]
    return np.concatenate(parts[:-1])


def song(count: int, rng: Generator) -> Audio:
    """A singer over chords: held vowels with vibrato, one after another."""
    out = np.zeros(count)
    place = 0
    root = rng.uniform(150, 320)
    while place < count:
        length = int(rng.uniform(0.25, 1.2) * RATE)
        time = np.arange(length) / RATE
        vibrato = 1 + 0.02 * np.sin(2 * np.pi * 5.5 * time) * np.minimum(time / 0.2, 1)
        hz = root * 2 ** (int(rng.choice(SCALE)) / 12) * vibrato
        note = voiced(hz, VOWELS[int(rng.integers(len(VOWELS)))])
        note *= np.minimum(time / 0.03, 1) * np.minimum((time[-1] - time) / 0.05, 1)
        room = out[place : place + length]
        room += (note / _peak(note))[: len(room)]
        place += length + int(rng.choice([0.0, 0.02, 0.3], p=[0.5, 0.3, 0.2]) * RATE)
    return out


def voiced(hz: Audio, formants: tuple[int, ...]) -> Audio:
    """Return the harmonics of a pitch, sample by sample, through a vocal tract."""
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    out = np.zeros(len(hz))
    for harmonic in range(1, int(3_600 / float(np.median(hz))) + 1):
        at = harmonic * hz
        gain = sum(1 / (1 + ((at - f) / (WIDTH * f)) ** 2) for f in formants)
        out += (gain + 0.05) / harmonic**0.5 * np.sin(harmonic * phase)
    return out


def _peak(sound: Audio) -> float:
    return float(np.abs(sound).max()) + 1e-9
