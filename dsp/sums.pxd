# Sums in four lanes, which compilers compute at once. The order of the additions is
# written, so that each build has the same sum.


cdef inline float sum_of(const float *x, int count) noexcept nogil:
    """Return the sum of `count` numbers, a multiple of four."""
    cdef float a = 0, b = 0, c = 0, d = 0
    cdef int i
    for i in range(0, count, 4):
        a += x[i]
        b += x[i + 1]
        c += x[i + 2]
        d += x[i + 3]
    return (a + b) + (c + d)


cdef inline float dot_of(const float *x, const float *y, int count) noexcept nogil:
    """Return the sum of `count` products, a multiple of four."""
    cdef float a = 0, b = 0, c = 0, d = 0
    cdef int i
    for i in range(0, count, 4):
        a += x[i] * y[i]
        b += x[i + 1] * y[i + 1]
        c += x[i + 2] * y[i + 2]
        d += x[i + 3] * y[i + 3]
    return (a + b) + (c + d)
