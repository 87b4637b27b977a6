"""The caller of a generated call: turns, monologues or single words, in a room."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import istft, stft

from bench.gate.acoustics import RATE, Audio, in_room, put, ratio, rms, room, telephone
from bench.gate.pool import Sounds
from bench.gate.speakers import BY_NET, BY_RULES
from bench.gate.voices import Bank

PART = 80  # samples: the ground truth has parts of 10 ms
# How often a caller is of each kind: the recorded are few.
SHARES = {"recorded": 0.4, "net": 0.4, "rules": 0.2}
# Playback rates of voices: another pitch and vocal tract, from an old to a child's.
RATES = (0.82, 1.28)
AT_ONCE_S = 0.3


class Scene(NamedTuple):
    """The voices, sounds, and random source of a call, and its number of samples."""

    bank: Bank
    sounds: Sounds
    rng: np.random.Generator
    total: int


def spoken(
    scene: Scene, way: str, is_at_once: bool = False
) -> tuple[Audio, NDArray[np.bool_], str]:
    """One caller's turns, at 0 dBov while they speak, where they speak, and who."""
    bank, rng = scene.bank, scene.rng
    voice = drawn_voice(bank.words if _says_words(scene, way) else bank.near, rng)
    rate = 1.0 if rng.random() < 0.5 else float(rng.uniform(*RATES))
    out, mask = np.zeros(scene.total), np.zeros(scene.total // PART, bool)
    at = int(rng.uniform(0, AT_ONCE_S) * RATE) if is_at_once else _beginning(rng)
    pause_s = {"turns": (0.06, 0.7), "talks_on": (0.03, 0.3), "words": (0.3, 2.5)}[way]
    while at < scene.total:
        began, wanted = at, _turn_s(way, rng) * RATE
        gain_db = rng.uniform(-2, 2)
        while at - began < wanted and at < scene.total:
            clip, said = _clip(bank, voice, rate, rng)
            place = at // PART * PART
            if way != "talks_on":
                # A long clip is cut: the net learns most from a turn's beginning.
                said = said[
                    : max(int((began + wanted + 0.4 * RATE) - place), PART) // PART
                ]
            said = said[: (scene.total - place) // PART]
            clip = clip[: len(said) * PART] * ratio(gain_db + rng.uniform(-2, 2))
            put(out, place, clip)
            mask[place // PART : place // PART + len(said)] |= said
            at = place + max(len(clip), PART) + int(rng.uniform(*pause_s) * RATE)
        at += int(rng.choice([0.6, 1.2, 2.0, 3.0, 5.0]) * RATE)
    if rng.random() < 0.03:
        out = _whispered(out, rng)
    return telephone(out), mask, voice


def drawn_voice(voices: list[str], rng: np.random.Generator) -> str:
    """Draw a kind of voices that is there, by its share, and one of them."""
    kinds: dict[str, list[str]] = {kind: [] for kind in SHARES}
    for voice in voices:
        kinds[_kind(voice)].append(voice)
    found = {kind: SHARES[kind] for kind, some in kinds.items() if some}
    shares = np.array(list(found.values()))
    kind = str(rng.choice(list(found), p=shares / shares.sum()))
    return str(rng.choice(kinds[kind]))


def _kind(voice: str) -> str:
    return "net" if voice in BY_NET else "rules" if voice in BY_RULES else "recorded"


def _says_words(scene: Scene, way: str) -> bool:
    return bool(scene.bank.words) and (way == "words" or scene.rng.random() < 0.15)


def _beginning(rng: np.random.Generator) -> int:
    """When a caller first speaks: at once, within two seconds, or after a greeting."""
    draw = rng.random()
    if draw < 0.15:
        return int(rng.uniform(0, 0.1) * RATE)
    return int((rng.uniform(0, 2) if draw < 0.5 else rng.uniform(2, 5)) * RATE)


def _turn_s(way: str, rng: np.random.Generator) -> float:
    if way == "talks_on":
        return float(rng.uniform(8, 40))
    if way == "words":
        return float(rng.choice([0.1, 0.1, 2.0, 5.0]))
    return float(rng.choice([0.3, 0.6, 1.0, 2.0, 4.0, 6.0]))


def _clip(
    bank: Bank, voice: str, rate: float, rng: np.random.Generator
) -> tuple[Audio, NDArray[np.bool_]]:
    audio, mask = bank.clip(int(rng.choice(bank.by[voice])))
    if rate != 1.0:
        count = int(len(audio) / rate)
        audio = np.interp(np.arange(count) * rate, np.arange(len(audio)), audio)
        parts = np.minimum((np.arange(count // PART) * rate).astype(int), len(mask) - 1)
        mask = mask[parts]
    size = min(len(audio) // PART, len(mask))
    return audio[: size * PART], mask[:size]


def _whispered(x: Audio, rng: np.random.Generator) -> Audio:
    """Keep the formants and lose the pitch: random phases in windows of 8 ms."""
    _, _, bins = stft(x, RATE, nperseg=64)
    turned = np.abs(bins) * np.exp(2j * np.pi * rng.random(bins.shape))
    _, out = istft(turned, RATE, nperseg=64)
    return np.asarray(out[: len(x)])


def in_some_room(scene: Scene, near: Audio, is_over: bool) -> Audio:
    """Reverberation for half of the callers, from a close telephone to hands-free.

    Callers over whom the AI talks on are closer to the telephone: further away they
    cannot be told from a television.
    """
    rng = scene.rng
    if rng.random() < 0.5:
        return near
    direct = float(rng.choice([1.0, 2.0, 3.0] if is_over else [0.4, 0.6, 1.0, 2.0]))
    path = room(rng, rng.uniform(0.1, 0.6), direct)
    before = rms(near)
    out = in_room(near, path)
    return out * before / max(rms(out), 1e-9)
