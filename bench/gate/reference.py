"""The score in NumPy, from its formulas; the compiled net must equal it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]


def read(data: bytes, units: int, inputs: int) -> Weights:
    """Split the floats of `dsp/score.weights` into matrices."""
    floats = np.frombuffer(data.partition(b"\n")[2], "<f4")
    shapes = {
        "input": (inputs, 3 * units),
        "bias": (3 * units,),
        "hidden": (units, 3 * units),
        "hidden_bias": (units,),
        "output": (units,),
        "output_bias": (1,),
    }
    weights, at = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        weights[name] = floats[at : at + size].reshape(shape)
        at += size
    return weights


def log_odds(weights: Weights, features: NDArray[np.float32]) -> NDArray[Any]:
    """Return the log-odds of speech of each frame of a call."""
    units = len(weights["output"])
    h = np.zeros(units)
    out = []
    for x in features:
        from_input = x @ weights["input"] + weights["bias"]
        from_hidden = h @ weights["hidden"]
        gates = 1 / (1 + np.exp(-(from_input + from_hidden)[: 2 * units]))
        z, r = gates[:units], gates[units:]
        new = from_hidden[2 * units :] + weights["hidden_bias"]
        n = np.tanh(from_input[2 * units :] + r * new)
        h = (1 - z) * n + z * h
        out.append(h @ weights["output"] + weights["output_bias"][0])
    return np.array(out)
