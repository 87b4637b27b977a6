"""G.711 mu-law: one table from code to 16-bit linear, filled at import."""

from libc.stdint cimport int16_t, uint8_t

cdef int16_t LINEAR[256]

cdef uint8_t encode_sample(int sample) noexcept nogil
