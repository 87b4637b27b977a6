"""Nine noises that must not interrupt the AI, made from packaged sounds and a seed.

They are not recordings; `python -m bench barge --noises DIR` takes recordings. Steady
noises are 10 dB below a caller of -26 dBov. Single events have the peak levels of
`EVENTS_DBOV`. The AI's own echo depends on what was played, and is made there
(`bench.barge_calls`).
"""

from collections.abc import Callable, Iterator

import numpy as np

from bench.gate import subset
from bench.gate.subset import RATE, Audio

CALLER_DBOV = -26.0
STEADY_DBOV = CALLER_DBOV - 10
LINE_DBOV = -68.0
# The level of an event's loudest 20 ms, and the pause after it, in s.
EVENTS_DBOV = {
    "keyboard": (-42.0, -22.0),
    "cough": (-28.0, -18.0),
    "bumps": (-30.0, -12.0),
    "dtmf": (-18.0, -8.0),
}
PAUSES_S = {
    "keyboard": (0.07, 0.28),
    "cough": (0.6, 2.5),
    "bumps": (0.6, 2.5),
    "dtmf": (0.6, 2.5),
}
STEADY = ("fan", "street", "babble", "music")
ECHO = "echo"
NOISES = (*STEADY, *EVENTS_DBOV, ECHO)


def make(kind: str, seconds: float, seed: int) -> Audio:
    """Return a noise of this length on a quiet line, as the caller's side sends it."""
    rng = np.random.default_rng([seed, NOISES.index(kind)])
    count = int(seconds * RATE)
    out = rng.normal(0, 10 ** (LINE_DBOV / 20), count)
    if kind in STEADY:
        for start in range(0, count, 60 * RATE):
            part = steady(kind, min(60 * RATE, count - start), rng)
            level = 10 ** (STEADY_DBOV / 20)
            out[start : start + len(part)] += part / subset.rms(part) * level
    elif kind != ECHO:
        for place_s, sound in _events(kind, seconds, rng):
            subset.put(out, place_s, sound)
    return out


def steady(kind: str, count: int, rng: np.random.Generator) -> Audio:
    """Return `count` samples of a steady noise, at any level."""
    return _STEADY[kind](count, rng)


def event(kind: str, rng: np.random.Generator) -> Audio:
    """Return one event, at any level."""
    return _EVENTS[kind](rng)


def _events(
    kind: str, seconds: float, rng: np.random.Generator
) -> Iterator[tuple[float, Audio]]:
    place_s = 1.0
    while place_s < seconds - 2:
        sound = event(kind, rng)
        peak = max(subset.rms(part) for part in np.array_split(sound, _frames(sound)))
        level = 10 ** (rng.uniform(*EVENTS_DBOV[kind]) / 20)
        yield place_s, sound / peak * level
        place_s += len(sound) / RATE + rng.uniform(*PAUSES_S[kind])


def _frames(sound: Audio) -> int:
    return max(1, len(sound) // 160)


def _fan(count: int, rng: np.random.Generator) -> Audio:
    """A fan: air, and the harmonics of blades that wobble."""
    time = np.arange(count) / RATE
    wobble = 1 + 0.004 * np.sin(2 * np.pi * rng.uniform(0.2, 0.7) * time)
    turn = 2 * np.pi * np.cumsum(rng.uniform(80, 180) * wobble) / RATE
    out = subset.background("pink", count, rng)
    out /= subset.rms(out)
    for harmonic in range(1, 12):
        out += rng.uniform(0.1, 0.5) / np.sqrt(harmonic) * np.sin(harmonic * turn)
    return out * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(1, 4) * time))


def _street(count: int, rng: np.random.Generator) -> Audio:
    """Traffic: a rumble, cars that pass for seconds, now and then a horn."""
    time = np.arange(count) / RATE
    out = subset.background("pink", count, rng)
    out /= 2 * subset.rms(out)
    for _ in range(count // (4 * RATE)):
        at_s, wide_s = rng.uniform(0, count / RATE), rng.uniform(0.7, 3)
        car = subset.background("pink", count, rng)
        near = np.exp(-(((time - at_s) / wide_s) ** 2))
        out += car / subset.rms(car) * near * 10 ** (rng.uniform(-10, 6) / 20)
    for at_s in rng.uniform(0, count / RATE, count // (20 * RATE)):
        here = (time > at_s) & (time < at_s + rng.uniform(0.2, 0.9))
        for hz in rng.uniform(330, 500) * np.array([1, 1.26, 2, 2.52, 3, 4]):
            out += here * 0.3 * np.sin(2 * np.pi * hz * time)
    return out


def _babble(count: int, rng: np.random.Generator) -> Audio:
    return subset.background("babble", count, rng)


def _music(count: int, rng: np.random.Generator) -> Audio:
    """Music on hold: chords, a melody over them, and a beat."""
    time = np.arange(count) / RATE
    out = subset.chords(count, rng)
    out /= subset.rms(out)
    beat_s = rng.uniform(0.4, 0.7)
    for at_s in np.arange(0, count / RATE - 1, beat_s):
        here = slice(int(at_s * RATE), int(at_s * RATE) + RATE // 2)
        note = time[here] - at_s
        hz = 440 * 2 ** (int(rng.choice([0, 2, 4, 7, 9, 12])) / 12)
        tone = sum(np.sin(2 * np.pi * k * hz * note) / k for k in (1, 2, 3))
        out[here] += 1.2 * tone * np.exp(-3 * note)
        out[here] += 2 * rng.standard_normal(len(note)) * np.exp(-60 * note)
    return out


def _key(rng: np.random.Generator) -> Audio:
    """One key of a keyboard: a click down, a weaker one up."""
    time = np.arange(int(rng.uniform(0.05, 0.12) * RATE)) / RATE
    out = rng.standard_normal(len(time)) * np.exp(-rng.uniform(200, 600) * time)
    out += np.sin(2 * np.pi * rng.uniform(800, 2_500) * time) * np.exp(-300 * time)
    up = len(time) // 2
    out[up:] += 0.5 * out[: len(time) - up]
    return out


def _cough(rng: np.random.Generator) -> Audio:
    """One to three coughs: a burst, then a breath, coloured by two formants."""
    parts = []
    for _ in range(int(rng.integers(1, 4))):
        time = np.arange(int(rng.uniform(0.15, 0.3) * RATE)) / RATE
        sound = rng.standard_normal(len(time))
        for hz in (rng.uniform(500, 900), rng.uniform(1_200, 1_800)):
            ring = np.exp(-2 * np.pi * hz / 6 * time[:160])
            ring *= np.cos(2 * np.pi * hz * time[:160])
            sound = sound + np.convolve(sound, ring)[: len(time)]
        envelope = np.exp(-time / 0.02) + 0.35 * np.exp(-time / 0.07)
        parts += [sound * envelope, np.zeros(int(rng.uniform(0.1, 0.3) * RATE))]
    return np.concatenate(parts)


_STEADY: dict[str, Callable[[int, np.random.Generator], Audio]] = {
    "fan": _fan,
    "street": _street,
    "babble": _babble,
    "music": _music,
}
_EVENTS: dict[str, Callable[[np.random.Generator], Audio]] = {
    "keyboard": _key,
    "cough": _cough,
    "bumps": subset.knock,
    "dtmf": subset.keypad,
}
