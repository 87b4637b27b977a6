"""Tables of the spectrum, filled at import, and a handle for tests."""

from libc.math cimport M_PI, cos, sin

from dsp.bands cimport BAND_TABLES, BANDS, bands_power


cdef void _fill_spectrum(SpectrumTables *tables) noexcept:
    cdef int i, j, t, turned
    for i in range(WINDOW):
        tables.window[i] = 0.5 - 0.5 * cos(2 * M_PI * i / WINDOW)
    for t in range(PASSES):
        for j in range(64):
            turned = (j >> t) << t
            tables.twiddle_re[t][j] = cos(2 * M_PI * turned / HALF_WINDOW)
            tables.twiddle_im[t][j] = -sin(2 * M_PI * turned / HALF_WINDOW)
    for i in range(65):
        tables.split_re[i] = cos(2 * M_PI * i / WINDOW)
        tables.split_im[i] = -sin(2 * M_PI * i / WINDOW)


_fill_spectrum(&SPECTRUM_TABLES)


def powers(samples):
    """Return the 129 bin powers and 16 band powers of the last 256 of `samples`.

    `samples` are 16-bit linear values.
    """
    cdef float last[WINDOW]
    cdef float power[BINS]
    cdef float bands[BANDS]
    cdef int i
    for i, sample in enumerate(samples[-WINDOW:]):
        last[i] = sample
    spectrum_update(&SPECTRUM_TABLES, last, power)
    bands_power(&BAND_TABLES, power, bands)
    return [power[i] for i in range(BINS)], [bands[i] for i in range(BANDS)]
