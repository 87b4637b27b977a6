"""G.711 mu-law: one table from code to 16-bit linear, filled at import.

Only this file defines the size of a frame: 20 ms at 8 kHz, one byte for each sample.
"""

from libc.stdint cimport int16_t, uint8_t

cdef enum:
    FRAME = 160             # samples
    FRAME_TEXT = 216        # its characters in base64: 4 * ceil(FRAME / 3), with "=="

cpdef enum:
    FRAME_BYTES = FRAME
    FRAME_MS = 20

cdef int16_t LINEAR[256]

cdef uint8_t encode_sample(int sample) noexcept nogil
