# The power spectrum of the last 32 ms: 256 samples under a Hann window, hop 160.
#
# A real transform of 256 points is computed as a complex one of 128 (even samples real,
# odd samples imaginary), by Stockham's algorithm. Every pass reads the two halves and
# writes runs of 1, 2, 4 ... 64 numbers, sums and differences by turns. The output is in
# natural order, so that all passes and the power become straight vector code.
# The scale is such that white noise of RMS s reads s * s in every bin.

cdef enum:
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

cdef SpectrumTables SPECTRUM_TABLES


cdef inline void spectrum_update(
    const SpectrumTables *tables, const float *x, float *power
) noexcept nogil:
    """Take the last WINDOW samples; fill in `power`, 129 bins of 31.25 Hz."""
    cdef float re_a[128]
    cdef float im_a[128]
    cdef float re_b[128]
    cdef float im_b[128]
    cdef int i
    for i in range(HALF_WINDOW):
        re_a[i] = x[2 * i] * tables.window[2 * i]
        im_a[i] = x[2 * i + 1] * tables.window[2 * i + 1]
    _pass(tables, 0, re_a, im_a, re_b, im_b)
    _pass(tables, 1, re_b, im_b, re_a, im_a)
    _pass(tables, 2, re_a, im_a, re_b, im_b)
    _pass(tables, 3, re_b, im_b, re_a, im_a)
    _pass(tables, 4, re_a, im_a, re_b, im_b)
    _pass(tables, 5, re_b, im_b, re_a, im_a)
    _pass(tables, 6, re_a, im_a, re_b, im_b)
    _power(tables, re_b, im_b, power)


cdef inline void _pass(
    const SpectrumTables *tables, int number, const float *re, const float *im,
    float *re_out, float *im_out,
) noexcept nogil:
    """Combine number i with number i + 64; the pass writes runs of 2 ** number."""
    cdef const float *w_re = tables.twiddle_re[number]
    cdef const float *w_im = tables.twiddle_im[number]
    cdef int run = 1 << number
    cdef float difference_re, difference_im
    cdef int block, start, i, k
    for block in range(64 >> number):
        start = block << number
        for k in range(run):
            i = start + k
            difference_re = re[i] - re[i + 64]
            difference_im = im[i] - im[i + 64]
            re_out[start + i] = re[i] + re[i + 64]
            im_out[start + i] = im[i] + im[i + 64]
            re_out[start + i + run] = (
                difference_re * w_re[i] - difference_im * w_im[i]
            )
            im_out[start + i + run] = (
                difference_re * w_im[i] + difference_im * w_re[i]
            )


cdef inline void _power(
    const SpectrumTables *tables, const float *re, const float *im, float *power
) noexcept nogil:
    """Separate even from odd samples, and combine both to the power of each bin."""
    cdef float upper[65]
    cdef float even_re, even_im, odd_re, odd_im, turned_re, turned_im
    cdef float scale = 1.0 / 96         # the window's energy: the sum of squares
    cdef int k
    power[0] = scale * (re[0] + im[0]) * (re[0] + im[0])
    power[HALF_WINDOW] = scale * (re[0] - im[0]) * (re[0] - im[0])
    for k in range(1, 65):
        even_re = <float> 0.5 * (re[k] + re[HALF_WINDOW - k])
        even_im = <float> 0.5 * (im[k] - im[HALF_WINDOW - k])
        odd_re = <float> 0.5 * (im[k] + im[HALF_WINDOW - k])
        odd_im = <float> 0.5 * (re[HALF_WINDOW - k] - re[k])
        turned_re = odd_re * tables.split_re[k] - odd_im * tables.split_im[k]
        turned_im = odd_re * tables.split_im[k] + odd_im * tables.split_re[k]
        power[k] = scale * (
            (even_re + turned_re) * (even_re + turned_re)
            + (even_im + turned_im) * (even_im + turned_im)
        )
        upper[k] = scale * (
            (even_re - turned_re) * (even_re - turned_re)
            + (even_im - turned_im) * (even_im - turned_im)
        )
    for k in range(1, 64):
        power[HALF_WINDOW - k] = upper[k]
