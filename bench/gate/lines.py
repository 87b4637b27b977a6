"""A telephone line's effects on a call: levels, tilt, AGC, codecs in tandem."""

import io
import subprocess

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float64]  # 8 kHz, full scale 1

# What a call may pass on its way: GSM 06.10 full rate, AMR narrow-band at 4.75, 7.4 and
# 12.2 kb/s (sox), and Opus at the rates of a poor mobile line, by their shares.
CODECS = ("gsm", "amr 0", "amr 4", "amr 7", "opus 6", "opus 21")
CODEC_SHARES = (0.3, 0.2, 0.15, 0.15, 0.1, 0.1)
OPUS_LEVELS = {"6": 0.99, "21": 0.9}  # libsndfile's; measured kb/s of noise
_RAW = ("-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1")


def vary(x: Audio, rng: np.random.Generator) -> Audio:
    """Return the call as over another line; its length stays the same."""
    x = x * 10 ** (rng.uniform(-5, 5) / 20)
    if rng.random() < 0.4:
        x = tilt(x, rng.uniform(-0.5, 0.5))
    if rng.random() < 0.2:
        x = automatic_gain(x, rng.uniform(-24, -16))
    elif rng.random() < 0.15:
        x = riding(x, rng)
    if rng.random() < 0.35:
        x = through_codec(x, str(rng.choice(CODECS, p=CODEC_SHARES)))
    if rng.random() < 0.08:
        x = concealed(x, rng)
    if rng.random() < 0.05:
        x = muted(x, rng.uniform(-58, -48))
    if rng.random() < 0.03:
        x = np.clip(x * rng.uniform(2, 8), -0.5, 0.5)
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


def riding(x: Audio, rng: np.random.Generator) -> Audio:
    """A level that wanders by up to 8 dB in seconds: a hand that holds the phone."""
    knots = np.arange(0, len(x) + 16_000, 16_000)
    levels_db = rng.uniform(-8, 0, len(knots))
    return np.asarray(x * 10 ** (np.interp(np.arange(len(x)), knots, levels_db) / 20))


def concealed(x: Audio, rng: np.random.Generator) -> Audio:
    """Lose 1 to 8 % of the frames; each is the one before, weaker (G.711 App. I)."""
    out = x.copy()
    share = rng.uniform(0.01, 0.08)
    for at in np.flatnonzero(rng.random(len(x) // 160) < share)[1:]:
        out[160 * at : 160 * at + 160] = 0.7 * out[160 * at - 160 : 160 * at]
    return out


def muted(x: Audio, level_db: float) -> Audio:
    """Send silence for what is softer than a level, as a phone's own gate does."""
    frames = x[: len(x) // 160 * 160].reshape(-1, 160)
    is_loud = np.mean(frames * frames, axis=1) > 10 ** (level_db / 10)
    held = np.convolve(is_loud, np.ones(12), "full")[: len(is_loud)] > 0
    out = x.copy()
    out[: frames.size] *= np.repeat(held, 160)
    return out


def through_codec(x: Audio, codec: str) -> Audio:
    """Encode and decode with one of CODECS; the length stays."""
    x = np.clip(x, -1, 1)
    name, _, option = codec.partition(" ")
    if name == "amr":
        pcm = np.round(x * 32767).astype("<i2").tobytes()
        packed = _pipe(
            ("sox", "-V1", *_RAW, "-", "-C", option, "-t", "amr-nb", "-"), pcm
        )
        unpacked = _pipe(("sox", "-V1", "-t", "amr-nb", "-", *_RAW, "-"), packed)
        y = np.frombuffer(unpacked, "<i2").astype(float) / 32768
    elif name == "gsm":
        y = _through_file(x, "WAV", "GSM610", None)
    else:
        y = _through_file(x, "OGG", "OPUS", OPUS_LEVELS[option])
    if len(y) < 0.9 * len(x):
        raise RuntimeError(f"{codec}: expected {len(x)} samples, got {len(y)}")
    return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)]


def _through_file(x: Audio, form: str, subtype: str, level: float | None) -> Audio:
    import soundfile

    file = io.BytesIO()
    soundfile.write(
        file, x, 8_000, format=form, subtype=subtype, compression_level=level
    )
    file.seek(0)
    return np.asarray(soundfile.read(file)[0])


def _pipe(command: tuple[str, ...], data: bytes) -> bytes:
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout
