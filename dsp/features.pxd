# What the learned scores hear in a frame: FEATURES numbers; levels are in dB.
#
#   0..15  each band over its noise floor        22  far level, 120 to 260 ms ago
#   16     level of the bands                    23  far level, 280 to 500 ms ago
#   17     periodicity (squared correlation)     24  mean floor of the bands
#   18     pitch lag over the shortest, in dB    25  1 in a keypad tone
#   19     flatness: mean band over the level    26  crest: loudest 2.5 ms over all
#   20     far level, loudest of half a second   27  level under the loudest past
#   21     level over 20                         28  rise of the bands in a frame
#   29     bands more than 6 dB over their floor, as a share
#   30     level over the echo expected         31  level over what usually comes back
#
# An echo comes back after 120 to 400 ms on a telephone line: hence 22 and 23. The last
# two come from echo.pxd and are for the double-talk score alone. While nothing is
# played they are relative to the noise of a quiet line.

from libc.math cimport log10f

from dsp.bands cimport BANDS
from dsp.echo cimport EchoPath, echo_predicted, far_loudest
from dsp.g711 cimport FRAME

cdef enum:
    FEATURES = 32
    CREST_PARTS = 8
    # Samples, 2.5 ms. Cython 3.3 crashes in a checked build over a division here.
    PART = FRAME >> 3
    FAR_HEARD_DB = 30       # -60 dBov: softer audio has no audible echo
    EXCESS_DB_MAX = 30      # 30 and 31 lie between this and its negative

cdef struct Features:
    float last_db[16]
    float peak_db


cdef inline float power_db(float power) noexcept nogil:
    """Convert 16-bit units squared to dB, with mu-law's own noise of 4 units added."""
    return 10 * log10f(power + 16)


cdef inline float line_db(float power) noexcept nogil:
    """Convert 16-bit units squared to dB, with a quiet line's noise of 10 units added.

    This is -70 dBov. A line that is digitally silent between words then looks like any
    quiet line, and a faint echo on it is not infinitely louder than the silence.
    """
    return 10 * log10f(power + 100)


cdef inline void features_reset(Features *state) noexcept nogil:
    cdef int i
    for i in range(BANDS):
        state.last_db[i] = line_db(0)
    state.peak_db = line_db(0)


cdef inline float crest_db(const float *x) noexcept nogil:
    """Return how far the loudest 2.5 ms of a frame are over its level: 0 to 9 dB."""
    cdef float part, loudest = 0, total = 0
    cdef int i, k
    for k in range(CREST_PARTS):
        part = 0
        for i in range(PART):
            part += x[PART * k + i] * x[PART * k + i]
        total += part
        loudest = max(loudest, part)
    return 10 * log10f((CREST_PARTS * loudest + 16) / (total + 16))


cdef inline void features_update(
    Features *state, EchoPath *echo, const float *x, const float *levels_db,
    const float *excess_db, const float *floors_db, float voiced, int lag, bint is_tone,
    float *out,
) noexcept nogil:
    """Fill in FEATURES numbers from a frame and its band levels.

    `echo` already has the far level of this frame.
    """
    cdef float power = 0, mean_db = 0, floor_db = 0, rise = 0, open_bands = 0
    cdef float level_db
    cdef int i
    for i in range(BANDS):
        out[i] = excess_db[i]
        mean_db += levels_db[i]
        floor_db += floors_db[i]
        rise += max(<float> 0, levels_db[i] - state.last_db[i])
        open_bands += excess_db[i] > 6
        state.last_db[i] = levels_db[i]
    for i in range(FRAME):
        power += x[i] * x[i]
    level_db = line_db(power / FRAME)
    out[16] = level_db
    out[17] = voiced
    out[18] = 10 * log10f(<float> 0.1 * max(lag, 10))
    out[19] = mean_db / BANDS - level_db
    out[20] = far_loudest(echo)
    out[21] = level_db - out[20]
    out[22] = echo.near_db
    out[23] = echo.late_db
    out[24] = floor_db / BANDS
    out[25] = is_tone
    out[26] = crest_db(x)
    out[27] = level_db - state.peak_db
    out[28] = rise / BANDS
    out[29] = open_bands / BANDS
    out[30] = level_db - max(echo_predicted(echo, level_db, FAR_HEARD_DB), line_db(0))
    out[30] = min(max(out[30], <float> -EXCESS_DB_MAX), <float> EXCESS_DB_MAX)
    out[31] = level_db - max(<float> (out[20] + echo.usual_db), line_db(0))
    out[31] = min(max(out[31], <float> -EXCESS_DB_MAX), <float> EXCESS_DB_MAX)
    # The loudest level of the past decays by 0.4 dB a second.
    state.peak_db = max(level_db, state.peak_db - <float> 0.008)
