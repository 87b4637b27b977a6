"""Callers with ground truth for the latency benches: packaged voices in noise.

The clean recording shows when a caller begins and ends, in two ways:

- *recorded*: where it is within 30 dB of its loud parts (`subset.activity`);
- *heard*: those of its parts, 10 ms each, that the noise does not cover: at least as
  loud as the noise for 20 ms. Nothing can react to speech that noise covers, and after
  the last uncovered part every listener hears the end.

Without noise the two differ only by clicks of the recording under 30 ms.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bench.gate import subset
from bench.gate.subset import RATE, Audio
from dsp.g711 import FRAME_BYTES

# By then the gate has measured the line, and the AI has been heard for a second.
ONSET_S = 3.0
AFTER_S = 3.0
LEVEL_DBOV = -26.0
LINE_DBOV = -68.0
NOISES = ("none", "pink", "fan", "hum")
SNRS_DB = (20, 10)
# The place of an onset within its frame changes a result by up to 20 ms.
SHIFTS_MS = (0.0, 7.0, 13.0)
# A sound shorter than this is a click of the recording, not the beginning of a word.
WORD_S = 0.1
PART = RATE // 100


class Case(NamedTuple):
    """One caller in one noise: the line in mu-law, and when the caller speaks, in s."""

    name: str
    frames: list[bytes]
    onset_s: float
    end_s: float
    heard_onset_s: float
    heard_end_s: float
    speech: list[tuple[float, float]]


def cases() -> Iterator[Case]:
    """Yield each voice in each noise, beginning at several places in a frame."""
    for voice_at, voice in enumerate(subset.VOICES):
        for noise in NOISES:
            for snr_db in SNRS_DB if noise != "none" else (60,):
                for shift_ms in SHIFTS_MS:
                    yield case(voice, noise, snr_db, shift_ms, voice_at)


def case(voice: str, noise: str, snr_db: int, shift_ms: float, seed: int) -> Case:
    """Make one caller, who begins `shift_ms` after ONSET_S at the earliest."""
    rng = np.random.default_rng(seed)
    speech = subset.samples(voice)
    parts = _words(subset.activity(speech))
    level = 10 ** (LEVEL_DBOV / 20)
    at_s = ONSET_S + shift_ms / 1e3
    clean = np.zeros(int(RATE * (at_s + len(speech) / RATE + AFTER_S)))
    subset.put(clean, at_s, speech / subset.active_rms(speech) * level)
    ground = rng.normal(0, 10 ** (LINE_DBOV / 20), len(clean))
    if noise != "none":
        sound = subset.background(noise, len(clean), rng)
        ground += sound / subset.rms(sound) * level * 10 ** (-snr_db / 20)
    turns = [(at_s + start, at_s + end) for start, end in parts]
    heard = heard_parts(clean, turns, subset.rms(ground))
    return Case(
        f"{voice} {noise} {snr_db} dB +{shift_ms:g} ms",
        cut(subset.mulaw(clean + ground)),
        turns[0][0],
        turns[-1][1],
        heard[0],
        heard[1],
        turns,
    )


def cut(data: bytes) -> list[bytes]:
    """Cut mu-law into whole frames."""
    whole = len(data) - len(data) % FRAME_BYTES
    return [data[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]


def heard_parts(
    clean: Audio, turns: list[tuple[float, float]], noise_rms: float
) -> tuple[float, float]:
    """Return, in s, where the speech that the noise does not cover begins and ends."""
    parts = clean[: len(clean) // PART * PART].reshape(-1, PART)
    is_heard = np.sqrt(np.mean(parts * parts, axis=1)) >= noise_rms
    is_said = np.zeros(len(parts), bool)
    for start, end in turns:
        is_said[round(start * 100) : round(end * 100)] = True
    is_heard &= is_said
    pairs = np.flatnonzero(is_heard[:-1] & is_heard[1:])
    return float(pairs[0]) / 100, float(pairs[-1] + 2) / 100


def _words(parts: list[subset.Segment]) -> list[subset.Segment]:
    """Drop clicks before the first word and cut-off ends after the last."""
    first = next(at for at, (a, b) in enumerate(parts) if b - a >= WORD_S)
    last = next(at for at, (a, b) in enumerate(parts[::-1]) if b - a >= WORD_S)
    return parts[first : len(parts) - last]
