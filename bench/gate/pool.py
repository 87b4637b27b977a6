"""The voices and recordings of one part of the split."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.gate import material, voices
from bench.gate.acoustics import RATE, Audio, Source
from bench.gate.sounds import KINDS
from bench.gate.voices import Bank

# Of a long recording its first two minutes are used.
LONGEST_S, RECORDINGS_KEPT = 120, 200


class Sounds:
    """The voices of a part of the split, and its recordings by kind."""

    def __init__(self, bank: Bank, files: dict[str, list[Path]]) -> None:
        self.bank = bank
        self._files = files

    def has(self, kind: str) -> bool:
        """Whether there are recordings of a kind."""
        return bool(self._files.get(kind))

    def recording(self, kind: str, rng: Source) -> Audio:
        """Return a recording of a kind, without its mean."""
        files = self._files[kind]
        return _decoded(files[int(rng.integers(len(files)))]).astype(float)


def of_material(cache: Path, split: str) -> Sounds:
    """Return the sounds of a part, cut and decoded from the material's packages."""
    kinds = KINDS
    files = {kind: material.files(cache, split, kind) for kind in kinds}
    return Sounds(voices.build(cache, split), files)


@lru_cache(maxsize=RECORDINGS_KEPT)
def _decoded(path: Path) -> NDArray[np.float32]:
    audio = voices.read(path)[: LONGEST_S * RATE]
    return np.asarray(audio - audio.mean(), np.float32)


def speech(
    bank: Bank, voice: str, count: int, rng: Source, pauses_s: tuple[float, float]
) -> Audio:
    """Return `count` samples of a voice's clips, with pauses between."""
    parts: list[Audio] = []
    done = 0
    while done < count:
        clip, _ = bank.clip(int(rng.choice(bank.by[voice])))
        pause = np.zeros(int(rng.uniform(*pauses_s) * RATE))
        parts += [clip.astype(float), pause]
        done += len(clip) + len(pause)
    return np.concatenate(parts)[:count]
