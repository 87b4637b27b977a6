"""Calls with ground truth for the scenes: one voice in a room and in noise.

A frame is said if half of it or more is speech in the clean recording. Levels are
those of the caller's active speech; a signal-to-noise ratio is of that to the noise.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.cases import cut
from bench.gate import subset
from bench.gate.acoustics import ratio
from bench.gate.scene_sounds import (
    PART,
    Clip,
    Generator,
    Ground,
    Mask,
    by_phone,
    in_a_room,
    runs,
)
from bench.gate.subset import Audio
from dsp.g711 import FRAME_BYTES

LEVEL_DBOV = -26.0
LINE_DBOV = -68.0
AI_DBOV = -20.0
FRAME_PARTS = 2
FULL_SCALE = 0.98


class Room(NamedTuple):
    """A room's reverberation time, and the direct sound's share over the echoes'."""

    rt60_s: float
    direct: float


class Noise(NamedTuple):
    """What is heard behind a caller, and how far under their speech."""

    ground: Ground
    snr_db: float


class Spoken(NamedTuple):
    """What a caller's side sends, and where the caller speaks."""

    near: bytes
    is_said: Mask  # frame by frame
    turns: list[tuple[float, float]]  # in s

    @property
    def frames(self) -> list[bytes]:
        """The frames, each an object of its own."""
        return cut(self.near)


def joined(
    clips: Sequence[Clip],
    seconds: float,
    gap_s: tuple[float, float],
    rng: Generator,
) -> Clip:
    """Return a talk of about `seconds`: clips with pauses between them."""
    said: list[Clip] = []
    parts, end = 0, round(seconds * 100)
    while parts < end:
        clip = clips[int(rng.integers(len(clips)))]
        gap = round(rng.uniform(*gap_s) * 100)
        said += [clip, quiet(gap)]
        parts += len(clip.mask) + gap
    audio, mask = one_after_another(said)
    return Clip(audio[: end * PART], mask[:end])


def quiet(parts: int) -> Clip:
    """Return a pause."""
    return Clip(np.zeros(parts * PART), np.zeros(parts, bool))


def one_after_another(clips: Sequence[Clip]) -> Clip:
    """Return the clips as one."""
    audio = np.concatenate([clip.audio for clip in clips])
    return Clip(audio, np.concatenate([clip.mask for clip in clips]))


def spoken(
    talk: Clip,
    rng: Generator,
    begin_s: float = 0.0,
    after_s: float = 1.0,
    room: Room | None = None,
    noise: Noise | None = None,
    level_dbov: float = LEVEL_DBOV,
) -> Spoken:
    """Return the call of a caller who begins after `begin_s` of line."""
    begin, after = round(begin_s * 100), round(after_s * 100)
    mask = np.pad(talk.mask, (begin, after))
    mask = np.pad(mask, (0, len(mask) % FRAME_PARTS))
    clean = np.zeros(len(mask) * PART)
    clean[begin * PART : begin * PART + len(talk.audio)] = talk.audio
    if room is not None:
        clean = in_a_room(clean, *room, rng)
    clean = by_phone(clean)
    level = ratio(level_dbov)
    clean *= level / subset.rms(clean[np.repeat(mask, PART)])
    near = clean + rng.normal(0, ratio(LINE_DBOV), len(clean))
    if noise is not None:
        sound = by_phone(noise.ground(len(clean), rng))
        near += sound / subset.rms(sound) * level * ratio(-noise.snr_db)
    turns = [(start / 100, end / 100) for start, end in runs(mask)]
    return Spoken(mulaw(near), frames_said(mask), turns)


def frames_said(mask: Mask) -> Mask:
    """Return for each frame whether half of it or more is speech."""
    whole = mask[: len(mask) // FRAME_PARTS * FRAME_PARTS]
    return np.asarray(whole.reshape(-1, FRAME_PARTS).any(axis=1))


def alone(sound: Audio, level_dbov: float, rng: Generator) -> bytes:
    """Return the call of a caller's side where this sound is all there is."""
    sound = by_phone(sound)
    near = sound / subset.rms(sound) * ratio(level_dbov)
    return mulaw(near + rng.normal(0, ratio(LINE_DBOV), len(near)))


def talkative(ai: Sequence[Clip], seconds: float, rng: Generator) -> Audio:
    """Return the speech of an AI that talks on, with short pauses."""
    return joined(ai, seconds, (0.1, 0.5), rng).audio * ratio(AI_DBOV)


def mulaw(audio: Audio) -> bytes:
    """Return whole frames of mu-law of a signal of full scale 1."""
    whole = audio[: len(audio) // FRAME_BYTES * FRAME_BYTES]
    return subset.mulaw(np.clip(whole, -FULL_SCALE, FULL_SCALE))
