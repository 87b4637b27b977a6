"""Mu-law in plain Python, so that the sandbox checks the kernels with its own numbers.

ITU-T G.711: eight segments of sixteen steps, the bits of the wire inverted. Nothing
here is fast; it measures, mixes and converts clips.
"""

import math
import sys
from array import array
from collections.abc import Sequence
from functools import cache

RATE_HZ = 8000
BYTES_PER_MS = 8
FRAME_BYTES = 160
SILENCE = b"\xff"
FULL_SCALE = 32768.0
QUIET_DBFS = -127.0

_BIAS = 132
_CLIP = 32635


def _decode_code(code: int) -> int:
    inverted = ~code & 0xFF
    magnitude = (((inverted & 0x0F) << 3) + _BIAS) << ((inverted >> 4) & 0x07)
    magnitude -= _BIAS
    return -magnitude if inverted & 0x80 else magnitude


LINEAR = tuple(_decode_code(code) for code in range(256))
_SQUARES = tuple(value * value for value in LINEAR)


def encode_sample(value: int) -> int:
    """Return the code of one 16-bit sample; a louder value is clipped."""
    sign = 0x80 if value < 0 else 0
    biased = min(abs(value), _CLIP) + _BIAS
    segment = biased.bit_length() - 8
    return ~(sign | (segment << 4) | ((biased >> (segment + 3)) & 0x0F)) & 0xFF


@cache
def _codes() -> bytes:
    return bytes(encode_sample(value) for value in range(-32768, 32768))


def encode(samples: Sequence[int]) -> bytes:
    """Return mu-law for 16-bit samples."""
    codes = _codes()
    return bytes(codes[min(max(value, -32768), 32767) + 32768] for value in samples)


def decode(audio: bytes) -> "array[int]":
    """Return 16-bit samples for mu-law."""
    return array("h", map(LINEAR.__getitem__, audio))


def little_endian(samples: "array[int]") -> "array[int]":
    """Return samples in the little-endian order of files and wires."""
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def level_dbfs(audio: bytes) -> float:
    """Return the RMS level; -127 for digital silence."""
    if not audio:
        return QUIET_DBFS
    mean = sum(map(_SQUARES.__getitem__, audio)) / len(audio)
    return 10 * math.log10(mean / FULL_SCALE**2) if mean else QUIET_DBFS


def scaled(audio: bytes, gain_db: float) -> bytes:
    """Return the audio louder or quieter."""
    gain = 10 ** (gain_db / 20)
    table = encode([round(value * gain) for value in LINEAR])
    return audio.translate(table)


def mixed(one: bytes, other: bytes) -> bytes:
    """Return the mix of two recordings of the same length."""
    samples = [LINEAR[a] + LINEAR[b] for a, b in zip(one, other, strict=True)]
    return encode(samples)
