"""The learned score: the compiled net is its formula, and knows speech from noise."""

import random
from pathlib import Path

import numpy as np
import pytest

from bench.gate import reference
from bridge.sandbox.clips import clip
from dsp import score
from dsp.gate import NoiseGate

WEIGHTS = Path(score.__file__).parent / "score.weights"
UNITS, INPUTS = score.ABOUT["units"], score.ABOUT["inputs"]


def features(audio):
    gate, rows, scored = NoiseGate(), [], []
    for at in range(0, len(audio) - 159, 160):
        gate.analyze(audio[at : at + 160])
        rows.append(gate.features[:INPUTS])
        scored.append(gate.score)
    return np.array(rows, np.float32), scored


@pytest.mark.parametrize(
    "name", ["human-en-reader-1", "human-en-command-2", "noise-fan", "caller-he-1"]
)
def test_the_compiled_net_equals_its_formula_over_a_whole_call(name):
    rows, scored = features(clip(name).audio)

    weights = reference.read(WEIGHTS.read_bytes(), UNITS, INPUTS)
    wanted = reference.log_odds(weights, rows)
    assert np.abs(np.array(score.scores(rows)) - wanted).max() < 1e-3
    assert np.abs(np.array(scored) - 1 / (1 + np.exp(-wanted))).max() < 1e-4


def test_any_bytes_for_a_long_time_leave_the_score_finite():
    source = random.Random(5)
    gate = NoiseGate()
    for _ in range(20_000):
        frame = source.choice(
            [b"\xff" * 160, b"\x00" * 160, b"\x80" * 160, source.randbytes(160)]
        )
        gate.analyze(frame, source.choice([-127.0, 0.0, -20.0, float("inf")]))
        assert 0.0 <= gate.score <= 1.0
    assert np.isfinite(gate.features).all()


def test_the_weights_say_what_made_them():
    assert score.ABOUT["version"] >= 1
    assert len(score.ABOUT["made_of_sha256"]) == 64
    assert score.ABOUT["seeds"]
