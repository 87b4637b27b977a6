"""G.711 mu-law for other kernels.

Only this file defines the size of a frame: 20 ms at 8 kHz, one byte for each sample.
"""

from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memcpy

cdef enum:
    FRAME = 160             # samples
    FRAME_TEXT = 216        # its characters in base64: 4 * ceil(FRAME / 3), with "=="

cpdef enum:
    FRAME_BYTES = FRAME
    FRAME_MS = 20

cdef uint8_t encode_sample(int sample) noexcept nogil


cdef inline void decode_frame(const uint8_t *source, float *target) noexcept nogil:
    """Decode a frame without a table, so that many samples are decoded at once.

    Mu-law is a floating-point format: (16.5 + step) 2^segment 8 is its magnitude and
    BIAS. Its bits go to the places that IEEE 754 has for them, 7 and 127 being added to
    the exponent.
    """
    cdef int32_t code, bits
    cdef float magnitude
    cdef int i
    for i in range(FRAME):
        code = source[i] ^ 0xFF
        bits = ((code & 0x7F) << 19) + (134 << 23) + (1 << 18)
        memcpy(&magnitude, &bits, sizeof(bits))
        magnitude -= 132
        target[i] = -magnitude if code & 0x80 else magnitude
