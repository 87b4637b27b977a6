"""Tables of the bands, filled at import."""

from libc.math cimport floor, log10

from dsp.spectrum cimport BINS


cdef void _fill_bands(BandTables *tables) noexcept:
    """Fill in triangles of equal width in mel; each band's weights sum to one."""
    cdef double low = _mel(200), step = (_mel(3600) - _mel(200)) / (BANDS + 1)
    cdef double place
    cdef double sums[18]
    cdef int k
    for k in range(BANDS + 2):
        sums[k] = 0
    for k in range(BINS):
        place = (_mel(k * 31.25) - low) / step
        tables.lower[k] = <int> floor(place) - 1
        tables.upper_weight[k] = place - floor(place)
        tables.lower_weight[k] = 1 - tables.upper_weight[k]
        if FIRST_BIN <= k <= LAST_BIN:
            sums[tables.lower[k] + 1] += tables.lower_weight[k]
            sums[tables.lower[k] + 2] += tables.upper_weight[k]
    for k in range(FIRST_BIN, LAST_BIN + 1):
        tables.lower_weight[k] /= sums[tables.lower[k] + 1]
        tables.upper_weight[k] /= sums[tables.lower[k] + 2]


cdef double _mel(double hz) noexcept:
    return 2595 * log10(1 + hz / 700)


_fill_bands(&BAND_TABLES)
