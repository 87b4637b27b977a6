# How voiced a frame is: the largest normalised autocorrelation over the pitch lags of
# 60 to 400 Hz, on the signal halved to 4 kHz, over 40 ms (two pitch periods of a deep
# voice). 1 is a periodic signal, noise reads 0.2 to 0.3.

cdef enum:
    HALF = 80           # samples of a frame at 4 kHz
    LAG_MIN = 10
    LAG_MAX = 66
    HISTORY = 160

cdef struct Periodicity:
    float past[160]     # the last two frames, oldest first


cdef inline double periodicity_update(
    Periodicity *state, const double *x
) noexcept nogil:
    cdef int i, lag
    cdef float dot, energy_a = 0, energy_b = 0, best = 0, value, *p = state.past
    for i in range(HISTORY - HALF):
        p[i] = p[i + HALF]
    for i in range(HALF):
        p[HISTORY - HALF + i] = <float> (0.5 * (x[2 * i] + x[2 * i + 1]))
    for i in range(LAG_MAX, HISTORY):
        energy_a += p[i] * p[i]
    if energy_a < 1000:
        return 0
    for i in range(LAG_MAX - LAG_MIN, HISTORY - LAG_MIN):
        energy_b += p[i] * p[i]
    for lag in range(LAG_MIN, LAG_MAX + 1):
        dot = 0
        for i in range(LAG_MAX, HISTORY):
            dot += p[i] * p[i - lag]
        if dot > 0:
            value = dot * dot / (energy_a * (energy_b + 1))
            if value > best:
                best = value
        if lag < LAG_MAX:
            energy_b += p[LAG_MAX - lag - 1] * p[LAG_MAX - lag - 1]
            energy_b -= p[HISTORY - lag - 1] * p[HISTORY - lag - 1]
    return best if best < 1 else 1
