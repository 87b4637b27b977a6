"""Audio formats of the Realtime API: mu-law, and A-law and 24 kHz PCM made from it."""

import math
from array import array
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from bridge.sandbox import mulaw

_PCM_STEP = 3  # samples of 24 kHz for one of 8 kHz


def _encode_alaw(value: int) -> int:
    magnitude = (value if value >= 0 else ~value) >> 4
    segment = max(magnitude.bit_length() - 4, 0)
    step = magnitude >> max(segment - 1, 0)
    sign = 0x80 if value >= 0 else 0
    return (sign | segment << 4 | step & 0x0F) ^ 0x55


def _decode_alaw(code: int) -> int:
    plain = code ^ 0x55
    segment = (plain >> 4) & 0x07
    magnitude = ((plain & 0x0F) << 4) + 8
    if segment:
        magnitude = (magnitude + 0x100) << (segment - 1)
    return magnitude if plain & 0x80 else -magnitude


_TO_ALAW = bytes(_encode_alaw(value) for value in mulaw.LINEAR)
FROM_ALAW = mulaw.encode([_decode_alaw(code) for code in range(256)])


def _level_pcm(audio: bytes) -> float:
    samples = mulaw.little_endian(array("h", audio))
    mean = sum(value * value for value in samples) / len(samples)
    return 10 * math.log10(mean / mulaw.FULL_SCALE**2) if mean else mulaw.QUIET_DBFS


def _level_alaw(audio: bytes) -> float:
    return mulaw.level_dbfs(audio.translate(FROM_ALAW))


@cache
def _to_pcm(audio: bytes) -> bytes:
    samples = mulaw.decode(audio)
    out = array("h")
    for here, after in zip(samples, [*samples[1:], 0], strict=True):
        step = (after - here) / _PCM_STEP
        out.extend((here, round(here + step), round(here + 2 * step)))
    return mulaw.little_endian(out).tobytes()


class Format(NamedTuple):
    """How one format is measured, and made from mu-law."""

    bytes_per_ms: int
    level_dbfs: Callable[[bytes], float]
    from_mulaw: Callable[[bytes], bytes]


def _as_it_is(audio: bytes) -> bytes:
    return audio


FORMATS = {
    "audio/pcmu": Format(8, mulaw.level_dbfs, _as_it_is),
    "audio/pcma": Format(8, _level_alaw, lambda audio: audio.translate(_TO_ALAW)),
    "audio/pcm": Format(48, _level_pcm, _to_pcm),
}
