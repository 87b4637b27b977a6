"""Cuts voices into clips at 8 kHz, with the truth of where somebody speaks.

A clip is one file, or a part of it between two pauses. Its active part has an RMS of 1.
The mask has an entry each 10 ms. The truth comes from the level alone, because the
recordings are clean: a part is active within `RANGE_DB` of the clip's loud parts.
Files that are no speech, or have music, are not in the manifest.
"""

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.gate import manifest
from bench.gate.speakers import EVERYBODY

RATE = 8_000
PART = 80  # samples of a mask's entry: 10 ms
LOWEST_HZ, HIGHEST_HZ = 250, 3_500
RANGE_DB = 32.0  # weak consonants are so far under the loud vowels
HEARD_DB = 40.0  # what is lower is a pause
OVER_FLOOR_DB = 8.0
LEAST_RANGE_DB = 20.0  # a clip without a pause has no floor to be over
LONGEST_GAP, SHORTEST_BLIP = 5, 3  # parts
SHORTEST_ACTIVE = 12
MARGIN = 3  # parts kept before and after the speech
LONGEST_CLIP, CUT_AFTER, CUT_PAUSE = 1_500, 600, 15

Audio = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Bank(NamedTuple):
    """The clips of one part of the split.

    `near`, `words`, `babble` and `ai` are names of voices; whoever speaks near is also
    heard in a babble. `by` has the numbers of a voice's clips.
    """

    near: list[str]
    words: list[str]
    babble: list[str]
    ai: list[str]
    language: dict[str, str]
    by: dict[str, NDArray[np.int64]]
    audio: NDArray[np.float16]
    mask: Mask
    ends: NDArray[np.int64]

    def clip(self, number: int) -> tuple[Audio, Mask]:
        """Return the audio and the mask of a clip, as long as each other."""
        start, end = self.ends[number], self.ends[number + 1]
        audio = self.audio[PART * start : PART * end]
        return audio.astype(np.float32), self.mask[start:end]


def build(cache: Path, split: str) -> Bank:
    """Return the bank of one part; cut it first if the cache does not have it."""
    path = cache / f"bank-{split}-{_version()}.npz"
    if not path.exists():
        _cut_all(cache, split, path)
    with np.load(path) as found:
        return _bank(split, found)


def read(path: Path) -> Audio:
    """Read a recording as 8 kHz mono."""
    import soundfile
    import soxr

    raw: dict[str, Any] = {}
    if path.suffix == ".raw":
        raw = {"samplerate": 16_000, "channels": 1, "subtype": "PCM_16"}
    elif path.suffix == ".gsm":
        raw = {"samplerate": RATE, "channels": 1, "subtype": "GSM610"}
    if raw:
        raw["format"] = "RAW"
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True, **raw)
    mono = audio.mean(axis=1)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE)


def cut(audio: Audio) -> Iterator[tuple[Audio, Mask]]:
    """Cut a recording into clips, each with its mask; none if nobody speaks."""
    audio = audio - audio.mean() if len(audio) else audio
    audio = audio[: len(audio) // PART * PART]
    active, band = active_parts(audio)
    for start, end in _pieces(active):
        mask = active[start:end]
        if mask.sum() < SHORTEST_ACTIVE:
            continue
        loud = np.repeat(mask, PART)
        heard = band[PART * start : PART * end][loud]
        rms = float(np.sqrt(np.mean(heard**2)))
        if rms > 1e-4:
            yield (audio[PART * start : PART * end] / rms).astype(np.float32), mask


def active_parts(audio: Audio) -> tuple[Mask, Audio]:
    """Return which 10 ms are active, and the audio between 250 and 3,500 Hz."""
    from scipy.signal import butter, sosfiltfilt

    if len(audio) < 10 * PART:
        return np.zeros(len(audio) // PART, bool), audio
    edges = (LOWEST_HZ, HIGHEST_HZ)
    sections = butter(4, edges, btype="bandpass", fs=RATE, output="sos")
    band = sosfiltfilt(sections, audio)
    power = np.square(band.reshape(-1, PART)).mean(axis=1)
    level = 10 * np.log10(power + 1e-12)
    # A word in a long silence is less than 5 % of the recording.
    loud = np.percentile(level[level > level.max() - HEARD_DB], 95)
    floor = np.percentile(level, 5)
    over_floor = min(floor + OVER_FLOOR_DB, loud - LEAST_RANGE_DB)
    active = level > max(loud - RANGE_DB, over_floor)
    active = _without_runs(active, False, LONGEST_GAP)
    return _without_runs(active, True, SHORTEST_BLIP - 1), band


def _without_runs(mask: Mask, value: bool, longest: int) -> Mask:
    """Turn over inner runs of `value` of at most `longest` parts."""
    result = mask.copy()
    edges = np.flatnonzero(np.diff(mask)) + 1
    for start, end in pairwise(edges):
        if mask[start] == value and end - start <= longest:
            result[start:end] = not value
    return result


def _pieces(active: Mask) -> Iterator[tuple[int, int]]:
    """Yield the parts between long silences; a long file is cut in its pauses."""
    spoken = np.flatnonzero(active)
    if not len(spoken):
        return
    first, last = int(spoken[0]), int(spoken[-1]) + 1
    start, pauses = first, np.flatnonzero(np.diff(spoken) > CUT_PAUSE)
    if last - first > LONGEST_CLIP:
        for pause in pauses:
            end = int(spoken[pause]) + 1
            if end - start >= CUT_AFTER:
                yield max(0, start - MARGIN), min(len(active), end + MARGIN)
                start = int(spoken[pause + 1])
    yield max(0, start - MARGIN), min(len(active), last + MARGIN)


def _cut_all(cache: Path, split: str, path: Path) -> None:
    clips, masks, owners = [], [], []
    for entry in manifest.entries():
        if entry.split != split or not entry.kind.startswith(manifest.VOICE):
            continue
        for audio, mask in cut(read(cache / "x" / entry.path)):
            clips.append(audio.astype(np.float16))
            masks.append(mask)
            owners.append(entry.kind.removeprefix(manifest.VOICE))
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        audio=np.concatenate(clips),
        mask=np.concatenate(masks),
        ends=np.cumsum([0] + [len(mask) for mask in masks]),
        owners=np.array(owners),
    )
    partial.rename(path)


def _bank(split: str, found: Any) -> Bank:
    owners = found["owners"]
    by = {str(name): np.flatnonzero(owners == name) for name in np.unique(owners)}
    voices = [v for v in EVERYBODY if v.split == split and v.name in by]
    roles = {
        role: [voice.name for voice in voices if role in voice.roles]
        for role in ("near", "words", "babble", "ai")
    }
    roles["babble"] = roles["near"] + roles["babble"]
    language = {voice.name: voice.language for voice in voices}
    return Bank(
        **roles,
        language=language,
        by=by,
        audio=found["audio"],
        mask=found["mask"],
        ends=found["ends"],
    )


def _version() -> str:
    """Return a digest of what a bank is made of."""
    made_of = (manifest.PATH, Path(__file__))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_of))
    return digest.hexdigest()[:12]
