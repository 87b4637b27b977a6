"""The packaged clips as voices and sounds: what `train --small` and the scenes use."""

from functools import cache

import numpy as np

from bench import noises
from bench.gate import subset
from bench.gate.acoustics import Audio, Source
from bench.gate.pool import Sounds
from bench.gate.voices import PART, Bank, cut

NEAR = subset.VOICES
AI = subset.FAR
SECONDS = 20


class PackagedSounds(Sounds):
    """The packaged clips and the noises of `bench.noises` in place of recordings."""

    def has(self, kind: str) -> bool:
        """Whether a kind is made here; what is not is synthesised by the caller."""
        return kind in _MADE

    def recording(self, kind: str, rng: Source) -> Audio:
        """Return a sound of a kind."""
        name = _MADE[kind]
        if kind in ("fan", "street", "crowd", "music"):
            return noises.make(name, SECONDS, int(rng.integers(8)))
        return noises.event(name, rng)


_MADE = {
    "fan": "fan",
    "street": "street",
    "crowd": "babble",
    "music": "music",
    "bump": "bumps",
    "keyboard": "keyboard",
}


@cache
def packaged() -> PackagedSounds:
    """Return the packaged voices, cut into clips, and the sounds."""
    audio, masks, by = [], [], {}
    for name in (*NEAR, *AI):
        clips = list(cut(subset.samples(name).astype(np.float32)))
        by[name] = np.arange(len(audio), len(audio) + len(clips))
        audio += [clip.astype(np.float16) for clip, _ in clips]
        masks += [mask for _, mask in clips]
    near, ai = list(NEAR), list(AI)
    bank = Bank(
        near=near,
        words=[],
        babble=near + ai,
        ai=ai,
        language={name: name.split("-")[1] for name in (*near, *ai)},
        by=by,
        audio=np.concatenate(audio),
        mask=np.concatenate(masks),
        ends=np.cumsum([0, *(len(mask) for mask in masks)]),
    )
    assert len(bank.audio) == PART * len(bank.mask)
    return PackagedSounds(bank, {})
