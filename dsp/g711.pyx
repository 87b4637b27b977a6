"""G.711 mu-law <-> 16-bit linear, frame levels and gain tables.

ITU-T G.711 table 2a/2b: sign, three bits of segment, four of step; the transmitted
octet is inverted. 0xFF is digital silence.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.math cimport log10, pow, round
from libc.stdint cimport int16_t, uint8_t

SILENCE_BYTE = 0xFF
# A level byte is dBFS + 127, so 0 is "at or below -127 dBFS" and 127 full scale.
LEVEL_OFFSET = 127

cdef int16_t LINEAR[256]    # of each code, filled at import

cdef enum:
    BIAS = 132      # 33 << 2: G.711's bias in 16-bit units
    CLIP = 32635    # the largest magnitude that does not overflow the last segment


cdef int _linear(int code) noexcept:
    cdef int u = ~code & 0xFF
    cdef int magnitude = ((((u & 0x0F) << 3) + BIAS) << ((u & 0x70) >> 4)) - BIAS
    return -magnitude if u & 0x80 else magnitude


cdef uint8_t encode_sample(int sample) noexcept nogil:
    cdef int sign = 0x80 if sample < 0 else 0
    cdef int magnitude = -sample if sample < 0 else sample
    cdef int segment = 7
    cdef int mask = 0x4000
    if magnitude > CLIP:
        magnitude = CLIP
    magnitude += BIAS
    while segment > 0 and not (magnitude & mask):
        segment -= 1
        mask >>= 1
    return <uint8_t> (~(sign | (segment << 4) | ((magnitude >> (segment + 3)) & 0x0F)))


cdef void _fill() noexcept:
    cdef int code
    for code in range(256):
        LINEAR[code] = <int16_t> _linear(code)


_fill()


def decode(bytes mulaw not None):
    """Return 16-bit little-endian linear samples, two bytes for each of `mulaw`."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(mulaw), i
    cdef const uint8_t *source = <const uint8_t *> PyBytes_AS_STRING(mulaw)
    cdef bytes out = PyBytes_FromStringAndSize(NULL, 2 * n)
    cdef uint8_t *target = <uint8_t *> PyBytes_AS_STRING(out)
    for i in range(n):
        target[2 * i] = <uint8_t> (LINEAR[source[i]] & 0xFF)
        target[2 * i + 1] = <uint8_t> ((LINEAR[source[i]] >> 8) & 0xFF)
    return out


def encode(bytes linear not None):
    """Return mu-law for 16-bit little-endian samples; ValueError for an odd size."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(linear), i
    if n % 2:
        raise ValueError(f"expected whole 16-bit samples, got {n} bytes")
    cdef const uint8_t *source = <const uint8_t *> PyBytes_AS_STRING(linear)
    cdef bytes out = PyBytes_FromStringAndSize(NULL, n // 2)
    cdef uint8_t *target = <uint8_t *> PyBytes_AS_STRING(out)
    for i in range(n // 2):
        target[i] = encode_sample(<int16_t> (source[2 * i] | (source[2 * i + 1] << 8)))
    return out


def frame_levels(bytes mulaw not None):
    """Return one byte for each whole or partial 20 ms frame: its dBFS + 127."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(mulaw), at, i, size
    cdef const uint8_t *source = <const uint8_t *> PyBytes_AS_STRING(mulaw)
    cdef Py_ssize_t frames = (n + FRAME - 1) // FRAME
    cdef bytes out = PyBytes_FromStringAndSize(NULL, frames)
    cdef uint8_t *target = <uint8_t *> PyBytes_AS_STRING(out)
    cdef double energy, level, sample
    for at in range(frames):
        size = min(<Py_ssize_t> FRAME, n - at * FRAME)
        energy = 0
        for i in range(size):
            sample = LINEAR[source[at * FRAME + i]]
            energy += sample * sample
        level = 0.0
        if energy > 0:
            level = LEVEL_OFFSET_DB + 10 * log10(energy / size / (32768.0 * 32768.0))
        target[at] = <uint8_t> min(127.0, max(0.0, round(level)))
    return out


cdef double LEVEL_OFFSET_DB = LEVEL_OFFSET


def _gain_table(double gain_db):
    cdef double factor = pow(10, gain_db / 20), sample
    codes = bytearray(256)
    for code in range(256):
        sample = LINEAR[code] * factor
        codes[code] = encode_sample(<int> max(-CLIP, min(CLIP, round(sample))))
    return bytes(codes)


# mu-law -> mu-law in 0.5 dB steps, 0 to 18 dB: a quiet caller at -36 dBov comes within
# 4 dB of the -18 dBov that speech models expect; a louder caller needs less. Step 0
# changes nothing.
GAIN_TABLES = (bytes(range(256)),) + tuple(
    _gain_table(step / 2) for step in range(1, 37)
)
