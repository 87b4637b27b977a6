"""The recipe of the double-talk score (dsp/double_talk.pxd), for `recurrent.py`.

Its inputs are the state of the gate's first net and the features. The first net does
not change, but its weights are part of the training's inputs.
"""

from pathlib import Path

from bench.gate.recurrent import Recipe

# The hash in the weights' header covers these files, and the first net's weights.
MADE_OF = tuple(
    Path(__file__).with_name(name)
    for name in ("lines.py", "material.py", "double_talk.py", "train_double_talk.py")
)

RECIPE = Recipe(
    units=24,
    sequence_frames=400,
    batch=96,
    warm_up_frames=30,
    from_the_start=0.2,
    rate=6e-3,
    decay=1e-2,
)
