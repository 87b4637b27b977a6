"""The recipe of the learned score (dsp/score.pxd), for `recurrent.py`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.gate.recurrent import Recipe

# The largest shift of a sequence's far level; columns as in features.pxd.
FAR_DB = 7.0
FAR_SILENCE_DB = 12.05
# The hash in the weights' header covers these files.
MADE_OF = tuple(
    Path(__file__).with_name(name)
    for name in ("corpus.py", "lines.py", "material.py", "train.py")
)


def _shift_far(x: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Move the far level of a sequence, and with it the loss of the echo path.

    The generated calls play everything at one level; a model's voices differ.
    """
    shift_db = rng.uniform(-FAR_DB, FAR_DB)
    loudest = x[:, 20].copy()
    for column in (20, 22, 23):
        is_heard = x[:, column] > FAR_SILENCE_DB
        x[is_heard, column] = np.maximum(x[is_heard, column] + shift_db, FAR_SILENCE_DB)
    x[:, 21] += loudest - x[:, 20]


RECIPE = Recipe(
    units=32,
    sequence_frames=800,
    batch=48,
    warm_up_frames=40,
    from_the_start=0.3,
    rate=4e-3,
    decay=2e-2,
    vary=_shift_far,
)
