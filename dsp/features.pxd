# What the learned net hears in a frame: FEATURES numbers; levels are in dB.
#
#   0..15  each band over its fast floor         40  far level, 0.52 to 1.6 s ago
#   16..31 each band over its slow floor         41  mean slow floor of the bands
#   32     level of the bands                    42  1 in a keypad tone
#   33     periodicity (squared correlation)     43  crest: loudest 2.5 ms over all
#   34     pitch lag over the shortest, in dB    44  level under the loudest past
#   35     flatness: mean band over the level    45  rise of the bands in a frame
#   36     far level, loudest that may return    46  level over the echo expected
#   37     level over 36                         47  level over what usually comes back
#   38     far level, 120 to 260 ms ago
#   39     far level, 280 to 500 ms ago
#
# 46 and 47 come from echo.pxd. While nothing is played they are relative to the noise
# of a quiet line.

from dsp.bands cimport BANDS, Bands
from dsp.decibels cimport decibels
from dsp.echo cimport EchoPath, far_loudest
from dsp.g711 cimport FRAME
from dsp.sums cimport sum_of

cdef enum:
    FEATURES = 48
    OVER_PEAK = 44
    CREST_PARTS = 8
    # Samples, 2.5 ms. Cython 3.3 crashes in a checked build over a division here.
    PART = FRAME >> 3
    FAR_HEARD_DB = 30       # -60 dBov: softer audio has no audible echo
    EXCESS_DB_MAX = 30      # 46 and 47 lie between this and its negative

cdef struct Features:
    float last_db[16]
    float peak_db


cdef inline float power_db(float power) noexcept nogil:
    """Convert 16-bit units squared to dB, with mu-law's own noise of 4 units added."""
    return decibels(power + 16)


cdef inline float line_db(float power) noexcept nogil:
    """Convert 16-bit units squared to dB, with a quiet line's noise of 10 units added.

    This is -70 dBov. A line that is digitally silent between words then looks like any
    quiet line, and a faint echo on it is not infinitely louder than the silence.
    """
    return decibels(power + 100)


cdef inline void features_reset(Features *state) noexcept nogil:
    cdef int i
    for i in range(BANDS):
        state.last_db[i] = line_db(0)
    state.peak_db = line_db(0)


cdef inline float part_energies(const float *x, float *parts) noexcept nogil:
    """Fill in the energy of each 2.5 ms of a frame; return their sum."""
    cdef float squares[FRAME]
    cdef float lanes[4 * CREST_PARTS]
    cdef const float *of
    cdef int i, k
    for i in range(FRAME):
        squares[i] = x[i] * x[i]
    for k in range(CREST_PARTS):
        of = squares + PART * k
        for i in range(4):
            lanes[4 * k + i] = of[i] + of[4 + i] + of[8 + i] + of[12 + i] + of[16 + i]
    for k in range(CREST_PARTS):
        parts[k] = (lanes[4 * k] + lanes[4 * k + 1]) + (
            lanes[4 * k + 2] + lanes[4 * k + 3]
        )
    return sum_of(parts, CREST_PARTS)


cdef inline float crest_db(const float *parts, float total) noexcept nogil:
    """Return how far the loudest 2.5 ms of a frame are over its level: 0 to 9 dB."""
    cdef float loudest = 0
    cdef int k
    for k in range(CREST_PARTS):
        loudest = max(loudest, parts[k])
    return decibels((CREST_PARTS * loudest + 16) / (total + 16))


cdef inline void features_update(
    Features *state, const EchoPath *echo, const Bands *bands, float crest,
    float level_db, const float *levels_db, float voiced, int lag, bint is_tone,
    float *out,
) noexcept nogil:
    """Fill in FEATURES numbers from a frame's crest, its level and its bands' levels.

    `echo` and `bands` have already taken the frame.
    """
    cdef float rises[BANDS]
    cdef int i
    for i in range(BANDS):
        out[i] = levels_db[i] - bands.fast_db[i]
        out[BANDS + i] = levels_db[i] - bands.slow_db[i]
        rises[i] = max(<float> 0, levels_db[i] - state.last_db[i])
        state.last_db[i] = levels_db[i]
    out[32] = level_db
    out[33] = voiced
    out[34] = decibels(<float> 0.1 * max(lag, 10))
    out[35] = sum_of(levels_db, BANDS) / BANDS - level_db
    out[36] = far_loudest(echo)
    out[37] = level_db - out[36]
    out[38] = echo.near_db
    out[39] = echo.late_db
    out[40] = echo.latest_db
    out[41] = sum_of(bands.slow_db, BANDS) / BANDS
    out[42] = is_tone
    out[43] = crest
    out[OVER_PEAK] = level_db - state.peak_db
    out[45] = sum_of(rises, BANDS) / BANDS
    out[46] = over_db(level_db, echo.expected_db)
    out[47] = over_db(level_db, <float> (out[36] + echo.usual_db))
    # The loudest level of the past decays by 0.4 dB a second.
    state.peak_db = max(level_db, state.peak_db - <float> 0.008)


cdef inline void features_unechoed(
    const float *features, float level_db, float *out
) noexcept nogil:
    """Fill in a frame's features as they are if nothing was played."""
    cdef int i
    for i in range(FEATURES):
        out[i] = features[i]
    out[36] = out[38] = out[39] = out[40] = power_db(0)
    out[37] = level_db - power_db(0)
    out[46] = out[47] = over_db(level_db, 0)


cdef inline float over_db(float level_db, float expected_db) noexcept nogil:
    """Return how far a level lies over another, or over the noise of a quiet line."""
    cdef float over = level_db - max(expected_db, line_db(0))
    return min(max(over, <float> -EXCESS_DB_MAX), <float> EXCESS_DB_MAX)
