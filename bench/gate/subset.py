"""A small set of calls made from the packaged recordings alone, with ground truth.

It does not measure how well the gate hears; the evaluator does. It shows whether the
gate hears as well as before: the same bytes on every machine, in seconds, for every
build.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bridge.cli.gate_trial import Recording, Segment
from bridge.sandbox.clips import clip
from dsp.g711 import decode, encode

Audio = NDArray[np.float64]  # 8 kHz, full scale 1

VOICES = (
    "human-en-reader-1",
    "human-en-reader-2",
    "human-en-reader-3",
    "human-en-reader-4",
    "human-en-command-1",
    "human-en-command-2",
    "caller-en-1",
    "caller-he-1",
)
FAR = ("ai-en-offer", "ai-he-booked", "ai-en-booked")
NOISES = ("none", "pink", "fan", "hum", "babble", "chords")
LEVELS_DBOV = (-34, -26, -18)
SNR_DB = 10
ECHO_DB = -24
RATE = 8_000
LEAD_S, PAUSE_S = 2.5, 2.5


def recordings() -> Iterator[Recording]:
    """Yield a call for each noise and level, and one per noise without a caller."""
    for at, (noise, level) in enumerate((n, v) for n in NOISES for v in LEVELS_DBOV):
        yield make(f"{noise} {level}", noise, level, at)
    for at, noise in enumerate(NOISES):
        yield make(f"{noise} nobody", noise, None, 100 + at)


def make(name: str, noise: str, level_dbov: float | None, seed: int) -> Recording:
    """Make one call: three turns of three voices; the AI's echo and knocks between."""
    rng = np.random.default_rng(seed)
    seconds = 32.0
    near = np.zeros(int(RATE * seconds))
    far, truth, place = near.copy(), [], LEAD_S
    level = -26.0 if level_dbov is None else level_dbov
    for turn in range(3):
        if level_dbov is not None:
            voice = samples(VOICES[(seed + 3 * turn) % len(VOICES)])[: int(4.5 * RATE)]
            truth += [(place + a, place + b) for a, b in activity(voice)]
            put(near, place, voice / active_rms(voice) * 10 ** (level / 20))
        place += 5.0
        speech = samples(FAR[(seed + turn) % len(FAR)])[: int(PAUSE_S * RATE)]
        speech = speech / active_rms(speech) * 0.1
        put(far, place, speech)
        put(near, place + 0.2, speech * 10 ** (ECHO_DB / 20))
        place += PAUSE_S
        if turn == 2:
            put(near, place + 1.0, knock(rng))
            put(near, place + 2.0, keypad(rng))
    if noise != "none":
        ground = background(noise, len(near), rng)
        near += ground / rms(ground) * 10 ** ((level - SNR_DB) / 20)
    near += rng.normal(0, 10 ** (-68 / 20), len(near))
    return Recording(name, mulaw(near), mulaw(far), truth)


def background(noise: str, count: int, rng: np.random.Generator) -> Audio:
    """Return `count` samples of a noise, at any level."""
    if noise == "pink":
        spectrum = np.fft.rfft(rng.standard_normal(count))
        hz = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20)
        return np.fft.irfft(spectrum / np.sqrt(hz), count)
    if noise == "babble":
        layers = [
            np.roll(np.resize(samples(voice), count), int(rng.integers(count)))
            for voice in (*VOICES[:4], *FAR)
        ]
        return np.sum([layer / rms(layer) for layer in layers], axis=0)
    if noise == "chords":
        return chords(count, rng)
    name = {"fan": "noise-fan", "hum": "noise-line-hum"}[noise]
    return np.resize(samples(name), count)


def chords(count: int, rng: np.random.Generator) -> Audio:
    """Sustained triads that change every second, as music on hold does."""
    time = np.arange(count) / RATE
    out = np.zeros(count)
    for second in range(count // RATE + 1):
        root = 220 * 2 ** (int(rng.integers(12)) / 12)
        here = slice(second * RATE, (second + 1) * RATE)
        for step in (0, 4, 7, 12):
            hz = root * 2 ** (step / 12)
            for partial in (1, 2, 3):
                out[here] += np.sin(2 * np.pi * partial * hz * time[here]) / partial
    return out


def knock(rng: np.random.Generator) -> Audio:
    """Three knocks on a handset: damped low resonances with a click."""
    time = np.arange(1_600) / RATE
    one = np.sin(2 * np.pi * rng.uniform(150, 500) * time) * np.exp(-60 * time)
    one += 0.5 * rng.standard_normal(len(time)) * np.exp(-400 * time)
    return 0.2 * np.concatenate([one, one, one])


def keypad(rng: np.random.Generator) -> Audio:
    """Three keys of 100 ms."""
    time = np.arange(800) / RATE
    keys = []
    for _ in range(3):
        row, column = rng.choice([697, 770, 852, 941]), rng.choice([1209, 1336, 1477])
        tone = np.sin(2 * np.pi * row * time) + np.sin(2 * np.pi * column * time)
        keys += [0.15 * tone, np.zeros(800)]
    return np.concatenate(keys)


def activity(voice: Audio) -> list[Segment]:
    """Where a clean recording is within 30 dB of its loud parts; seconds."""
    parts = voice[: len(voice) // 80 * 80].reshape(-1, 80)
    level = 10 * np.log10(np.mean(parts * parts, axis=1) + 1e-9)
    is_loud = level > max(np.percentile(level, 95) - 30, np.percentile(level, 5) + 8)
    steps = np.diff(np.concatenate([[0], is_loud.astype(int), [0]]))
    edges = np.flatnonzero(steps).tolist()
    found = [(a / 100, b / 100) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    segments: list[Segment] = []
    for start, end in found:
        if segments and start - segments[-1][1] <= 0.05:
            segments[-1] = (segments[-1][0], end)
        else:
            segments.append((start, end))
    return [(a, b) for a, b in segments if b - a >= 0.03]


def samples(name: str) -> Audio:
    """Return a packaged clip."""
    return np.frombuffer(decode(clip(name).audio), "<i2") / 32768.0


def rms(x: Audio) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(x * x) + 1e-12))


def active_rms(voice: Audio) -> float:
    """Return the level of a clean recording where somebody speaks."""
    spoken = [voice[int(a * RATE) : int(b * RATE)] for a, b in activity(voice)]
    return rms(np.concatenate(spoken))


def put(target: Audio, place_s: float, sound: Audio) -> None:
    """Add a sound to a call; what exceeds the call is cut."""
    start = int(place_s * RATE)
    room = target[start : start + len(sound)]
    room += sound[: len(room)]


def mulaw(x: Audio) -> bytes:
    """Return mu-law of a signal of full scale 1."""
    return encode(np.round(x * 32768).clip(-32_000, 32_000).astype("<i2").tobytes())
