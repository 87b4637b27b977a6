"""The noises behind a caller, or of a room in which nobody speaks.

Each noise is recorded or made here; where there are recordings, both are used.
"""

from collections.abc import Callable, Iterable

import numpy as np
from scipy.signal import firwin, lfilter

from bench.gate.acoustics import (
    RATE,
    Audio,
    Source,
    at_peak,
    in_room,
    looped,
    pink,
    put,
    ratio,
    rms,
    room,
)
from bench.gate.callers import drawn_voice
from bench.gate.pool import Sounds, speech

SEMITONES = (0, 3, 4, 5, 7, 10, 12, 15, 19)


def noise(sounds: Sounds, kind: str, count: int, rng: Source, near: str = "") -> Audio:
    """Return a noise at any level; `near` is the voice that is not part of it."""
    return _NOISES[kind](sounds, count, rng, near)


def _none(_: Sounds, count: int, _rng: Source, _near: str) -> Audio:
    return np.zeros(count)


def _pink(_: Sounds, count: int, rng: Source, _near: str) -> Audio:
    return pink(count, rng, rng.uniform(0.0, 2.0))


def _fan(sounds: Sounds, count: int, rng: Source, _near: str) -> Audio:
    """A machine: recorded, or air and the harmonics of blades that wobble."""
    if rng.random() < 0.5:
        return looped(sounds.recording("fan", rng), count, rng)
    return _turning(count, rng, rng.uniform(80, 180), 1.2)


def _car(sounds: Sounds, count: int, rng: Source, _near: str) -> Audio:
    """Inside a car: a rumble of the road, the engine, gusts, and others that pass."""
    out = _turning(count, rng, rng.uniform(25, 90), rng.uniform(1.6, 2.4))
    out *= _swelling(count, rng, 2.0, (-4, 2))
    if sounds.has("car") and rng.random() < 0.5:
        recorded = looped(sounds.recording("car", rng), count, rng)
        out = out / rms(out) + recorded / rms(recorded) * rng.uniform(0.5, 2)
    return out


def _turning(count: int, rng: Source, hz: float, slope: float) -> Audio:
    time = np.arange(count) / RATE
    out = pink(count, rng, slope)
    out /= rms(out)
    wobble = 1 + 0.004 * np.sin(2 * np.pi * rng.uniform(0.2, 0.7) * time)
    turn = 2 * np.pi * np.cumsum(hz * wobble) / RATE
    for harmonic in range(1, 12):
        part = rng.uniform(0.1, 0.5) / np.sqrt(harmonic)
        out += part * np.sin(harmonic * turn + rng.uniform(0, 6))
    return np.asarray(out * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(1, 4) * time)))


def _swelling(
    count: int, rng: Source, every_s: float, range_db: tuple[float, float]
) -> Audio:
    """A level that wanders between new values each `every_s`."""
    step = int(every_s * RATE)
    knots = np.arange(0, count + step, step)
    levels_db = rng.uniform(*range_db, len(knots))
    return np.asarray(10 ** (np.interp(np.arange(count), knots, levels_db) / 20))


def _hum(_: Sounds, count: int, rng: Source, _near: str) -> Audio:
    """The mains and its harmonics, each a few dB below the one before, or none."""
    time, hz = np.arange(count) / RATE, rng.choice([50, 60])
    slope_db = rng.uniform(1, 6)
    out = np.zeros(count)
    for harmonic in range(1, 20):
        tone = np.sin(2 * np.pi * hz * harmonic * time + rng.uniform(0, 6))
        out += ratio(-slope_db * harmonic + rng.uniform(-6, 6)) * tone
    return out


def _street(sounds: Sounds, count: int, rng: Source, _near: str) -> Audio:
    out = pink(count, rng, 1.5)
    out = out / rms(out) * 0.5
    for _ in range(3):
        part = looped(sounds.recording("street", rng), count, rng)
        out += part / rms(part) * _swelling(count, rng, 1.0, (-10, 3))
    return out


def _kitchen(sounds: Sounds, count: int, rng: Source, _near: str) -> Audio:
    """Water or a hood, and dishes: resonances that ring, and recorded knocks."""
    if sounds.has("kitchen") and rng.random() < 0.5:
        out = looped(sounds.recording("kitchen", rng), count, rng)
    else:
        out = pink(count, rng, rng.uniform(0, 1)) * _swelling(count, rng, 3, (-12, 3))
    out = out / rms(out)
    at = 0
    while at < count:
        put(out, at, at_peak(_dish(sounds, rng), rng.uniform(0, 18)))
        at += int(rng.uniform(0.1, 2.5) * RATE)
    return in_room(out, room(rng, rng.uniform(0.15, 0.5), 0.6))


def _dish(sounds: Sounds, rng: Source) -> Audio:
    if rng.random() < 0.4:
        return sounds.recording("bump", rng)[:RATE]
    time = np.arange(int(rng.uniform(0.05, 0.4) * RATE)) / RATE
    out = np.zeros(len(time))
    for hz in rng.uniform(600, 3_400, int(rng.integers(2, 6))):
        ring = np.exp(-time * rng.uniform(10, 60))
        out += rng.uniform(0.2, 1) * np.sin(2 * np.pi * hz * time) * ring
    return out


def _station(sounds: Sounds, count: int, rng: Source, near: str) -> Audio:
    """A hall: a crowd, trains or steps, and an announcement with a long echo."""
    hall = room(rng, rng.uniform(0.8, 1.6), 0.2)
    crowd = _babble(sounds, count, rng, near)
    out = crowd / rms(crowd)
    part = looped(sounds.recording("street", rng), count, rng)
    out += part / rms(part) * _swelling(count, rng, 3.0, (-14, 2))
    if rng.random() < 0.5:
        voice = rng.choice(_others(sounds, near))
        said = speech(sounds.bank, voice, count, rng, (0.1, 0.5))
        shape = _swelling(count, rng, 4.0, (-40, 3))
        out += said / rms(said) * shape
    return in_room(out, hall)


def _babble(sounds: Sounds, count: int, rng: Source, near: str) -> Audio:
    """Several people behind the caller, each in a room; at times a recorded crowd."""
    others = _others(sounds, near)
    out = np.zeros(count)
    for _ in range(int(rng.choice([2, 3, 4, 5, 6, 7, 8, 10]))):
        said = speech(sounds.bank, rng.choice(others), count, rng, (0.1, 0.6))
        if rng.random() < 0.7:
            path = room(rng, rng.uniform(0.2, 0.7), rng.choice([0.2, 0.4, 1.0]))
            said = in_room(said, path)
        out += said * rng.uniform(0.4, 1)
    if rng.random() < 0.4:
        crowd = looped(sounds.recording("crowd", rng), count, rng)
        out = out / rms(out) + crowd / rms(crowd) * rng.uniform(0.5, 1.2)
    return out


def _music(sounds: Sounds, count: int, rng: Source, _near: str) -> Audio:
    return looped(sounds.recording("music", rng), count, rng)


def _tune(_: Sounds, count: int, rng: Source, _near: str) -> Audio:
    """Notes of one instrument, one to four at a time, plucked or blown."""
    out = np.zeros(count)
    partials = rng.uniform(0, 1, 12) / np.arange(1, 13) ** rng.uniform(0, 1.5)
    attack_s, fade = rng.uniform(0.003, 0.15), rng.uniform(0.3, 6)
    tremor, beat_s = rng.choice([0, 0, 0.01]), rng.uniform(0.15, 0.8)
    lowest_hz, at = rng.uniform(90, 330), 0
    while at < count:
        time = np.arange(int(rng.uniform(1, 3) * beat_s * RATE)) / RATE
        shape = np.minimum(time / attack_s, 1) * np.exp(-fade * time)
        shape *= np.minimum(1, (time[-1] - time) / 0.01)
        for _ in range(int(rng.integers(1, 5))):
            hz = lowest_hz * 2 ** (int(rng.choice(SEMITONES)) / 12)
            cycles = hz * time + tremor * hz / 35 * np.sin(2 * np.pi * 5.5 * time)
            note = np.zeros(len(time))
            for k, part in enumerate(partials):
                if (k + 1) * hz < 3_800:
                    note += part * np.sin(2 * np.pi * (k + 1) * cycles)
            put(out, at, note * shape * rng.uniform(0.3, 1))
        at += int(beat_s * int(rng.integers(1, 4)) * RATE)
    return out


def _tv(sounds: Sounds, count: int, rng: Source, near: str) -> Audio:
    """A television: one or two voices in scenes of 4 s, with music, across a room."""
    names = rng.choice(_others(sounds, near), int(rng.integers(1, 3)))
    out = _over_music(sounds, count, rng, names)
    return np.asarray(lfilter(firwin(31, rng.uniform(2_200, 3_800), fs=RATE), 1, out))


def _talk(sounds: Sounds, count: int, rng: Source, near: str) -> Audio:
    """A television whose voices are as often recorded as the callers'."""
    others = _others(sounds, near)
    names = [drawn_voice(others, rng) for _ in range(int(rng.integers(1, 4)))]
    out = _over_music(sounds, count, rng, names)
    if rng.random() < 0.5:
        return out
    return np.asarray(lfilter(firwin(31, rng.uniform(2_200, 3_800), fs=RATE), 1, out))


def _over_music(sounds: Sounds, count: int, rng: Source, names: Iterable[str]) -> Audio:
    said = np.zeros(count)
    for voice in names:
        said += speech(sounds.bank, voice, count, rng, (0.05, 1.2))
    scenes = rng.random(count // (4 * RATE) + 1) < 0.75
    said *= np.repeat(scenes, 4 * RATE)[:count]
    music = _music(sounds, count, rng, "")
    out = said / rms(said) + music / rms(music) * rng.uniform(0.0, 0.8)
    return in_room(out, room(rng, rng.uniform(0.2, 0.7), rng.choice([0.2, 0.4, 0.8])))


def _others(sounds: Sounds, near: str) -> list[str]:
    bank = sounds.bank
    return [one for one in (*bank.near, *bank.babble) if one != near]


_NOISES: dict[str, Callable[[Sounds, int, Source, str], Audio]] = {
    "none": _none,
    "pink": _pink,
    "fan": _fan,
    "hum": _hum,
    "street": _street,
    "car": _car,
    "kitchen": _kitchen,
    "station": _station,
    "babble": _babble,
    "music": _music,
    "tune": _tune,
    "tv": _tv,
    "talk": _talk,
}
KINDS = tuple(_NOISES)
