"""Recordings a caller can speak: WAV files and raw mu-law, brought to 8 kHz mu-law."""

import math
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bridge.sandbox import mulaw
from bridge.sandbox.clips import Clip
from bridge.sandbox.formats import FROM_ALAW

_PCM, _ALAW, _MULAW, _EXTENSIBLE = 1, 6, 7, 0xFFFE
# Zero crossings on each side of the low-pass filter; 3400 Hz is the telephone's band.
_CROSSINGS = 12
_BAND_HZ = 3400


class RecordingError(ValueError):
    """A file that cannot be used as speech; the text says what was expected."""


class _Wav(NamedTuple):
    coding: int
    channels: int
    rate_hz: int
    bits: int
    data: bytes


def read_recording(path: Path) -> Clip:
    """Read a WAV file, or raw mu-law under any other ending.

    Raises RecordingError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path}: expected an audio file: {error}") from None
    if not content:
        raise RecordingError(f"{path}: expected audio, got an empty file")
    if content[:4] == b"RIFF":
        content = _from_wav(_read_riff(path, content), path)
    elif path.suffix.lower() == ".wav":
        raise RecordingError(f"{path}: expected a RIFF header in a .wav file")
    return Clip(path.stem, content)


def _read_riff(path: Path, content: bytes) -> _Wav:
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        chunks.setdefault(content[at : at + 4], content[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    form, data = chunks.get(b"fmt ", b""), chunks.get(b"data", b"")
    if content[8:12] != b"WAVE" or len(form) < 16 or not data:
        raise RecordingError(f"{path}: expected a WAV file with a fmt and a data chunk")

    def field(start: int, size: int) -> int:
        return int.from_bytes(form[start : start + size], "little")

    coding = field(24, 2) if field(0, 2) == _EXTENSIBLE else field(0, 2)
    return _Wav(coding, field(2, 2), field(4, 4), field(14, 2), data)


def _from_wav(wav: _Wav, path: Path) -> bytes:
    if not wav.channels or not wav.rate_hz:
        raise RecordingError(f"{path}: expected channels and a sample rate")
    is_plain = wav.channels == 1 and wav.rate_hz == mulaw.RATE_HZ
    if wav.coding == _MULAW and is_plain:
        return wav.data
    samples = _samples(wav, path)
    mono = [
        sum(samples[i : i + wav.channels]) / wav.channels
        for i in range(0, len(samples) - wav.channels + 1, wav.channels)
    ]
    if wav.rate_hz != mulaw.RATE_HZ:
        mono = _resampled(mono, wav.rate_hz)
    return mulaw.encode([round(value) for value in mono])


def _samples(wav: _Wav, path: Path) -> Sequence[int]:
    decode = _DECODERS.get((wav.coding, wav.bits))
    if decode is None:
        raise RecordingError(
            f"{path}: expected PCM of 8, 16 or 24 bits, A-law or mu-law, got coding "
            f"{wav.coding} with {wav.bits} bits"
        )
    return decode(wav.data)


def _pcm8(data: bytes) -> Sequence[int]:
    return [(value - 128) << 8 for value in data]


def _pcm16(data: bytes) -> Sequence[int]:
    return mulaw.little_endian(array("h", data[: len(data) // 2 * 2]))


def _pcm24(data: bytes) -> Sequence[int]:
    tops = (data[i + 1 : i + 3] for i in range(0, len(data) - 2, 3))
    return [int.from_bytes(top, "little", signed=True) for top in tops]


def _alaw(data: bytes) -> Sequence[int]:
    return mulaw.decode(data.translate(FROM_ALAW))


_DECODERS: dict[tuple[int, int], Callable[[bytes], Sequence[int]]] = {
    (_PCM, 8): _pcm8,
    (_PCM, 16): _pcm16,
    (_PCM, 24): _pcm24,
    (_ALAW, 8): _alaw,
    (_MULAW, 8): mulaw.decode,
}


def _resampled(samples: Sequence[float], rate_hz: int) -> list[float]:
    """Return the samples at 8000 Hz, by a windowed sinc."""
    step = rate_hz / mulaw.RATE_HZ
    cutoff = min(_BAND_HZ, rate_hz / 2) / rate_hz  # of the input's rate
    reach = math.ceil(_CROSSINGS / (2 * cutoff))
    padded = [0.0] * reach + list(samples) + [0.0] * (reach + 1)
    kernels: dict[float, list[float]] = {}
    out = []
    for n in range(int(len(samples) / step)):
        whole, offset = divmod(n * step, 1)
        kernel = kernels.get(offset)
        if kernel is None:
            kernel = kernels[offset] = _kernel(reach, offset, cutoff)
        piece = padded[int(whole) : int(whole) + len(kernel)]
        out.append(sum(map(float.__mul__, map(float, piece), kernel)))
    return out


def _kernel(reach: int, offset: float, cutoff: float) -> list[float]:
    taps = []
    for tap in range(2 * reach + 1):
        x = tap - reach - offset
        angle = 2 * math.pi * cutoff * x
        sinc = 1.0 if not x else math.sin(angle) / angle
        # Hann, over the reach of the filter.
        window = 0.5 + 0.5 * math.cos(math.pi * max(-1.0, min(1.0, x / reach)))
        taps.append(sinc * window)
    total = sum(taps)
    return [value / total for value in taps]
