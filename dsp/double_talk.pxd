# The double-talk score: whether a caller speaks while the AI is heard.
#
# A second, smaller net of the same kind beside that of score.pxd, fed with what it has
# made of the frame, and with levels against what is played:
#
#     inputs = the UNITS of score.pxd, then FEATURES of features.pxd
#
# It decides nothing but interruptions, but hears every frame: while the AI is silent,
# the net adapts to the line, and to what speaks behind the caller. It is learnt from
# calls in which the AI talks and yields, with more weight on a turn's beginning and on
# what is no caller (bench/gate/double_talk.py).

from dsp.features cimport FEATURES
from dsp.gru cimport gru_update
from dsp.score cimport UNITS

cdef enum:
    DOUBLE_TALK_UNITS = 24
    DOUBLE_TALK_INPUTS = 64        # UNITS + FEATURES

cdef struct DoubleTalkWeights:
    float input[64][72]
    float bias[72]
    float hidden[24][72]
    float hidden_bias[24]   # of n
    float output[24]
    float output_bias

cdef struct DoubleTalk:
    float inputs[64]
    float hidden[24]
    float logit             # of the last frame

cdef DoubleTalkWeights DOUBLE_TALK_WEIGHTS


cdef inline void double_talk_hear(
    DoubleTalk *state, const float *units, const float *features
) noexcept nogil:
    """Take what the first net has made of a frame, and the frame's features."""
    cdef int i
    for i in range(UNITS):
        state.inputs[i] = units[i]
    for i in range(FEATURES):
        state.inputs[UNITS + i] = features[i]
    double_talk_update(&DOUBLE_TALK_WEIGHTS, state)


cdef inline void double_talk_update(
    const DoubleTalkWeights *weights, DoubleTalk *state
) noexcept nogil:
    """Weigh one frame's inputs: the log-odds that a caller speaks."""
    cdef float out = weights.output_bias
    cdef int j
    gru_update(
        &weights.input[0][0], weights.bias, &weights.hidden[0][0],
        weights.hidden_bias, state.inputs, state.hidden, DOUBLE_TALK_INPUTS,
        DOUBLE_TALK_UNITS,
    )
    for j in range(DOUBLE_TALK_UNITS):
        out += state.hidden[j] * weights.output[j]
    state.logit = out
