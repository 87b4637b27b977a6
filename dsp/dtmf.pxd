# DTMF: one row and one column tone hold nearly all of the energy (ITU-T Q.23, Q.24).
# Goertzel at the eight frequencies over one 20 ms frame (50 Hz resolution).

from libc.math cimport M_PI, cos


cdef inline void dtmf_fill(double *coefficients) noexcept nogil:
    """Fill in 2 cos(2 pi f / 8000) for the rows, then the columns."""
    cdef double[8] hz = [697, 770, 852, 941, 1209, 1336, 1477, 1633]
    cdef int i
    for i in range(8):
        coefficients[i] = 2 * cos(2 * M_PI * hz[i] / 8000)


cdef inline bint dtmf_is_tone(
    const double *coefficients, const double *x, int n, double energy
) noexcept nogil:
    """Tell whether a frame of total `energy` is a keypad tone."""
    cdef double best[2]
    cdef double s1, s2, s0, power, c
    cdef int k, i
    best[0] = 0
    best[1] = 0
    if energy < 1e5:
        return False
    for k in range(8):
        c = coefficients[k]
        s1 = 0
        s2 = 0
        for i in range(n):
            s0 = x[i] + c * s1 - s2
            s2 = s1
            s1 = s0
        power = (s1 * s1 + s2 * s2 - c * s1 * s2) * 2 / n
        if power > best[k // 4]:
            best[k // 4] = power
    # Twist (Q.24): the two tones are within 8 dB of each other.
    if best[0] > 6.3 * best[1] or best[1] > 6.3 * best[0]:
        return False
    return best[0] + best[1] > 0.8 * energy
