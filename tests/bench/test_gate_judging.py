"""Judging the gate: groups, truth, the table, and the rivals' state machine."""

from functools import partial

import numpy as np
import pytest

from bench.gate import calls, judging, lines, rivals
from bench.gate.packaged import packaged
from bridge.cli.gate_trial import Recording
from dsp.g711 import encode

QUIET = b"\xff" * 160


def call(caller="turns", noise="pink", snr_db=12.0):
    is_speech = np.zeros(100, bool)
    is_speech[30:60] = caller != "nobody"
    side = QUIET * 100
    return calls.Call(side, side, is_speech, is_speech, caller, noise, snr_db)


@pytest.mark.parametrize(
    ("made", "group"),
    [
        (call(), "practical"),
        (call(snr_db=6.0), "practical"),
        (call(snr_db=4.0), "hard"),
        (call(noise="babble", snr_db=9.0), "hard"),
        (call(noise="none", snr_db=float("inf")), "practical"),
        (call(caller="nobody", snr_db=0.0), "nobody"),
    ],
)
def test_a_call_belongs_to_its_group(made, group):
    assert judging.groups_of(made)[0] == group


def test_the_truth_is_in_seconds():
    assert judging.recording(call()).truth == [(0.6, 1.2)]


def test_a_deaf_gate_a_wide_open_one_and_a_perfect_one():
    def gate(is_open):
        def decide(found):
            return [2 * int(one) for one in is_open], [int(one) for one in is_open]

        return decide

    truth = call().is_speech
    gates = {"deaf": np.zeros(100, bool), "open": np.ones(100, bool), "true": truth}
    judged = {
        name: judging.judge([call()], gate(is_open)) for name, is_open in gates.items()
    }
    cells = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[1:4]
        for line in judging.table("dev", judged)
        if line.startswith("| ") and "recall" not in line
    }
    assert cells["deaf"] == ["0.0", "0.0", "50.0"]
    assert cells["open"] == ["100.0", "100.0", "50.0"]
    assert cells["true"] == ["100.0", "0.0", "0.0"]


def test_the_gate_is_judged_on_generated_calls(monkeypatch):
    # Codecs need more than the tests install.
    monkeypatch.setattr(lines, "through_codec", lambda x, codec: x)
    made = [calls.make(packaged(), np.random.default_rng([9, at])) for at in range(3)]
    for switch in ("on", "off"):
        judged = judging.judge(made, partial(judging._decide, switch=switch))
        assert judged.micros > 0
        assert sum(one.frames for one in judged.groups.values()) > 0


def test_the_rivals_machine_has_preroll_hangover_and_hysteresis():
    scores = np.zeros(60, np.float32)
    scores[20:30] = 0.9
    scores[30:40] = 0.4
    states, sent = rivals._machine(scores)
    assert states == [0] * 20 + [2] * 24 + [0] * 16
    assert sent == [0] * 10 + [1] * 34 + [0] * 16


def test_the_far_bound_hides_what_is_softer_than_the_played():
    loud = encode(np.full(160, 3_000, "<i2").tobytes())
    soft = encode(np.full(160, 300, "<i2").tobytes())
    found = Recording("", soft * 20 + loud * 20, loud * 40)
    near = np.repeat(np.array([300, 3_000], "<i2"), 160 * 20)
    is_echo = rivals._is_echo(near, found.far)
    assert is_echo[:20].all() and not is_echo[20:].any()


def test_scores_of_longer_windows_are_known_only_at_their_end():
    known = rivals._per_frame([0.1, 0.9], 256, 8_000, 160 * 4)
    assert known.tolist() == pytest.approx([0.0, 0.1, 0.1, 0.9])
