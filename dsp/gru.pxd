# One layer of gated recurrent units (Cho et al., 2014, in cuDNN's form: the reset gate
# acts on the product), with weights of 16 bits:
#
#     z = sigmoid(Wz x + Uz h)    r = sigmoid(Wr x + Ur h)
#     n = tanh(Wn x + r (Un h + b))        h = (1 - z) n + z h
#
# Both products are sums of whole numbers: inputs and state are rounded to 16 bits once
# a frame, and each row of a matrix has a scale of its own. The sums are exact and the
# same in every build. They cannot overflow: the magnitudes of a row's weights sum to
# 65535 at most (bench/gate/quantise.py), and no input exceeds 32767.
#
# A matrix is stored as pairs of inputs (pair_sums.pxd).

from libc.stdint cimport int16_t, int32_t

from dsp.pair_sums cimport kolbridge_pair_sums

cdef enum:
    GRU_UNITS_MAX = 48
    GRU_INPUTS_MAX = 48
    # The largest magnitude of an input and of the state, as whole numbers. A scaled
    # input of 16 deviations is 32752: what lies further out is clipped.
    WHOLE_MAX = 32767
    INPUT_ONE = 2047


cdef inline void gru_update(
    const int16_t *input, const float *input_scale, const float *bias,
    const int16_t *recurrent, const float *recurrent_scale, const float *recurrent_bias,
    const int16_t *x, float *hidden, int inputs, int units,
) noexcept nogil:
    """Update the state of `units` with one frame's `inputs` whole numbers.

    Rows are those of the gates z, r and n in this order; `recurrent_bias` belongs to n.
    Callers pass constant sizes, so that the compiler optimises this with its net.
    """
    cdef int32_t from_input[3 * GRU_UNITS_MAX]
    cdef int32_t from_hidden[3 * GRU_UNITS_MAX]
    cdef int16_t state[GRU_UNITS_MAX]
    cdef float gate[2 * GRU_UNITS_MAX]
    cdef float value
    cdef int gates = 3 * units, n = 2 * units
    cdef int j
    for j in range(units):
        state[j] = whole(<float> WHOLE_MAX * hidden[j])
    kolbridge_pair_sums(input, gates, x, inputs >> 1, gates, from_input)
    kolbridge_pair_sums(recurrent, gates, state, units >> 1, gates, from_hidden)
    for j in range(n):
        value = bias[j] + input_scale[j] * <float> from_input[j]
        value += recurrent_scale[j] * <float> from_hidden[j]
        gate[j] = <float> 0.5 + <float> 0.5 * tanh_of(<float> 0.5 * value)
    for j in range(units):
        value = recurrent_scale[n + j] * <float> from_hidden[n + j] + recurrent_bias[j]
        value = bias[n + j] + input_scale[n + j] * <float> from_input[n + j] + (
            gate[units + j] * value
        )
        value = tanh_of(value)
        hidden[j] = value + gate[j] * (hidden[j] - value)


cdef inline int16_t whole(float value) noexcept nogil:
    """Round half away from zero to 16 bits, and clip; NaN becomes the least."""
    value = value if value > -WHOLE_MAX else <float> -WHOLE_MAX
    value = value if value < WHOLE_MAX else <float> WHOLE_MAX
    return <int16_t> <int32_t> (value + (<float> 0.5 if value >= 0 else <float> -0.5))


cdef inline float tanh_of(float x) noexcept nogil:
    """Return tanh by a rational function of degree 13 over 6, within 4e-7 (Eigen's)."""
    cdef float square, top, bottom
    x = min(max(x, <float> -7.9053111), <float> 7.9053111)
    square = x * x
    top = <float> 2.00018790482477e-13 - <float> 2.76076847742355e-16 * square
    top = <float> -8.60467152213735e-11 + square * top
    top = <float> 5.12229709037114e-08 + square * top
    top = <float> 1.48572235717979e-05 + square * top
    top = <float> 6.37261928875436e-04 + square * top
    top = <float> 4.89352455891786e-03 + square * top
    bottom = <float> 1.18534705686654e-04 + <float> 1.19825839466702e-06 * square
    bottom = <float> 2.26843463243900e-03 + square * bottom
    bottom = <float> 4.89352518554385e-03 + square * bottom
    return x * top / bottom
