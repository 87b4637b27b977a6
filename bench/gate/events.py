"""Single sounds that are no caller: knocks, keys, coughs, sneezes, barks and tones.

Each is recorded or made here; where there are recordings, both are used.
"""

from collections.abc import Callable

import numpy as np
from scipy.signal import butter, sosfilt

from bench.gate.acoustics import RATE, Audio, Source
from bench.gate.pool import Sounds

EVENTS = (
    "bump", "keyboard", "cough", "sneeze", "bark", "baby", "dtmf", "ring",
)  # fmt: skip


def event(sounds: Sounds, kind: str, rng: Source) -> Audio:
    """Return a single sound at any level."""
    return _EVENTS[kind](sounds, rng)


def _bump(sounds: Sounds, rng: Source) -> Audio:
    """Knocks: recorded ones, or a handset's damped resonance and click."""
    if rng.random() < 0.6:
        parts: list[Audio] = []
        for _ in range(int(rng.integers(1, 4))):
            parts.append(sounds.recording("bump", rng)[:RATE])
            parts.append(np.zeros(int(rng.uniform(0.05, 0.3) * RATE)))
        return np.concatenate(parts)
    time = np.arange(int(rng.uniform(0.02, 0.1) * RATE)) / RATE
    thud = np.sin(2 * np.pi * rng.uniform(120, 600) * time)
    click = 0.5 * rng.standard_normal(len(time)) * np.exp(-time * 400)
    return np.asarray(thud * np.exp(-time * rng.uniform(30, 120)) + click)


def _keyboard(sounds: Sounds, rng: Source) -> Audio:
    kind = "keyboard" if sounds.has("keyboard") else "bump"
    return sounds.recording(kind, rng)[: int(rng.uniform(0.05, 0.3) * RATE)]


def _cough(sounds: Sounds, rng: Source) -> Audio:
    """A recorded cough at another rate, or bursts coloured by two formants."""
    if sounds.has("cough") and rng.random() < 0.6:
        return _at_rate(sounds.recording("cough", rng)[: 3 * RATE], rng)
    return _bursts(rng, int(rng.integers(1, 4)), (0.12, 0.25), 0.35)


def _sneeze(sounds: Sounds, rng: Source) -> Audio:
    """A recorded sneeze at another rate, or a breath and a burst of air."""
    if sounds.has("sneeze") and rng.random() < 0.6:
        return _at_rate(sounds.recording("sneeze", rng)[: 3 * RATE], rng)
    breath = rng.standard_normal(int(rng.uniform(0.2, 0.6) * RATE)) * 0.1
    breath *= np.linspace(0, 1, len(breath)) ** 2
    return np.concatenate([breath, _bursts(rng, 1, (0.2, 0.5), 0.6)])


def _bursts(rng: Source, count: int, tail_s: tuple[float, float], tail: float) -> Audio:
    parts: list[Audio] = []
    for _ in range(count):
        first = int(rng.uniform(0.03, 0.06) * RATE)
        rest = int(rng.uniform(*tail_s) * RATE)
        loud = np.exp(-np.arange(first) / (0.02 * RATE))
        weak = tail * np.exp(-np.arange(rest) / (0.07 * RATE))
        out = np.concatenate([np.linspace(0, 1, 20), loud, weak])
        out *= rng.standard_normal(len(out))
        for hz, narrow in ((rng.uniform(500, 900), 3), (rng.uniform(1_200, 1_800), 4)):
            band = [hz * (1 - 0.5 / narrow), hz * (1 + 0.5 / narrow)]
            sos = butter(2, band, btype="band", fs=RATE, output="sos")
            out = out + 1.5 * sosfilt(sos, out)
        parts += [out, np.zeros(int(rng.uniform(0.1, 0.3) * RATE))]
    return np.concatenate(parts)


def _bark(sounds: Sounds, rng: Source) -> Audio:
    """Recorded animals at another rate, or barks: a falling tone, rough and short."""
    if sounds.has("bark") and rng.random() < 0.6:
        return _at_rate(sounds.recording("bark", rng)[: 3 * RATE], rng)
    parts: list[Audio] = []
    hz, rough = rng.uniform(250, 900), rng.uniform(0.2, 1)
    for _ in range(int(rng.integers(1, 6))):
        time = np.arange(int(rng.uniform(0.08, 0.25) * RATE)) / RATE
        turn = 2 * np.pi * np.cumsum(hz * (1 - 1.5 * time)) / RATE
        out = sum(np.sin(k * turn) / k ** rng.uniform(0.3, 1.2) for k in range(1, 9))
        out = out + rough * rng.standard_normal(len(time))
        shape = np.minimum(time / 0.01, 1) * np.exp(-time * rng.uniform(5, 20))
        parts += [out * shape, np.zeros(int(rng.uniform(0.1, 0.6) * RATE))]
    return np.concatenate(parts)


def _baby(sounds: Sounds, rng: Source) -> Audio:
    """A recorded baby at another rate; a bark where there is none."""
    if not sounds.has("baby"):
        return _bark(sounds, rng)
    return _at_rate(sounds.recording("baby", rng)[: 3 * RATE], rng)


def _dtmf(_: Sounds, rng: Source) -> Audio:
    low, high = (697, 770, 852, 941), (1_209, 1_336, 1_477)
    parts: list[Audio] = []
    for _ in range(int(rng.integers(1, 5))):
        time = np.arange(int(rng.uniform(0.07, 0.2) * RATE)) / RATE
        key = np.sin(2 * np.pi * rng.choice(low) * time)
        key += np.sin(2 * np.pi * rng.choice(high) * time)
        parts += [key, np.zeros(int(rng.uniform(0.06, 0.25) * RATE))]
    return np.concatenate(parts)


def _ring(_: Sounds, rng: Source) -> Audio:
    time = np.arange(int(rng.uniform(0.4, 2.0) * RATE)) / RATE
    first, second = ((440, 480), (400, 450), (425, 425))[int(rng.integers(3))]
    return np.asarray(
        np.sin(2 * np.pi * first * time) + np.sin(2 * np.pi * second * time)
    )


def _at_rate(x: Audio, rng: Source) -> Audio:
    """Play a recording at 0.8 to 1.25 times its rate."""
    rate = rng.uniform(0.8, 1.25)
    return np.interp(np.arange(0, len(x) - 1, rate), np.arange(len(x)), x)


_EVENTS: dict[str, Callable[[Sounds, Source], Audio]] = {
    "bump": _bump,
    "keyboard": _keyboard,
    "cough": _cough,
    "sneeze": _sneeze,
    "bark": _bark,
    "baby": _baby,
    "dtmf": _dtmf,
    "ring": _ring,
}
