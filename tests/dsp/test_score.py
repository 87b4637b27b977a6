"""The learned score: the compiled net is its formula, and hears callers."""

import random
from pathlib import Path

import numpy as np
import pytest

from bench.gate import reference
from bridge.sandbox.clips import clip
from dsp import score
from dsp.gate import NoiseGate
from dsp.weights import read

FOLDER = Path(score.__file__).parent
FILES = ("score.weights", "double_talk.weights")
AI_DBFS = -20.0
QUIET = b"\xff\x7f" * 8_000
# A feature, and the levels of digital silence and of a quiet line, in dB.
LEVEL, SILENCE_DB, LINE_DB = 32, np.float32(12.0412), np.float32(20)
# The frame at which an AI that never changes its level has no echo.
FOUND_AT = 69
FIRST_WORDS_FRAMES = 500
CALLERS = ("human-en-reader-1", "human-en-command-2", "caller-he-1")


def heard(audio, far_dbfs=-127.0):
    """Return the features of each frame, and both scores."""
    gate, rows, scored = NoiseGate(), [], []
    for at in range(0, len(audio) - 159, 160):
        gate.analyze(audio[at : at + 160], far_dbfs)
        rows.append(gate.features)
        scored.append((gate.score, gate.double_talk_score))
    return np.array(rows, np.float32), np.array(scored)


def unechoed(rows):
    """Return the features as they are if nothing was played."""
    rows, level_db = rows.copy(), rows[:, LEVEL]
    rows[:, [36, 38, 39, 40]] = SILENCE_DB
    rows[:, 37] = level_db - SILENCE_DB
    rows[:, [46, 47]] = np.clip(level_db - LINE_DB, -30, 30)[:, None]
    return rows


@pytest.mark.parametrize("far_dbfs", [-127.0, AI_DBFS])
@pytest.mark.parametrize("name", [*CALLERS, "noise-fan"])
def test_the_compiled_net_equals_its_formula_over_a_whole_call(name, far_dbfs):
    rows, scored = heard(clip(name).audio, far_dbfs)

    nets = [reference.read((FOLDER / name).read_bytes()) for name in FILES]
    both = [reference.log_odds(net, rows)[:, at] for at, net in enumerate(nets)]
    wanted = np.stack(both, axis=1)
    assert np.abs(np.array(score.scores(rows)) - wanted).max() < 1e-3
    if far_dbfs != AI_DBFS:
        wanted[:, 1] = 0  # the second net rests
    else:
        # The line has no echo, so that the first net counts without the AI as well.
        alone = reference.log_odds(nets[0], unechoed(rows))[:, 0]
        wanted[FOUND_AT:, 0] = np.maximum(wanted[FOUND_AT:, 0], alone[FOUND_AT:])
    assert np.abs(scored - 1 / (1 + np.exp(-wanted))).max() < 1e-4


def test_what_is_heard_without_an_echo_counts_for_ten_seconds_of_the_ai():
    rows, scored = heard(2 * clip("noise-fan").audio, AI_DBFS)
    wanted = reference.log_odds(reference.read((FOLDER / FILES[0]).read_bytes()), rows)
    is_formula = np.abs(scored[:, 0] - 1 / (1 + np.exp(-wanted[:, 0]))) < 1e-4
    assert is_formula[FIRST_WORDS_FRAMES:].all()
    assert not is_formula[FOUND_AT:FIRST_WORDS_FRAMES].all()


def test_any_bytes_for_a_long_time_leave_the_score_finite():
    source = random.Random(5)
    gate = NoiseGate()
    for _ in range(20_000):
        frame = source.choice(
            [b"\xff" * 160, b"\x00" * 160, b"\x80" * 160, source.randbytes(160)]
        )
        gate.analyze(frame, source.choice([-127.0, 0.0, -20.0, float("inf")]))
        assert 0.0 <= gate.score <= 1.0
        assert 0.0 <= gate.double_talk_score <= 1.0
    assert np.isfinite(gate.features).all()


def test_callers_over_the_ai_are_heard_and_a_fan_is_not():
    _, fan = heard(QUIET + clip("noise-fan").audio, AI_DBFS)
    assert fan[:, 1].max() < 0.5
    for name in CALLERS:
        _, caller = heard(QUIET + clip(name).audio, AI_DBFS)
        assert caller[:100, 1].max() < 0.2
        assert caller[:, 1].max() > 0.95


def test_weights_of_another_net_are_refused():
    size = len((FOLDER / FILES[0]).read_bytes().partition(b"\n")[2])
    assert read("score.weights", size)[0] == score.ABOUT
    assert read("double_talk.weights", size)[0] == score.DOUBLE_TALK_ABOUT
    with pytest.raises(ImportError, match=f"expected 8 bytes, got {size}"):
        read("score.weights", 8)


def test_the_weights_say_what_made_them():
    for about in (score.ABOUT, score.DOUBLE_TALK_ABOUT):
        assert about["version"] >= 2
        assert len(about["made_of_sha256"]) == 64
        assert about["seeds"] and about["steps"]
