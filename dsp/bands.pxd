# Sixteen mel bands of 200 to 3600 Hz: their levels, and two noise floors of each, in
# dB.
#
# The fast floor is the least smoothed level of the last BAND_WINDOWS windows of
# BAND_WINDOW_FRAMES frames each (1.8 s together; minimum statistics, R. Martin, 2001,
# simplified; see noise.pxd). It learns a step of the noise within two seconds. It also
# climbs into speech that has no pause for as long, all the more in a room that fills
# the pauses. The slow floor follows the fast one down at once, and up by 0.5 dB a
# second, or 0.1 while an eighth of the frames or more are voiced: it still knows the
# line after a minute of speech. The net has both, and can tell a noise that rose from a
# caller who talks on.
#
# Neither starts at the first frame's level, which may be speech. A band starts at
# START_DB. In the first START_FRAMES frames the fast floor climbs by 20 dB a
# second towards the least level so far, and the slow floor by half of it.
#
# A band is a triangle on the mel scale (2595 log10(1 + f / 700)); a bin between two
# centres is shared by both. The weights of a band sum to one, so that white noise of
# RMS s reads 20 log10(s) in each.

cdef enum:
    BANDS = 16
    FIRST_BIN = 7           # 219 Hz
    LAST_BIN = 115          # 3594 Hz
    BAND_WINDOWS = 6
    BAND_WINDOW_FRAMES = 15
    START_DB = 26           # a quiet line's -64 dBov
    START_FRAMES = 90       # until all windows are of this call
    SMOOTH_FRAMES = 10
    NOT_YET_DB = 200        # a window that has no frame
    VOICING_FRAMES = 100

cdef struct BandTables:
    # The first bin of each segment between two centres, and the end of the last.
    int first[18]
    float lower_weight[129]     # in the band below the bin; 0 under the first centre
    float upper_weight[129]     # in the band above

cdef struct Bands:
    float smooth[16]        # dB, over about 4 frames
    float current[16]       # least of the running window
    float minima[6][16]
    float fast_db[16]
    float slow_db[16]
    int frames              # in the running window
    int index
    int age                 # frames, up to START_FRAMES
    float voicing           # the share of voiced frames, smoothed over VOICING_FRAMES

cdef BandTables BAND_TABLES


cdef inline void bands_power(
    const BandTables *tables, const float *power, float *bands
) noexcept nogil:
    """Fill in the power of each band from 129 bins."""
    cdef float falling[129]
    cdef float rising[129]
    cdef float sums[4]
    cdef float before = 0       # the rising side of the band under the segment
    cdef int k, s
    for k in range(FIRST_BIN, LAST_BIN + 1):
        falling[k] = tables.lower_weight[k] * power[k]
        rising[k] = tables.upper_weight[k] * power[k]
    for s in range(BANDS + 1):
        sums[0] = sums[1] = sums[2] = sums[3] = 0
        k = tables.first[s]
        while k + 1 < tables.first[s + 1]:
            sums[0] += falling[k]
            sums[1] += falling[k + 1]
            sums[2] += rising[k]
            sums[3] += rising[k + 1]
            k += 2
        if k < tables.first[s + 1]:
            sums[0] += falling[k]
            sums[2] += rising[k]
        if s > 0:
            bands[s - 1] = before + (sums[0] + sums[1])
        before = sums[2] + sums[3]


cdef inline void bands_reset(Bands *state) noexcept nogil:
    cdef int i, w
    for i in range(BANDS):
        state.smooth[i] = START_DB
        state.current[i] = NOT_YET_DB
        state.fast_db[i] = START_DB
        state.slow_db[i] = START_DB
        for w in range(BAND_WINDOWS):
            state.minima[w][i] = NOT_YET_DB
    state.frames = state.index = state.age = 0
    state.voicing = 0


cdef inline void bands_update(
    Bands *state, const float *levels_db, bint is_voiced
) noexcept nogil:
    """Take a frame's band levels into both floors, and whether it is voiced."""
    cdef float least[16]
    cdef float fast_climb = 1.0, slow_climb = 0.01, start_climb = 0.4   # dB a frame
    cdef int i, w
    state.voicing += (is_voiced - state.voicing) / VOICING_FRAMES
    if state.voicing > <float> 0.125:
        slow_climb = 0.002
    if state.age < START_FRAMES:
        state.age += 1
        fast_climb = start_climb
        slow_climb = <float> 0.5 * start_climb
    for i in range(BANDS):
        state.smooth[i] += <float> 0.3 * (levels_db[i] - state.smooth[i])
        if state.age > SMOOTH_FRAMES:
            state.current[i] = min(state.current[i], state.smooth[i])
        else:               # the smoothed level still comes up from START_DB
            state.current[i] = min(state.current[i], max(state.smooth[i], levels_db[i]))
        least[i] = state.current[i]
    for w in range(BAND_WINDOWS):
        for i in range(BANDS):
            least[i] = min(least[i], state.minima[w][i])
    for i in range(BANDS):
        state.fast_db[i] = min(least[i], state.fast_db[i] + fast_climb)
        state.slow_db[i] = min(state.fast_db[i], state.slow_db[i] + slow_climb)
    state.frames += 1
    if state.frames >= BAND_WINDOW_FRAMES:
        state.frames = 0
        for i in range(BANDS):
            state.minima[state.index][i] = state.current[i]
            state.current[i] = NOT_YET_DB
        state.index = (state.index + 1) % BAND_WINDOWS
