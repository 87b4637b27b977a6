"""Levels, rooms and the telephone's band: what every generated sound needs.

All signals are at 8 kHz with a full scale of 1; levels are in dB. Whatever is drawn
comes from a NumPy generator: the same seed gives the same samples.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt

Audio = NDArray[np.float64]
Source = np.random.Generator

RATE, FRAME = 8_000, 160
TELEPHONE = butter(4, [300, 3_400], btype="band", fs=RATE, output="sos")


def rms(x: Audio) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(x)) + 1e-20))


def ratio(level_db: float) -> float:
    """Convert dB to a ratio of amplitudes."""
    return float(10 ** (level_db / 20))


def telephone(x: Audio) -> Audio:
    """Return the signal in the band of a telephone, 300 to 3,400 Hz."""
    return np.asarray(sosfilt(TELEPHONE, x))


def at_peak(x: Audio, level_db: float) -> Audio:
    """Scale a sound so that its loudest 20 ms has this level."""
    whole = x[: max(len(x) // FRAME, 1) * FRAME]
    parts = np.resize(whole, (max(len(whole) // FRAME, 1), FRAME))
    loudest = float(np.sqrt(np.max(np.mean(parts * parts, axis=1)) + 1e-20))
    return x * ratio(level_db) / loudest


def room(rng: Source, rt60_s: float, direct: float) -> Audio:
    """Return a room's impulse response: noise that decays by 60 dB in `rt60_s`.

    `direct` is the direct sound, as a ratio to all of the reverberation.
    """
    count = max(int(rt60_s * RATE), 2)
    out = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    out[0] = direct * np.sqrt(np.sum(out[1:] ** 2))
    return np.asarray(out / np.sqrt(np.sum(out**2)))


def in_room(x: Audio, path: Audio) -> Audio:
    """Convolve with an impulse response; the length stays."""
    return np.asarray(fftconvolve(x, path)[: len(x)])


def looped(x: Audio, count: int, rng: Source) -> Audio:
    """Return `count` samples from a random place, with a 50 ms cross-fade at a seam."""
    if len(x) > count:
        start = int(rng.integers(len(x) - count))
        return x[start : start + count].copy()
    fade = min(400, len(x) // 4)
    rise = np.linspace(0, 1, fade)
    body = x.copy()
    if fade:
        body[:fade] = x[:fade] * rise + x[-fade:] * (1 - rise)
        body = body[:-fade]
    start = int(rng.integers(len(body)))
    return np.resize(np.roll(body, -start), count)


def pink(count: int, rng: Source, slope: float = 1.0) -> Audio:
    """Return noise whose power falls with the frequency to the power of `slope`."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hz = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20)
    return np.fft.irfft(spectrum / hz ** (slope / 2), count)


def put(target: Audio, place: int, sound: Audio) -> None:
    """Add a sound at a sample; what exceeds the target is cut."""
    part = target[place : place + len(sound)]
    part += sound[: len(part)]
