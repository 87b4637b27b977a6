# The power spectrum of the last 32 ms: 256 samples under a Hann window, hop 160.
#
# A real transform of 256 points is computed as a complex one of 128 (even samples real,
# odd samples imaginary), in Pease's constant geometry. Every pass reads the two halves
# and writes them interleaved, so that the compiler turns each pass into straight vector
# code. The output is in bit-reversed order; it is reordered while the power is taken.
# The scale is such that white noise of RMS s reads s * s in every bin.

from libc.string cimport memcpy

from dsp.g711 cimport FRAME

cdef enum:
    HOP = FRAME
    WINDOW = 256
    HALF_WINDOW = 128
    BINS = 129
    PASSES = 7

cdef struct SpectrumTables:
    float window[256]
    float twiddle_re[7][64]
    float twiddle_im[7][64]
    float split_re[65]      # exp(-2 pi i k / 256): separates even and odd samples
    float split_im[65]
    int reversed[128]

cdef struct Spectrum:
    float past[96]          # the end of the frames before

cdef SpectrumTables SPECTRUM_TABLES


cdef inline void spectrum_update(
    const SpectrumTables *tables, Spectrum *state, const float *x, float *power
) noexcept nogil:
    """Take one frame; fill in `power`, 129 bins of 31.25 Hz."""
    cdef float work[256]
    cdef float re_a[128]
    cdef float im_a[128]
    cdef float re_b[128]
    cdef float im_b[128]
    cdef float even_re, even_im, odd_re, odd_im, turned_re, turned_im
    cdef int i, k, m, at, mirror
    for i in range(96):
        work[i] = state.past[i]
    for i in range(HOP):
        work[96 + i] = x[i]
    memcpy(state.past, x + 64, 96 * sizeof(float))
    for i in range(HALF_WINDOW):
        re_a[i] = work[2 * i] * tables.window[2 * i]
        im_a[i] = work[2 * i + 1] * tables.window[2 * i + 1]
    _pass(re_a, im_a, re_b, im_b, tables.twiddle_re[0], tables.twiddle_im[0])
    _pass(re_b, im_b, re_a, im_a, tables.twiddle_re[1], tables.twiddle_im[1])
    _pass(re_a, im_a, re_b, im_b, tables.twiddle_re[2], tables.twiddle_im[2])
    _pass(re_b, im_b, re_a, im_a, tables.twiddle_re[3], tables.twiddle_im[3])
    _pass(re_a, im_a, re_b, im_b, tables.twiddle_re[4], tables.twiddle_im[4])
    _pass(re_b, im_b, re_a, im_a, tables.twiddle_re[5], tables.twiddle_im[5])
    _pass(re_a, im_a, re_b, im_b, tables.twiddle_re[6], tables.twiddle_im[6])
    power[0] = (re_b[0] + im_b[0]) * (re_b[0] + im_b[0])
    power[HALF_WINDOW] = (re_b[0] - im_b[0]) * (re_b[0] - im_b[0])
    for k in range(1, 65):
        m = HALF_WINDOW - k
        at = tables.reversed[k]
        mirror = tables.reversed[m]
        even_re = 0.5 * (re_b[at] + re_b[mirror])
        even_im = 0.5 * (im_b[at] - im_b[mirror])
        odd_re = 0.5 * (im_b[at] + im_b[mirror])
        odd_im = 0.5 * (re_b[mirror] - re_b[at])
        turned_re = odd_re * tables.split_re[k] - odd_im * tables.split_im[k]
        turned_im = odd_re * tables.split_im[k] + odd_im * tables.split_re[k]
        power[k] = (even_re + turned_re) * (even_re + turned_re) + (
            even_im + turned_im
        ) * (even_im + turned_im)
        power[m] = (even_re - turned_re) * (even_re - turned_re) + (
            even_im - turned_im
        ) * (even_im - turned_im)
    for k in range(BINS):
        power[k] *= <float> (1.0 / 96)      # the window's energy: the sum of squares


cdef inline void _pass(
    const float *re, const float *im, float *re_out, float *im_out,
    const float *w_re, const float *w_im,
) noexcept nogil:
    cdef float a_re, a_im
    cdef int j
    for j in range(64):
        a_re = re[j] - re[j + 64]
        a_im = im[j] - im[j + 64]
        re_out[2 * j] = re[j] + re[j + 64]
        im_out[2 * j] = im[j] + im[j + 64]
        re_out[2 * j + 1] = a_re * w_re[j] - a_im * w_im[j]
        im_out[2 * j + 1] = a_re * w_im[j] + a_im * w_re[j]
