# The learned speech score: a recurrent net of UNITS units on INPUTS cheap features.
#
# One layer of GRU (Cho et al., 2014, in cuDNN's form: the reset gate acts on the
# product) and one output, the log-odds that the near caller speaks in this frame:
#
#     z = sigmoid(Wz x + Uz h)    r = sigmoid(Wr x + Ur h)
#     n = tanh(Wn x + r (Un h + b))        h = (1 - z) n + z h
#
# The weights are data (score.weights; bench/gate trains them). Features are in dB and
# plain ratios; their scaling is folded into the weights.

cdef enum:
    INPUTS = 30
    UNITS = 32
    GATES = 96              # 3 * UNITS: z, r, n

cdef struct ScoreWeights:
    float input[30][96]
    float bias[96]
    float hidden[32][96]
    float hidden_bias[32]   # of n
    float output[32]
    float output_bias

cdef struct Score:
    float hidden[32]

cdef ScoreWeights SCORE_WEIGHTS


cdef inline float score_update(
    const ScoreWeights *weights, Score *state, const float *x
) noexcept nogil:
    """Take one frame's features; return the log-odds of speech."""
    cdef float from_input[96]
    cdef float from_hidden[96]
    cdef float gate[64]
    cdef float value, out = weights.output_bias
    cdef int i, j
    for j in range(GATES):
        from_input[j] = weights.bias[j]
        from_hidden[j] = 0
    for i in range(INPUTS):
        value = x[i]
        for j in range(GATES):
            from_input[j] += value * weights.input[i][j]
    for i in range(UNITS):
        value = state.hidden[i]
        for j in range(GATES):
            from_hidden[j] += value * weights.hidden[i][j]
    for j in range(2 * UNITS):
        gate[j] = <float> 0.5 + <float> 0.5 * tanh_of(
            <float> 0.5 * (from_input[j] + from_hidden[j])
        )
    for j in range(UNITS):
        value = tanh_of(
            from_input[2 * UNITS + j]
            + gate[UNITS + j] * (from_hidden[2 * UNITS + j] + weights.hidden_bias[j])
        )
        state.hidden[j] = value + gate[j] * (state.hidden[j] - value)
    for j in range(UNITS):
        out += state.hidden[j] * weights.output[j]
    return out


cdef inline float tanh_of(float x) noexcept nogil:
    """tanh as a rational function of degree 13 over 6, within 4e-7 (Eigen's choice)."""
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
