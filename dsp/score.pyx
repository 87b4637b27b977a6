"""The score's weights, read from the package at import, and a handle for tests."""

from pathlib import Path

from libc.string cimport memcpy

import orjson

_DATA = (Path(__file__).parent / "score.weights").read_bytes()
_HEADER, _, _BODY = _DATA.partition(b"\n")

# Version, dimensions, and the hash of what made the weights.
ABOUT = orjson.loads(_HEADER)

if len(_BODY) != sizeof(ScoreWeights):
    raise ImportError(
        f"score.weights: expected {sizeof(ScoreWeights)} bytes, got {len(_BODY)}"
    )
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
