"""A telephone line's effects on a call: levels, tilt, AGC, codecs in tandem."""

import subprocess

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float64]  # 8 kHz, full scale 1

# Encoder options of sox (GSM 06.10 full rate, AMR narrow-band at 4.75, 7.4 and 12.2
# kb/s) and of ffmpeg (Opus at the rates of a poor mobile line).
SOX_CODECS = (
    ("gsm",),
    ("-C", "0", "amr-nb"),
    ("-C", "4", "amr-nb"),
    ("-C", "7", "amr-nb"),
)
OPUS_RATES = ("6k", "12k")
_RAW = ("-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1")
_PCM = ("-f", "s16le", "-ar", "8000", "-ac", "1")


def vary(x: Audio, rng: np.random.Generator) -> Audio:
    """Return the call as over another line; its length stays the same."""
    x = x * 10 ** (rng.uniform(-5, 5) / 20)
    if rng.random() < 0.4:
        x = tilt(x, rng.uniform(-0.5, 0.5))
    if rng.random() < 0.2:
        x = automatic_gain(x, rng.uniform(-24, -16))
    if rng.random() < 0.45:
        x = through_codec(x, int(rng.integers(len(SOX_CODECS) + len(OPUS_RATES))))
    return np.clip(x, -0.99, 0.99)


def tilt(x: Audio, slope: float) -> Audio:
    """First-order shelf: handsets differ in brightness."""
    out = x.copy()
    out[1:] += slope * x[:-1]
    return out / (1 + abs(slope))


def automatic_gain(x: Audio, target_db: float) -> Audio:
    """A phone's AGC: fast down, slow up, at most 20 dB; it raises noise, too."""
    frames = len(x) // 160
    gain, gains = 0.0, np.zeros(frames)
    for at in range(frames):
        part = x[160 * at : 160 * at + 160]
        level = 10 * np.log10(np.mean(part * part) + 1e-7)
        if level > -50:
            wanted = min(20.0, max(-10.0, target_db - level))
            gain += (0.3 if wanted < gain else 0.02) * (wanted - gain)
        gains[at] = gain
    knots = 160 * np.arange(frames)
    return x * 10 ** (np.interp(np.arange(len(x)), knots, gains) / 20)


def through_codec(x: Audio, which: int) -> Audio:
    """Encode and decode with sox or ffmpeg, by index in the two lists."""
    pcm = np.round(np.clip(x, -1, 1) * 32767).astype("<i2").tobytes()
    if which < len(SOX_CODECS):
        *options, form = SOX_CODECS[which]
        packed = _pipe(("sox", "-V1", *_RAW, "-", *options, "-t", form, "-"), pcm)
        unpacked = _pipe(("sox", "-V1", "-t", form, "-", *_RAW, "-"), packed)
    else:
        rate = OPUS_RATES[which - len(SOX_CODECS)]
        opus = ("-c:a", "libopus", "-b:a", rate, "-application", "voip", "-f", "ogg")
        packed = _pipe(("ffmpeg", "-v", "error", *_PCM, "-i", "-", *opus, "-"), pcm)
        unpacked = _pipe(("ffmpeg", "-v", "error", "-i", "-", *_PCM, "-"), packed)
    y = np.frombuffer(unpacked, "<i2").astype(float) / 32768
    if len(y) < 0.9 * len(x):
        raise RuntimeError(f"codec {which}: expected {len(x)} samples, got {len(y)}")
    return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)]


def _pipe(command: tuple[str, ...], data: bytes) -> bytes:
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout
