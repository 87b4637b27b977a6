"""Weights of 16 bits from a trained net's floats, in the order of dsp/score.pxd.

Each row of a matrix gets the largest scale at which no weight exceeds 32767 and the
magnitudes sum to 65535 at most. A sum of products with inputs of up to 32767 then stays
within 32 bits, whatever the features are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WHOLE_MAX, ROW_SUM_MAX = 32_767, 65_535
INPUT_ONE = 2_047  # of a deviation, as in dsp/gru.pxd


class Trained(NamedTuple):
    """A net's floats; rows of the gates z, r and n, and a column for each number."""

    input: Floats
    hidden: Floats
    bias: Floats
    hidden_bias: Floats  # of n
    mean: Floats
    scale: Floats  # 1 / deviation
    output: Floats
    output_bias: Floats


def quantised(net: Trained) -> bytes:
    """Return the bytes of `ScoreWeights`."""
    from_input, input_scale = rows_of(net.input, INPUT_ONE)
    from_hidden, hidden_scale = rows_of(net.hidden, WHOLE_MAX)
    parts = (
        paired(from_input),
        paired(from_hidden),
        input_scale,
        hidden_scale,
        net.bias,
        net.hidden_bias,
        net.mean,
        net.scale * INPUT_ONE,
        net.output,
        net.output_bias,
    )
    return b"".join(
        np.ascontiguousarray(part, "<i2" if at < 2 else "<f4").tobytes()
        for at, part in enumerate(parts)
    )


def floats_of(body: bytes, units: int, inputs: int) -> Trained:
    """Return the floats that the bytes of `ScoreWeights` stand for."""
    rows = 3 * units
    count = rows * inputs
    whole = np.frombuffer(body, "<i2", rows * (inputs + units))
    floats = np.frombuffer(body, "<f4", offset=whole.nbytes)
    sizes = (rows, rows, rows, units, inputs, inputs, 2 * units, 2)
    parts = np.split(floats, np.cumsum(sizes)[:-1])
    input_scale, hidden_scale, bias, hidden_bias, mean, scale, output, last = parts
    return Trained(
        input=_unpaired(whole[:count], rows) * input_scale[:, None] * INPUT_ONE,
        hidden=_unpaired(whole[count:], rows) * hidden_scale[:, None] * WHOLE_MAX,
        bias=bias,
        hidden_bias=hidden_bias,
        mean=mean,
        scale=scale / INPUT_ONE,
        output=output.reshape(2, units),
        output_bias=last,
    )


def _unpaired(whole: NDArray[np.int16], rows: int) -> Floats:
    pairs = whole.reshape(-1, rows, 2).transpose(1, 0, 2)
    return pairs.reshape(rows, -1).astype(np.float32)


def rows_of(matrix: Floats, one: int) -> tuple[NDArray[np.int16], Floats]:
    """Return whole weights and each row's scale; `one` is an input of 1.0."""
    wide = np.asarray(matrix, float)
    largest = np.abs(wide).max(axis=1) / WHOLE_MAX
    # Rounding may add half to each weight.
    total = np.abs(wide).sum(axis=1) / (ROW_SUM_MAX - wide.shape[1] / 2)
    step = np.maximum(np.maximum(largest, total), 1e-30)
    whole = np.rint(wide / step[:, None]).astype(np.int16)
    return whole, (step / one).astype(np.float32)


def paired(whole: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return [pairs of inputs, rows, 2] from [rows, inputs]."""
    rows, inputs = whole.shape
    return whole.reshape(rows, inputs // 2, 2).transpose(1, 0, 2)
