"""The sounds of the scenes from recordings of one part of the split.

`bench.gate.material` says where they come from. They are not in the repository. What is
chosen depends on the part and on the files alone.
"""

from collections.abc import Sequence
from functools import cache as once
from pathlib import Path
from typing import TypeVar

import numpy as np
from scipy.signal import fftconvolve

from bench.gate import material, subset, voices
from bench.gate.scene_calls import joined
from bench.gate.scene_sounds import (
    PART,
    Clip,
    Generator,
    Ground,
    Sounds,
    pink,
    scaled,
    television,
    trimmed,
)
from bench.gate.subset import RATE, Audio

# So many of each, the first by a seeded shuffle.
CLIPS_A_VOICE, AI_CLIPS, FILES_A_VOICE, GROUND_FILES = 40, 60, 8, 24
# A voice with less speech, in s, would say the same again and again.
LEAST_S = 8.0
# A short answer, in parts of 10 ms of speech.
WORD_PARTS = (12, 60)
LONGEST_EVENT_S = 2.0
# So many quiet parts of 10 ms show what a room sounds like.
QUIET_LEAST = 20
TALKERS_OF_BABBLE = 6
STEADY = ("music", "fan", "street")
EVENTS = ("cough", "sneeze", "bark")
SEED = 5


def recordings(cache: Path, split: str) -> Sounds:
    """Return the sounds of one part of the split, from the material's cache."""
    bank = voices.build(cache, split)
    everybody = {name: _clips(bank, name) for name in {*bank.near, *bank.babble}}
    near = {name: everybody[name] for name in sorted(bank.near)}
    behind = [everybody[name] for name in sorted(bank.babble)]
    grounds = {kind: _ground(material.files(cache, split, kind)) for kind in STEADY}
    ai = [clip for name in bank.ai for clip in _clips(bank, name)]
    return Sounds(
        voices={name: clips for name, clips in near.items() if _is_enough(clips)},
        words={name: words for name in bank.words if (words := _words(bank, name))},
        rooms=_rooms(cache, split, set(bank.words)),
        ai=_some(ai, AI_CLIPS),
        grounds=grounds
        | {
            "pink": pink,
            "babble": _babble(behind),
            "television": television(grounds["music"], behind),
        },
        events={
            kind: found
            for kind in EVENTS
            if (found := _events(material.files(cache, split, kind)))
        },
        as_recorded=_as_recorded(cache, split, set(near)),
    )


def _clips(bank: voices.Bank, name: str) -> list[Clip]:
    chosen = _some(bank.by[name].tolist(), CLIPS_A_VOICE)
    return [trimmed(*bank.clip(number)) for number in chosen]


def _words(bank: voices.Bank, name: str) -> list[Clip]:
    return [
        clip
        for clip in _clips(bank, name)
        if WORD_PARTS[0] <= len(clip.mask) <= WORD_PARTS[1]
    ]


def _rooms(cache: Path, split: str, words: set[str]) -> dict[str, Ground]:
    found = {}
    for voice in material.voices(split):
        if voice.name in words:
            paths = _some(material.voice_files(cache, voice), FILES_A_VOICE)
            quiet = [part for path in paths for part in _quiet(path)]
            if len(quiet) >= QUIET_LEAST:
                found[voice.name] = room(np.array(quiet))
    return found


def _quiet(path: Path) -> Audio:
    audio, mask = _read(path)
    return audio.reshape(-1, PART)[~mask]


def room(quiet: Audio) -> Ground:
    """Return noise with the mean spectrum of these 10 ms, a row each."""
    power = np.mean(np.abs(np.fft.rfft(quiet * np.hanning(PART), axis=1)) ** 2, axis=0)
    shape = np.fft.fftshift(np.fft.irfft(np.sqrt(power)))

    def make(count: int, rng: Generator) -> Audio:
        out = fftconvolve(rng.standard_normal(count), shape, "same")
        return np.asarray(out / subset.rms(out))

    return make


def _is_enough(clips: Sequence[Clip]) -> bool:
    return sum(int(clip.mask.sum()) for clip in clips) / 100 >= LEAST_S


One = TypeVar("One")


def _some(found: Sequence[One], count: int) -> list[One]:
    order = np.random.default_rng(SEED).permutation(len(found))[:count]
    return [found[at] for at in order]


def _ground(files: Sequence[Path]) -> Ground:
    """Return a ground that goes from one file to another."""
    chosen = _some(files, GROUND_FILES)
    read = once(voices.read)

    def make(count: int, rng: Generator) -> Audio:
        out = np.zeros(count)
        place = 0
        while place < count:
            sound = read(chosen[int(rng.integers(len(chosen)))])
            begin = int(rng.integers(max(1, len(sound) - 20 * RATE)))
            sound = sound[begin : begin + min(20 * RATE, count - place)]
            level = subset.rms(sound)
            if level > 1e-4:
                out[place : place + len(sound)] = sound / level
                place += len(sound)
        return out

    return make


def _babble(talkers: Sequence[Sequence[Clip]]) -> Ground:
    def make(count: int, rng: Generator) -> Audio:
        out = np.zeros(count)
        for at in rng.permutation(len(talkers))[:TALKERS_OF_BABBLE]:
            out += joined(talkers[at], count / RATE, (0.1, 0.6), rng).audio[:count]
        return out / subset.rms(out)

    return make


def _events(files: Sequence[Path]) -> list[Audio]:
    found = []
    for path in _some(files, GROUND_FILES):
        sound = voices.read(path)[: int(LONGEST_EVENT_S * RATE)].astype(float)
        if subset.rms(sound) > 1e-4:
            found.append(scaled(sound))
    return found


def _as_recorded(cache: Path, split: str, near: set[str]) -> list[Clip]:
    found = []
    for voice in material.voices(split):
        if voice.name not in near:
            continue
        for path in _some(material.voice_files(cache, voice), FILES_A_VOICE):
            audio, mask = _read(path)
            if mask.any():
                found.append(Clip(audio, mask))
    return found


def _read(path: Path) -> Clip:
    """Return a whole recording as it is."""
    audio = voices.read(path).astype(float)
    audio = audio[: len(audio) // PART * PART]
    return Clip(audio, voices.active_parts(audio)[0])
