# What the learned score hears in a frame: INPUTS numbers, in dB where they are levels.
#
#   0..15  each band over its noise floor        22  far level, 120 to 260 ms ago
#   16     level of the bands                    23  far level, 280 to 500 ms ago
#   17     periodicity (squared correlation)     24  mean floor of the bands
#   18     pitch lag over the shortest, in dB    25  1 in a keypad tone
#   19     flatness: mean band over the level    26  crest: loudest 2.5 ms over all
#   20     far level, loudest of half a second   27  level under the loudest past
#   21     level over 20                         28  rise of the bands in a frame
#   29     bands more than 6 dB over their floor, as a share
#
# An echo comes back after 120 to 400 ms on a telephone line: hence 22 and 23.

from libc.math cimport log10f

from dsp.bands cimport BANDS
from dsp.score cimport INPUTS

cdef enum:
    FAR_FRAMES = 26         # half a second and the frame itself
    FAR_NEAR = 13           # frames back to which feature 22 reaches; 23 takes the rest
    FAR_NEAREST = 6
    CREST_PARTS = 8

cdef struct Features:
    float far[26]           # dB, newest at far_index
    float last_db[16]
    float peak_db
    int far_index


cdef inline float power_db(float power) noexcept nogil:
    """16-bit units squared to dB; below 4 units, mu-law's own noise, all is alike."""
    return 10 * log10f(power + 16)


cdef inline float line_db(float power) noexcept nogil:
    """The same with the noise of a quiet line added, 10 units: -70 dBov.

    A line that is digitally silent between words then looks like any quiet line, and a
    faint echo on it is not infinitely far over nothing.
    """
    return 10 * log10f(power + 100)


cdef inline void features_reset(Features *state) noexcept nogil:
    cdef int i
    for i in range(FAR_FRAMES):
        state.far[i] = power_db(0)
    for i in range(BANDS):
        state.last_db[i] = line_db(0)
    state.peak_db = line_db(0)
    state.far_index = 0


cdef inline float far_loudest(
    const Features *state, int newest, int oldest
) noexcept nogil:
    """The loudest far level of `newest` to `oldest` frames ago, dB."""
    cdef float loudest = 0
    cdef int back
    for back in range(newest, oldest + 1):
        loudest = max(
            loudest, state.far[(state.far_index + FAR_FRAMES - back) % FAR_FRAMES]
        )
    return loudest


cdef inline void features_far(Features *state, float far_db) noexcept nogil:
    """Take the far level of a frame before `features_update` is asked about it."""
    state.far_index = (state.far_index + 1) % FAR_FRAMES
    state.far[state.far_index] = max(far_db, power_db(0))


cdef inline float crest_db(const float *x) noexcept nogil:
    """How far the loudest 2.5 ms of a frame rises over the whole of it: 0 to 9 dB."""
    cdef float part, loudest = 0, total = 0
    cdef int i, k
    for k in range(CREST_PARTS):
        part = 0
        for i in range(20):
            part += x[20 * k + i] * x[20 * k + i]
        total += part
        loudest = max(loudest, part)
    return 10 * log10f((CREST_PARTS * loudest + 16) / (total + 16))


cdef inline void features_update(
    Features *state, const float *x, const float *levels_db, const float *over_db,
    const float *floors_db, float voiced, int lag, bint is_tone, float *out,
) noexcept nogil:
    """Fill in INPUTS features from a frame of 160 samples and its band levels."""
    cdef float power = 0, mean_db = 0, floor_db = 0, rise = 0, open_bands = 0
    cdef float level_db
    cdef int i
    for i in range(BANDS):
        out[i] = over_db[i]
        mean_db += levels_db[i]
        floor_db += floors_db[i]
        rise += max(<float> 0, levels_db[i] - state.last_db[i])
        open_bands += over_db[i] > 6
        state.last_db[i] = levels_db[i]
    for i in range(160):
        power += x[i] * x[i]
    level_db = line_db(power / 160)
    out[16] = level_db
    out[17] = voiced
    out[18] = 10 * log10f(<float> 0.1 * max(lag, 10))
    out[19] = mean_db / BANDS - level_db
    out[20] = far_loudest(state, 0, FAR_FRAMES - 1)
    out[21] = level_db - out[20]
    out[22] = far_loudest(state, FAR_NEAREST, FAR_NEAR)
    out[23] = far_loudest(state, FAR_NEAR + 1, FAR_FRAMES - 1)
    out[24] = floor_db / BANDS
    out[25] = is_tone
    out[26] = crest_db(x)
    out[27] = level_db - state.peak_db
    out[28] = rise / BANDS
    out[29] = open_bands / BANDS
    # The loudest level of the past is forgotten at 0.4 dB a second.
    state.peak_db = max(level_db, state.peak_db - <float> 0.008)
