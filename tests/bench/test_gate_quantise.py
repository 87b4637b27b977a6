"""Weights of 16 bits: they fit, no sum can overflow, and little is lost."""

import numpy as np
import pytest

from bench.gate import reference
from bench.gate.quantise import (
    INPUT_ONE,
    ROW_SUM_MAX,
    WHOLE_MAX,
    Trained,
    floats_of,
    paired,
    quantised,
    rows_of,
)
from dsp import score

UNITS = INPUTS = 48
HEADER = b'{"units":48,"inputs":48}\n'


def trained(seed=1, size=0.3):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return (size * rng.standard_normal(shape)).astype(np.float32)

    return Trained(
        input=draw(3 * UNITS, INPUTS),
        hidden=draw(3 * UNITS, UNITS),
        bias=draw(3 * UNITS),
        hidden_bias=draw(UNITS),
        mean=10 * draw(INPUTS),
        scale=np.full(INPUTS, 0.1, np.float32),
        output=draw(2, UNITS),
        output_bias=draw(2),
    )


@pytest.mark.parametrize(
    "row",
    [
        np.ones(48),
        -np.ones(48),
        np.r_[1.0, np.zeros(47)],
        np.zeros(48),
        np.random.default_rng(2).standard_normal(48) * 1e6,
    ],
)
def test_no_row_can_overflow_32_bits(row):
    whole, scale = rows_of(np.array([row], np.float32), WHOLE_MAX)
    assert np.abs(whole.astype(int)).sum() <= ROW_SUM_MAX
    assert np.abs(whole.astype(int)).sum() * WHOLE_MAX < 2**31
    step = scale[0] * WHOLE_MAX
    assert np.allclose(whole[0] * step, row, atol=0.51 * step)


def test_pairs_stand_beside_each_other():
    whole = np.arange(12, dtype=np.int16).reshape(3, 4)
    assert paired(whole).tolist() == [
        [[0, 1], [4, 5], [8, 9]],
        [[2, 3], [6, 7], [10, 11]],
    ]


def test_whole_numbers_lose_little_of_the_floats():
    net = trained()
    weights = reference.read(HEADER + quantised(net))
    frames = np.random.default_rng(3).normal(0, 12, (200, INPUTS)).astype(np.float32)
    found = reference.log_odds(weights, frames)

    h, wanted = np.zeros(UNITS), []
    for frame in frames:
        x = (frame - net.mean) * net.scale
        from_input, from_hidden = net.input @ x + net.bias, net.hidden @ h
        gates = 1 / (1 + np.exp(-(from_input + from_hidden)[: 2 * UNITS]))
        new = from_hidden[2 * UNITS :] + net.hidden_bias
        n = np.tanh(from_input[2 * UNITS :] + gates[UNITS:] * new)
        h = (1 - gates[:UNITS]) * n + gates[:UNITS] * h
        wanted.append(net.output @ h + net.output_bias)
    assert np.abs(found - np.array(wanted)).max() < 0.01


def test_features_far_outside_are_clipped():
    extremes = np.array([1e30, -1e30, np.inf, -np.inf, 3e38, 0.0])
    frames = np.resize(extremes, (50, INPUTS)).astype(np.float32)
    assert np.isfinite(score.scores(frames)).all()
    assert np.isfinite(score.scores(np.full((3, INPUTS), np.nan))).all()
    assert np.isfinite(score.scores(-frames)).all()
    assert INPUT_ONE * 16 <= WHOLE_MAX


def test_the_floats_of_whole_numbers_are_those_that_were_rounded():
    net = trained()
    found = floats_of(quantised(net), UNITS, INPUTS)
    for name, wanted in net._asdict().items():
        got = getattr(found, name)
        assert got.shape == wanted.shape, name
        assert np.allclose(got, wanted, atol=1e-3, rtol=1e-5), name
