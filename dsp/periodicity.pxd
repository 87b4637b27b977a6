# How voiced a frame is: the largest normalised autocorrelation over the pitch lags of
# 60 to 400 Hz, on the signal halved to 4 kHz, over 40 ms (two pitch periods of a deep
# voice). A periodic signal reads 1, noise 0.2 to 0.4, silence 0.

from libc.math cimport sqrtf

from dsp.level cimport FRAME

cdef enum:
    HALVED = 80             # samples of a frame at 4 kHz
    LAG_MIN = 10            # 400 Hz
    LAG_MAX = 66            # 60 Hz
    HISTORY = 160
    COMPARED = 94           # HISTORY - LAG_MAX: each lag compares as many samples

cdef struct Periodicity:
    float past[HISTORY]     # the last two frames, oldest first


cdef inline float periodicity_update(
    Periodicity *state, const float *x
) noexcept nogil:
    """Take one frame of 160 samples; return the correlation, 0 to 1."""
    cdef float dot, energy = 0, delayed = 0, value, best = 0
    cdef float *p = state.past
    cdef int i, lag
    for i in range(HISTORY - HALVED):
        p[i] = p[i + HALVED]
    for i in range(HALVED):
        p[HISTORY - HALVED + i] = <float> 0.5 * (x[2 * i] + x[2 * i + 1])
    for i in range(COMPARED):
        energy += p[LAG_MAX + i] * p[LAG_MAX + i]
        delayed += p[LAG_MAX - LAG_MIN + i] * p[LAG_MAX - LAG_MIN + i]
    # A line at rest is not periodic, however it repeats: as if white noise of about
    # 4 units RMS, mu-law's smallest step, were added.
    energy += COMPARED * 16
    for lag in range(LAG_MIN, LAG_MAX + 1):
        dot = 0
        for i in range(COMPARED):
            dot += p[LAG_MAX + i] * p[LAG_MAX - lag + i]
        value = dot * dot / (energy * (delayed + COMPARED * 16)) if dot > 0 else 0
        best = value if value > best else best
        if lag < LAG_MAX:
            delayed += p[LAG_MAX - lag - 1] * p[LAG_MAX - lag - 1]
            delayed -= p[HISTORY - lag - 1] * p[HISTORY - lag - 1]
            delayed = delayed if delayed > 0 else 0
    best = sqrtf(best)
    return best if best < 1 else 1
