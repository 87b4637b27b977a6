"""The double-talk score: the compiled net is its formula, and hears callers."""

from pathlib import Path

import numpy as np
import pytest

from bench.gate import reference
from bridge.sandbox.clips import clip
from dsp import double_talk
from dsp.gate import NoiseGate
from dsp.weights import read

WEIGHTS = Path(double_talk.__file__).parent / "double_talk.weights"
UNITS, INPUTS = double_talk.ABOUT["units"], double_talk.ABOUT["inputs"]
AI_DBFS = -20.0


def heard(audio, far_dbfs):
    gate, rows, scored = NoiseGate(), [], []
    for at in range(0, len(audio) - 159, 160):
        gate.analyze(audio[at : at + 160], far_dbfs)
        rows.append(gate.double_talk_inputs)
        scored.append(gate.double_talk_score)
    return np.array(rows, np.float32), np.array(scored)


@pytest.mark.parametrize("name", ["human-en-reader-1", "noise-fan", "caller-he-1"])
def test_the_compiled_net_equals_its_formula_over_a_whole_call(name):
    rows, scored = heard(clip(name).audio, AI_DBFS)

    weights = reference.read(WEIGHTS.read_bytes(), UNITS, INPUTS)
    wanted = reference.log_odds(weights, rows)
    assert np.abs(np.array(double_talk.scores(rows)) - wanted).max() < 1e-3
    assert np.abs(scored - 1 / (1 + np.exp(-wanted))).max() < 1e-4


def test_it_hears_the_line_while_nothing_is_played():
    quiet, fan = b"\xff\x7f" * 8_000, clip("noise-fan").audio
    gates = NoiseGate(), NoiseGate()
    for gate, before in zip(gates, (quiet, fan), strict=True):
        for at in range(0, 16_000, 160):
            gate.analyze(before[at : at + 160])
        gate.analyze(fan[16_000:16_160], AI_DBFS)
    after_quiet, after_fan = (gate.double_talk_score for gate in gates)
    assert after_fan < after_quiet < 0.5


def test_it_hears_callers_and_no_fan():
    quiet = b"\xff\x7f" * 8_000
    _, fan = heard(quiet + clip("noise-fan").audio, AI_DBFS)
    assert fan.max() < 0.5
    for name in ("human-en-reader-1", "human-en-command-2", "caller-he-1"):
        _, caller = heard(quiet + clip(name).audio, AI_DBFS)
        assert caller[:100].max() < 0.1
        assert caller.max() > 0.95


def test_weights_of_another_net_are_refused():
    size = len(WEIGHTS.read_bytes().partition(b"\n")[2])
    assert read("double_talk.weights", size)[0] == double_talk.ABOUT
    with pytest.raises(ImportError, match=f"expected 8 bytes, got {size}"):
        read("double_talk.weights", 8)


def test_the_weights_say_what_made_them():
    assert double_talk.ABOUT["version"] >= 1
    assert len(double_talk.ABOUT["made_of_sha256"]) == 64
    assert double_talk.ABOUT["calls"]
