"""The sounds of the scenes: who speaks, what else is heard, and how a phone carries it.

`packaged` is made of the packaged recordings and of synthesised noises: the same bytes
on every machine. `bench.gate.scene_recordings` takes recordings instead.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from bench import noises
from bench.gate import acoustics, scene_events, subset
from bench.gate.subset import RATE, Audio

PART = RATE // 100
Mask = NDArray[np.bool_]
Generator = np.random.Generator
# Makes so many samples of a sound, with an RMS of 1.
Ground = Callable[[int, Generator], Audio]

READERS = tuple(f"human-en-reader-{number}" for number in (1, 2, 3, 4))
COMMANDS = ("human-en-command-1", "human-en-command-2")
HUMANS = (*READERS, *COMMANDS)
TALKERS = {
    **{name: (name,) for name in READERS},
    "human-en-command": COMMANDS,
    "caller-en": ("caller-en-1", "caller-en-2", "caller-en-goodbye"),
    "caller-he": ("caller-he-1", "caller-he-2", "caller-he-goodbye"),
}
AI = tuple(
    f"ai-{language}-{said}"
    for said in ("offer", "name", "booked", "greeting")
    for language in ("en", "he")
)
# A short answer, in parts of 10 ms.
WORD_PARTS = (24, 60)
# A stop within a word is silent for less, and a weak consonant is nearer to its vowel.
STRAY_PARTS, STRAY_GAP, STRAY_DB = 10, 10, -15.0
EVENTS = 24
# Under the singer, and under who talks on television.
SONG_CHORDS_DB, TELEVISION_MUSIC_DB = -8, -10
# A telephone's band, in Hz: a Butterworth filter of the second order.
PHONE = butter(2, (250, 3_400), "bandpass", fs=RATE, output="sos")


class Clip(NamedTuple):
    """Clean speech with an active RMS of 1, and for each 10 ms whether it is speech."""

    audio: Audio
    mask: Mask


class Sounds(NamedTuple):
    """Everything that is heard in the scenes."""

    voices: dict[str, list[Clip]]
    words: dict[str, list[Clip]]
    # The noise of the room in which somebody says words; pink noise if it is not known.
    rooms: dict[str, Ground]
    ai: list[Clip]
    grounds: dict[str, Ground]
    events: dict[str, list[Audio]]
    # Whole recordings, at their own level and in their own noise.
    as_recorded: list[Clip]


def packaged() -> Sounds:
    """Return the sounds that the repository holds, and those that it makes."""
    voices = {
        talker: [recorded(name) for name in names] for talker, names in TALKERS.items()
    }
    words = {talker: _words(clips) for talker, clips in voices.items()}
    return Sounds(
        voices=voices,
        words={talker: found for talker, found in words.items() if found},
        rooms={},
        ai=[recorded(name) for name in AI],
        grounds={kind: _ground(kind) for kind in noises.STEADY}
        | {
            "pink": pink,
            "song": _song,
            "television": television(_ground("music"), list(voices.values())),
        },
        events=_events(),
        as_recorded=[_as_it_is(name) for name in HUMANS],
    )


def recorded(name: str) -> Clip:
    """Return a packaged recording from its first sound to its last."""
    audio, mask = _as_it_is(name)
    return trimmed(audio / subset.active_rms(audio), mask)


def _as_it_is(name: str) -> Clip:
    audio = subset.samples(name)
    mask = np.zeros(len(audio) // PART, bool)
    for start, end in subset.activity(audio):
        mask[round(start * 100) : round(end * 100)] = True
    return Clip(audio, mask)


def trimmed(audio: Audio, mask: Mask) -> Clip:
    """Return a clip from the beginning of the speech to its end.

    A breath, a click, or the rest of a word that the recording cuts off is no speech:
    at either end, a sound that is short, weak, and apart from the others.
    """
    said = runs(mask)
    spoken = audio[: len(mask) * PART][np.repeat(mask, PART)]
    level = subset.rms(spoken) * acoustics.ratio(STRAY_DB)
    while len(said) > 1 and _is_stray(audio, said[0], said[1], level):
        said = said[1:]
    while len(said) > 1 and _is_stray(audio, said[-1], said[-2], level):
        said = said[:-1]
    first, last = said[0][0], said[-1][1]
    return Clip(audio[first * PART : last * PART], mask[first:last])


def _is_stray(
    audio: Audio, run: tuple[int, int], beside: tuple[int, int], level: float
) -> bool:
    start, end = run
    gap = max(beside[0] - end, start - beside[1])
    if end - start > STRAY_PARTS or gap < STRAY_GAP:
        return False
    return subset.rms(audio[start * PART : end * PART]) < level


def runs(mask: Mask) -> list[tuple[int, int]]:
    """Return the first part and the end of each run of speech."""
    steps = np.diff(np.concatenate([[0], mask.astype(int), [0]]))
    edges = np.flatnonzero(steps).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _words(clips: Sequence[Clip]) -> list[Clip]:
    found = []
    for audio, mask in clips:
        for start, end in runs(mask):
            if WORD_PARTS[0] <= end - start <= WORD_PARTS[1]:
                word = audio[start * PART : end * PART]
                found.append(Clip(word / subset.rms(word), mask[start:end]))
    return found


def pink(count: int, rng: Generator) -> Audio:
    """Return pink noise."""
    sound = subset.background("pink", count, rng)
    return sound / subset.rms(sound)


def _ground(kind: str) -> Ground:
    def make(count: int, rng: Generator) -> Audio:
        sound = noises.steady(kind, count, rng)
        return sound / subset.rms(sound)

    return make


def television(music: Ground, voices: Sequence[Sequence[Clip]]) -> Ground:
    """Return a television: one talks after another over music, in a living room."""

    def make(count: int, rng: Generator) -> Audio:
        out = np.zeros(count)
        place = 0
        while place < count:
            clips = voices[int(rng.integers(len(voices)))]
            sound = clips[int(rng.integers(len(clips)))].audio
            sound = in_a_room(sound, 0.4, 0.7, rng)[: count - place]
            out[place : place + len(sound)] += sound
            place += len(sound) + int(rng.uniform(0.2, 1.5) * RATE)
        out += music(count, rng) * 10 ** (TELEVISION_MUSIC_DB / 20)
        return out / subset.rms(out)

    return make


def _song(count: int, rng: Generator) -> Audio:
    singer = scene_events.song(count, rng)
    chords = subset.chords(count, rng)
    out = singer / subset.rms(singer)
    out += chords / subset.rms(chords) * 10 ** (SONG_CHORDS_DB / 20)
    return out / subset.rms(out)


def _events() -> dict[str, list[Audio]]:
    rng = np.random.default_rng(7)
    makers: dict[str, Callable[[Generator], Audio]] = {
        "cough": lambda rng: noises.event("cough", rng),
        "sneeze": scene_events.sneeze,
        "bark": scene_events.bark,
    }
    return {
        kind: [scaled(make(rng)) for _ in range(EVENTS)]
        for kind, make in makers.items()
    }


def scaled(sound: Audio) -> Audio:
    """Return a sound whose loudest 20 ms have an RMS of 1."""
    return sound / loudest(sound)


def loudest(sound: Audio) -> float:
    """Return the RMS of a sound's loudest 20 ms."""
    return max(subset.rms(sound[at : at + 160]) for at in range(0, len(sound), 160))


def in_a_room(audio: Audio, rt60_s: float, direct: float, rng: Generator) -> Audio:
    """Return a sound as a room reflects it; `direct` is its share over the echoes'."""
    return acoustics.in_room(audio, acoustics.room(rng, rt60_s, direct))


def by_phone(audio: Audio) -> Audio:
    """Return a sound as a telephone carries it."""
    return np.asarray(sosfilt(PHONE, audio))
