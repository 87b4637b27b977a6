"""The weights of the score over what we play, read from the package at import."""

from libc.string cimport memcpy, memset

from dsp.weights import read

# Version, dimensions, and the hash of what made the weights.
ABOUT, _BODY = read("double_talk.weights", sizeof(OverWeights))
memcpy(&OVER_WEIGHTS, <const char *> _BODY, sizeof(OverWeights))


def scores(inputs):
    """Return the log-odds of a caller for a call's frames of OVER_INPUTS numbers."""
    cdef Over state
    cdef int i
    memset(&state, 0, sizeof(Over))
    result = []
    for frame in inputs:
        for i in range(OVER_INPUTS):
            state.inputs[i] = frame[i]
        over_update(&OVER_WEIGHTS, &state)
        result.append(state.logit)
    return result
