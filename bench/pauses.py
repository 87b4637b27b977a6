"""Callers who pause for 0.30 to 0.47 s between packaged words, in several noises."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bench.cases import LEVEL_DBOV, LINE_DBOV, RATE, cut
from bench.gate import subset

NOISES = (("none", 60), ("pink", 20), ("pink", 10), ("fan", 10), ("hum", 10))
CALLS, WORDS = 24, 4
PAUSES_S = (0.30, 0.47)
# By then the gate has measured the line; after it every turn has ended.
BEGINS_S, AFTER_S = 3.0, 4.0
WORD_S = 0.3


class Words(NamedTuple):
    """One call: the line in mu-law, and where it has a pause, in s."""

    name: str
    frames: list[bytes]
    pauses: list[tuple[float, float]]


def words() -> Iterator[Words]:
    """Yield CALLS calls for each noise; the words are the same in each noise."""
    parts = list(_parts())
    for noise, snr_db in NOISES:
        for seed in range(CALLS):
            yield _call(noise, snr_db, np.random.default_rng(seed), parts)


def _parts() -> Iterator[subset.Audio]:
    """Yield what the packaged voices say without a pause, cut where it begins."""
    for name in subset.VOICES:
        voice = subset.samples(name)
        level = 10 ** (LEVEL_DBOV / 20) / subset.active_rms(voice)
        for start, end in subset.activity(voice):
            if end - start >= WORD_S:
                yield voice[int(start * RATE) : int(end * RATE)] * level


def _call(
    noise: str, snr_db: int, rng: np.random.Generator, parts: list[subset.Audio]
) -> Words:
    said = [np.zeros(int(BEGINS_S * RATE))]
    pauses = []
    for _ in range(WORDS):
        said.append(parts[int(rng.integers(len(parts)))])
        begins = sum(map(len, said))
        said.append(np.zeros(int(rng.uniform(*PAUSES_S) * RATE)))
        pauses.append((begins / RATE, (begins + len(said[-1])) / RATE))
    line = np.concatenate([*said, np.zeros(int(AFTER_S * RATE))])
    line += rng.normal(0, 10 ** (LINE_DBOV / 20), len(line))
    if noise != "none":
        sound = subset.background(noise, len(line), rng)
        line += sound / subset.rms(sound) * 10 ** ((LEVEL_DBOV - snr_db) / 20)
    name = noise if noise == "none" else f"{noise} {snr_db} dB"
    return Words(name, cut(subset.mulaw(line)), pauses[:-1])
