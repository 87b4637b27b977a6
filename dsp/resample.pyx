"""24 kHz PCM to 8 kHz mu-law, for a session whose output is `audio/pcm`.

A 72-tap Kaiser low-pass (beta 7, cut-off 3.6 kHz) filters the input; every third sample
is kept. The coefficients are computed here; tests/dsp/test_resample.py compares them to
scipy.signal.firwin(72, 3600, window=("kaiser", 7.0), fs=24000).
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.math cimport M_PI, lround, sin, sqrt
from libc.stdint cimport int16_t, uint8_t

from dsp.g711 cimport encode_sample

cdef enum:
    TAPS = 72
    RATIO = 3

cdef double COEFFICIENTS[TAPS]


cdef double _bessel_i0(double x) noexcept:
    cdef double term = 1, total = 1
    cdef int k
    for k in range(1, 40):
        term *= (x / (2 * k)) ** 2
        total += term
    return total


cdef void _fill() noexcept:
    cdef double centre = (TAPS - 1) / 2.0, t, total = 0, cut = 3600.0 / 12000.0
    cdef int i
    for i in range(TAPS):
        t = i - centre
        COEFFICIENTS[i] = sin(M_PI * cut * t) / (M_PI * t) * _bessel_i0(
            7.0 * sqrt(1 - (t / centre) ** 2)
        )
        total += COEFFICIENTS[i]
    for i in range(TAPS):
        COEFFICIENTS[i] /= total


_fill()


def coefficients():
    """Return the filter's coefficients, for tests."""
    return [COEFFICIENTS[i] for i in range(TAPS)]


cdef class PcmEncoder:
    """The resampler of one stream; the output does not depend on how input is cut."""

    cdef bytes _rest

    def __init__(self):
        self._rest = bytes(2 * (TAPS - 1))

    def encode(self, bytes pcm not None):
        """Take 16-bit little-endian PCM at 24 kHz; return mu-law at 8 kHz."""
        cdef bytes data = self._rest + pcm
        cdef const uint8_t *source = <const uint8_t *> PyBytes_AS_STRING(data)
        cdef Py_ssize_t samples = PyBytes_GET_SIZE(data) // 2, i, k, at
        cdef Py_ssize_t n = 0
        if samples >= TAPS:
            n = (samples - TAPS) // RATIO + 1
        cdef bytes out = PyBytes_FromStringAndSize(NULL, n)
        cdef uint8_t *target = <uint8_t *> PyBytes_AS_STRING(out)
        cdef double total
        cdef int sample
        for i in range(n):
            total = 0
            for k in range(TAPS):
                at = 2 * (i * RATIO + k)
                sample = <int16_t> (source[at] | (source[at + 1] << 8))
                total += COEFFICIENTS[k] * sample
            target[i] = encode_sample(<int> lround(total))
        self._rest = data[2 * n * RATIO:]
        return out

    def flush(self):
        """Return the audio that the filter still holds, and reset the filter."""
        out = self.encode(bytes(2 * (TAPS // 2)))
        self._rest = bytes(2 * (TAPS - 1))
        return out
