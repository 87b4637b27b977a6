"""The weights of the double-talk score, read from the package at import."""

from libc.string cimport memcpy, memset

from dsp.weights import read

# Version, dimensions, and the hash of what made the weights.
ABOUT, _BODY = read("double_talk.weights", sizeof(DoubleTalkWeights))
memcpy(&DOUBLE_TALK_WEIGHTS, <const char *> _BODY, sizeof(DoubleTalkWeights))


def scores(inputs):
    """Return the log-odds of a caller for frames of DOUBLE_TALK_INPUTS numbers."""
    cdef DoubleTalk state
    cdef int i
    memset(&state, 0, sizeof(DoubleTalk))
    result = []
    for frame in inputs:
        for i in range(DOUBLE_TALK_INPUTS):
            state.inputs[i] = frame[i]
        double_talk_update(&DOUBLE_TALK_WEIGHTS, &state)
        result.append(state.logit)
    return result
