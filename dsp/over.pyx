"""The weights of the score over what we play, read from the package at import."""

from pathlib import Path

from libc.string cimport memcpy

import orjson

_DATA = (Path(__file__).parent / "over.weights").read_bytes()
_HEADER, _, _BODY = _DATA.partition(b"\n")

# Version, dimensions, and the hash of what made the weights.
ABOUT = orjson.loads(_HEADER)

if len(_BODY) != sizeof(OverWeights):
    raise ImportError(
        f"over.weights: expected {sizeof(OverWeights)} bytes, got {len(_BODY)}"
    )
memcpy(&OVER_WEIGHTS, <const char *> _BODY, sizeof(OverWeights))


def scores(inputs):
    """Return the log-odds of a caller for a call's frames of OVER_INPUTS numbers."""
    cdef Over state
    cdef float x[OVER_INPUTS]
    cdef int i
    over_reset(&state)
    result = []
    for frame in inputs:
        for i in range(OVER_INPUTS):
            x[i] = frame[i]
        result.append(over_update(&OVER_WEIGHTS, &state, x))
    return result
