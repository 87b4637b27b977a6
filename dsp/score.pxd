# The learned scores: two recurrent nets of UNITS units on the FEATURES cheap features.
#
# A net has one layer (gru.pxd) and two outputs, both log-odds that the near caller
# speaks in this frame. Each net is used for one of them:
#
#   SPEECH       in any frame; opens and keeps the gate (score.weights)
#   DOUBLE_TALK  while the AI is heard; decides about interruptions. This net began as
#                the first and went on learning, mostly from calls in which the AI talks
#                and something else is heard (double_talk.weights). It rests from 1.6 s
#                after the AI's last word until the next.
#
# The weights are data (bench/gate trains them). Features are in dB or
# ratios; `mean` and `scale` bring them to whole numbers, INPUT_ONE for a deviation.

from libc.stdint cimport int16_t

from dsp.features cimport FEATURES
from dsp.gru cimport gru_update, whole
from dsp.sums cimport dot_of

cdef enum:
    UNITS = 48
    OUTPUTS = 2
    SPEECH_OUTPUT = 0
    DOUBLE_TALK_OUTPUT = 1

cdef struct ScoreWeights:
    int16_t input[24][144][2]
    int16_t hidden[24][144][2]
    float input_scale[144]
    float hidden_scale[144]
    float bias[144]
    float hidden_bias[48]   # of n
    float mean[48]
    float scale[48]
    float output[2][48]
    float output_bias[2]

cdef struct Score:
    float hidden[48]
    float logits[2]         # of the last frame

cdef ScoreWeights SCORE_WEIGHTS, DOUBLE_TALK_WEIGHTS


cdef inline void score_update(
    const ScoreWeights *weights, Score *state, const float *features
) noexcept nogil:
    """Take one frame's features; compute the log-odds of both outputs."""
    cdef int16_t x[FEATURES]
    cdef int i
    for i in range(FEATURES):
        x[i] = whole((features[i] - weights.mean[i]) * weights.scale[i])
    gru_update(
        &weights.input[0][0][0], weights.input_scale, weights.bias,
        &weights.hidden[0][0][0], weights.hidden_scale, weights.hidden_bias, x,
        state.hidden, FEATURES, UNITS,
    )
    for i in range(OUTPUTS):
        state.logits[i] = weights.output_bias[i] + dot_of(
            state.hidden, weights.output[i], UNITS
        )
