"""The score's weights, read from the package at import, and a handle for tests."""

from libc.string cimport memcpy

from dsp.weights import read

# Version, dimensions, and the hash of what made the weights.
ABOUT, _BODY = read("score.weights", sizeof(ScoreWeights))
memcpy(&SCORE_WEIGHTS, <const char *> _BODY, sizeof(ScoreWeights))


def scores(features):
    """Return the log-odds of speech for a call's frames of INPUTS features each."""
    cdef Score state
    cdef float x[INPUTS]
    cdef int i
    for i in range(UNITS):
        state.hidden[i] = 0
    result = []
    for frame in features:
        for i in range(INPUTS):
            x[i] = frame[i]
        result.append(score_update(&SCORE_WEIGHTS, &state, x))
    return result
