# One layer of gated recurrent units (Cho et al., 2014, in cuDNN's form: the reset gate
# acts on the product):
#
#     z = sigmoid(Wz x + Uz h)    r = sigmoid(Wr x + Ur h)
#     n = tanh(Wn x + r (Un h + b))        h = (1 - z) n + z h
#
# Callers pass constant sizes, so that the compiler optimises it together with its net.

cdef enum:
    GRU_UNITS_MAX = 32


cdef inline void gru_update(
    const float *input, const float *bias, const float *recurrent,
    const float *recurrent_bias, const float *x, float *hidden, int inputs, int units,
) noexcept nogil:
    """Update the state of `units` with one frame's `inputs` numbers.

    The matrices have a row for each number and the columns of the gates z, r and n in
    this order; `recurrent_bias` belongs to n.
    """
    cdef float from_input[3 * GRU_UNITS_MAX]
    cdef float from_hidden[3 * GRU_UNITS_MAX]
    cdef float gate[2 * GRU_UNITS_MAX]
    cdef float value
    cdef int gates = 3 * units
    cdef int j
    for j in range(gates):
        from_input[j] = bias[j]
        from_hidden[j] = 0
    add_product(from_input, x, input, inputs, gates)
    add_product(from_hidden, hidden, recurrent, units, gates)
    for j in range(2 * units):
        gate[j] = <float> 0.5 + <float> 0.5 * tanh_of(
            <float> 0.5 * (from_input[j] + from_hidden[j])
        )
    for j in range(units):
        value = tanh_of(
            from_input[2 * units + j]
            + gate[units + j] * (from_hidden[2 * units + j] + recurrent_bias[j])
        )
        hidden[j] = value + gate[j] * (hidden[j] - value)


cdef inline void add_product(
    float *total, const float *x, const float *matrix, int rows, int columns
) noexcept nogil:
    """Add each row of the matrix, times its number of x, to the total.

    Four rows are added at once: the total is read and written a quarter as often.
    """
    cdef const float *row
    cdef float sum, value, value_1, value_2, value_3
    cdef int i, j
    for i in range(0, rows - 3, 4):
        row = matrix + i * columns
        value = x[i]
        value_1 = x[i + 1]
        value_2 = x[i + 2]
        value_3 = x[i + 3]
        for j in range(columns):
            sum = total[j] + value * row[j]
            sum += value_1 * row[columns + j]
            sum += value_2 * row[2 * columns + j]
            total[j] = sum + value_3 * row[3 * columns + j]
    for i in range(rows - rows % 4, rows):
        row = matrix + i * columns
        value = x[i]
        for j in range(columns):
            total[j] += value * row[j]


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
