# Sixteen mel bands of 200 to 3600 Hz: their levels, and the noise floor of each by
# minimum statistics (R. Martin, 2001, simplified; see noise.pxd), in dB.
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

cdef struct BandTables:
    int lower[129]          # the band below the bin; -1 under the first centre
    float lower_weight[129]
    float upper_weight[129]

cdef struct Bands:
    float smooth[16]        # dB, over about 4 frames
    float current[16]       # least of the running sub-window
    float minima[6][16]
    int frames              # in the running sub-window
    int index
    bint is_running

cdef BandTables BAND_TABLES


cdef inline void bands_power(
    const BandTables *tables, const float *power, float *bands
) noexcept nogil:
    """Fill in the power of each band from 129 bins."""
    cdef float sums[18]
    cdef int k, at
    for k in range(BANDS + 2):
        sums[k] = 0
    for k in range(FIRST_BIN, LAST_BIN + 1):
        at = tables.lower[k] + 1
        sums[at] += tables.lower_weight[k] * power[k]
        sums[at + 1] += tables.upper_weight[k] * power[k]
    for k in range(BANDS):
        bands[k] = sums[k + 1]


cdef inline void bands_update(
    Bands *state, const float *levels_db, float *excess_db, float *floors_db
) noexcept nogil:
    """Take a frame's band levels; fill in each excess over its floor, and the floor."""
    cdef int i, w
    if not state.is_running:
        state.is_running = True
        for i in range(BANDS):
            state.smooth[i] = levels_db[i]
            state.current[i] = levels_db[i]
            for w in range(BAND_WINDOWS):
                state.minima[w][i] = levels_db[i]
    for i in range(BANDS):
        state.smooth[i] += <float> 0.3 * (levels_db[i] - state.smooth[i])
        state.current[i] = min(state.current[i], state.smooth[i])
        floors_db[i] = state.current[i]
    for w in range(BAND_WINDOWS):
        for i in range(BANDS):
            floors_db[i] = min(floors_db[i], state.minima[w][i])
    for i in range(BANDS):
        excess_db[i] = levels_db[i] - floors_db[i]
    state.frames += 1
    if state.frames >= BAND_WINDOW_FRAMES:
        state.frames = 0
        for i in range(BANDS):
            state.minima[state.index][i] = state.current[i]
            state.current[i] = state.smooth[i]
        state.index = (state.index + 1) % BAND_WINDOWS
