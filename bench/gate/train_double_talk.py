"""The recipe of the double-talk score (dsp/double_talk): `recurrent.py` cooks it.

It is fed with what the gate's first net has made of a frame and with its features. The
first net is not touched, and is part of what made this one.
"""

from pathlib import Path

from bench.gate.recurrent import Recipe

# What the hash in the weights' header is taken over; the first net's weights, too.
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
