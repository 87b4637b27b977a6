# The learned speech score: a recurrent net of UNITS units on INPUTS cheap features.
#
# It has one layer (gru.pxd) and one output: the log-odds that the near caller speaks in
# this frame.
#
# The weights are data (score.weights; bench/gate trains them). Features are in dB or
# ratios; their scaling is folded into the weights.

from dsp.gru cimport gru_update

cdef enum:
    INPUTS = 30
    UNITS = 32

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
    cdef float out = weights.output_bias
    cdef int j
    gru_update(
        &weights.input[0][0], weights.bias, &weights.hidden[0][0],
        weights.hidden_bias, x, state.hidden, INPUTS, UNITS,
    )
    for j in range(UNITS):
        out += state.hidden[j] * weights.output[j]
    return out
