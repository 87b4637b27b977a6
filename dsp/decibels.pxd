# A power in dB, from sums and products alone.
#
# libm's logarithm differs in the last bit from system to system, cannot be computed for
# many numbers at once, and was the eighth part of a frame's cost: 16 bands took 129 ns
# with log10f and take 14 (portable; 93 and 6 with AVX2).

from libc.stdint cimport int32_t
from libc.string cimport memcpy


cdef inline float decibels(float power) noexcept nogil:
    """Return 10 log10(power) of a positive, normal number, to 0.00001 dB.

    The number is 2^k m with m from sqrt(1/2) to sqrt(2). With t = (m - 1) / (m + 1),
    ln m is 2 t (1 + t^2 / 3 + t^4 / 5 + ...); four terms suffice.
    """
    cdef int32_t bits, k
    cdef float m, t, square, series
    memcpy(&bits, &power, sizeof(bits))
    bits -= 0x3F3504F3          # sqrt(1/2)
    k = bits >> 23
    bits = (bits & 0x7FFFFF) + 0x3F3504F3
    memcpy(&m, &bits, sizeof(m))
    t = (m - 1) / (m + 1)
    square = t * t
    series = <float> 0.2 + square * <float> 0.14285714
    series = 1 + square * (<float> 0.33333333 + square * series)
    # 10 log10(2) = 3.0103 and 20 / ln(10) = 8.68589
    return <float> 3.0102999566 * <float> k + <float> 8.6858896381 * t * series
