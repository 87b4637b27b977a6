# How voiced a frame is: the largest normalised autocorrelation over the pitch lags of
# 60 to 400 Hz, on the signal halved to 4 kHz, over 40 ms (two pitch periods of a deep
# voice). A periodic signal reads 1, noise under 0.15.
#
# The samples are scaled to whole numbers of up to WHOLE_PEAK, so that a sum of SPAN
# products fits 32 bits and pair_sums.pxd computes all lags together.

from libc.stdint cimport int16_t, int32_t

from dsp.pair_sums cimport kolbridge_pair_sums

cdef enum:
    HALF = 80           # samples of a frame at 4 kHz
    LAG_MIN = 10
    LAG_MAX = 66
    LAGS = 57
    ROWS = 72           # a multiple of 24; lags after the last are not used
    HISTORY = 160
    SPAN = 94           # HISTORY - LAG_MAX: the samples in a sum
    WHOLE_PEAK = 4095   # SPAN times its square is under 2^31
    LEAST_PEAK = 4      # 16-bit units; what is softer has no period

cdef struct Periodicity:
    float past[160]     # the last two frames, oldest first
    int lag             # of the best correlation, in samples at 4 kHz


cdef inline double periodicity_update(
    Periodicity *state, const float *x
) noexcept nogil:
    cdef int16_t whole[168]
    cdef int16_t pairs[332]     # the samples at i and i + 1
    cdef int32_t squares[160]
    cdef int32_t dots[72]       # dots[k] belongs to lag LAG_MAX - k
    cdef float values[60]
    cdef float peak, scale, energy, best
    cdef float *p = state.past
    cdef int32_t late = 0, early = 0
    cdef int i, k
    for i in range(HALF):
        p[i] = p[i + HALF]
    for i in range(HALF):
        p[HALF + i] = <float> 0.5 * (x[2 * i] + x[2 * i + 1])
    peak = _peak(p, HISTORY)
    state.lag = LAG_MIN
    if not peak >= LEAST_PEAK:
        return 0
    scale = WHOLE_PEAK / peak
    for i in range(HISTORY):
        whole[i] = <int16_t> <int32_t> (
            p[i] * scale + (<float> 0.5 if p[i] >= 0 else <float> -0.5)
        )
    for i in range(HISTORY, HISTORY + 8):
        whole[i] = 0
    for i in range(HISTORY + 6):
        pairs[2 * i] = whole[i]
        pairs[2 * i + 1] = whole[i + 1]
    kolbridge_pair_sums(pairs, 2, whole + LAG_MAX, SPAN >> 1, ROWS, dots)
    for i in range(HISTORY):
        squares[i] = <int32_t> whole[i] * whole[i]
    for i in range(SPAN):
        late += squares[LAG_MAX + i]
        early += squares[i]
    energy = late + 1
    # The energy of the delayed span moves with the lag.
    for k in range(LAGS):
        values[k] = <float> early + 1
        early += squares[SPAN + k] - squares[k]
    for k in range(LAGS):
        values[k] = _squared(dots[k]) / (energy * values[k])
    for k in range(LAGS, LAGS + 3):
        values[k] = 0
    best = _peak(values, LAGS + 3)
    if best > 0:
        state.lag = LAG_MAX - _index(values, best)
    return best if best < 1 else 1


cdef inline int _index(const float *values, float value) noexcept nogil:
    """Return the first of LAGS places that has a value; without a branch for each."""
    cdef int first = LAGS, k
    for k in range(LAGS):
        first = min(first, k if values[k] == value else LAGS)
    return first

cdef inline float _peak(const float *p, int count) noexcept nogil:
    """Return the largest magnitude; four lanes, as vectors are."""
    cdef float lanes[4]
    cdef float value
    cdef int i, k
    for k in range(4):
        lanes[k] = 0
    for i in range(0, count, 4):
        for k in range(4):
            value = p[i + k] if p[i + k] >= 0 else -p[i + k]
            lanes[k] = value if value > lanes[k] else lanes[k]
    return max(max(lanes[0], lanes[1]), max(lanes[2], lanes[3]))


cdef inline float _squared(int32_t dot) noexcept nogil:
    """Return the square of a positive correlation, and 0 for a negative one."""
    cdef float value = <float> dot if dot > 0 else <float> 0
    return value * value
