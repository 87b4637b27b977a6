"""The score in NumPy, from its formulas; the compiled net must equal it."""

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

Weights = dict[str, NDArray[Any]]

OUTPUTS, WHOLE_MAX = 2, 32_767


def read(data: bytes) -> Weights:
    """Split the body of `dsp/score.weights` into matrices."""
    header, _, body = data.partition(b"\n")
    about = orjson.loads(header)
    units, inputs = about["units"], about["inputs"]
    rows = 3 * units
    shapes: dict[str, tuple[int, ...]] = {
        "input": (inputs // 2, rows, 2),
        "hidden": (units // 2, rows, 2),
        "input_scale": (rows,),
        "hidden_scale": (rows,),
        "bias": (rows,),
        "hidden_bias": (units,),
        "mean": (inputs,),
        "scale": (inputs,),
        "output": (OUTPUTS, units),
        "output_bias": (OUTPUTS,),
    }
    weights, at = {}, 0
    for name, shape in shapes.items():
        kind = np.dtype("<i2" if len(shape) == 3 else "<f4")
        count = int(np.prod(shape))
        weights[name] = np.frombuffer(body, kind, count, at).reshape(shape)
        at += count * kind.itemsize
    for name in ("input", "hidden"):
        pairs = weights[name].astype(np.int64)
        weights[name] = pairs.transpose(1, 0, 2).reshape(rows, -1)
    return weights


def whole(value: NDArray[Any]) -> NDArray[np.int64]:
    """Round half away from zero; clip to 16 bits."""
    bounded = np.clip(value, -WHOLE_MAX, WHOLE_MAX)
    return np.trunc(bounded + np.copysign(0.5, bounded)).astype(np.int64)


def log_odds(weights: Weights, features: NDArray[np.float32]) -> NDArray[Any]:
    """Return the log-odds of each frame of a call, a column for each output."""
    units = weights["output"].shape[1]
    h = np.zeros(units, np.float32)
    out = []
    for frame in np.asarray(features, np.float32):
        x = whole((frame - weights["mean"]) * weights["scale"])
        state = whole(np.float32(WHOLE_MAX) * h)
        from_input = weights["input"] @ x * weights["input_scale"] + weights["bias"]
        from_hidden = weights["hidden"] @ state * weights["hidden_scale"]
        gates = 1 / (1 + np.exp(-(from_input + from_hidden)[: 2 * units]))
        z, r = gates[:units], gates[units:]
        new = from_hidden[2 * units :] + weights["hidden_bias"]
        n = np.tanh(from_input[2 * units :] + r * new)
        h = ((1 - z) * n + z * h).astype(np.float32)
        out.append(weights["output"] @ h + weights["output_bias"])
    return np.array(out)
