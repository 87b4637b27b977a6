"""Tables of the bands, filled at import."""

from libc.math cimport floor, log10

from dsp.decibels cimport decibels
from dsp.spectrum cimport BINS


def decibels_of(float power):
    """Return 10 log10(power) as the features have it, for tests."""
    return decibels(power)


cdef void _fill_bands(BandTables *tables) noexcept:
    """Fill in triangles of equal width in mel; each band's weights sum to one."""
    cdef double low = _mel(200), step = (_mel(3600) - _mel(200)) / (BANDS + 1)
    cdef double place
    cdef double falling[18]
    cdef double rising[18]
    cdef int segment[129]
    cdef int k, s = -1
    for k in range(BANDS + 2):
        falling[k] = rising[k] = 0
    for k in range(BINS):
        tables.lower_weight[k] = tables.upper_weight[k] = 0
    for k in range(FIRST_BIN, LAST_BIN + 1):
        place = (_mel(k * 31.25) - low) / step
        segment[k] = <int> floor(place)
        while s < segment[k]:
            s += 1
            tables.first[s] = k
        tables.upper_weight[k] = place - s
        tables.lower_weight[k] = 1 - tables.upper_weight[k]
        rising[s] += tables.upper_weight[k]
        falling[s] += tables.lower_weight[k]
    tables.first[BANDS + 1] = LAST_BIN + 1
    for k in range(FIRST_BIN, LAST_BIN + 1):
        s = segment[k]
        if s > 0:
            tables.lower_weight[k] /= rising[s - 1] + falling[s]
        if s < BANDS:
            tables.upper_weight[k] /= rising[s] + falling[s + 1]


cdef double _mel(double hz) noexcept:
    return 2595 * log10(1 + hz / 700)


_fill_bands(&BAND_TABLES)
