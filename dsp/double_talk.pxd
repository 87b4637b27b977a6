# The double-talk score: whether a caller speaks while the AI is heard.
#
# This is a second, smaller net of the same kind as that of score.pxd. Its inputs are
# the units of the first net, and the features, with levels against the AI's audio:
#
#     inputs = the UNITS of score.pxd, then FEATURES of features.pxd
#
# The net decides only about interruptions, but takes every frame: while the AI is
# silent, the net adapts to the line, and to voices behind the caller. It is trained on
# calls in which the AI talks and yields, with more weight on the beginning of a turn
# and on sounds that are no caller (bench/gate/double_talk.py).

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
    """Take the first net's units for a frame, and the frame's features."""
    cdef int i
    for i in range(UNITS):
        state.inputs[i] = units[i]
    for i in range(FEATURES):
        state.inputs[UNITS + i] = features[i]
    double_talk_update(&DOUBLE_TALK_WEIGHTS, state)


cdef inline void double_talk_update(
    const DoubleTalkWeights *weights, DoubleTalk *state
) noexcept nogil:
    """Compute the log-odds that a caller speaks from one frame's inputs."""
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
