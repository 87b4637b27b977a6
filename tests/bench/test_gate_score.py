"""The scored set: as good as recorded, and a worse gate is noticed."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.gate import score, subset, training
from bridge.cli.gate_trial import Recording, figures
from bridge.settings.options import CallOptions, merge


def test_both_gates_hear_as_well_as_recorded(capsys):
    assert score.run(record=False) == 0
    assert "learned" in capsys.readouterr().out


def test_a_gate_made_worse_fails_the_build():
    recordings = [subset.make("pink -26", "pink", -26, seed) for seed in range(3)]
    good = score.figures_of(recordings, CallOptions())
    deaf = merge(CallOptions(), {"VAD_THRESHOLD_RMS": "3000"})
    bad = score.figures_of(recordings, deaf)

    lines = score.compare({"learned": bad}, {"learned": good})
    assert any(line.startswith("learned lost") for line in lines)
    assert score.compare({"learned": good}, {"learned": good}) == []


def test_the_set_is_the_same_bytes_every_time():
    first, again = (
        subset.make("x", "babble", -26, 5),
        subset.make("x", "babble", -26, 5),
    )
    assert first == again
    assert len(first.near) == len(first.far) == 32 * 8_000


@pytest.mark.parametrize(
    ("states", "wanted"),
    [
        # 1 s of silence, 1 s of speech, 1 s of silence, in frames of 20 ms.
        ([0] * 50 + [2] * 50 + [0] * 50, {"recall": 1, "leaks": 0, "missed": 0}),
        ([0] * 150, {"recall": 0, "leaks": 0, "missed": 1}),
        ([2] * 150, {"recall": 1, "leaks": 80, "missed": 0}),
        ([0] * 55 + [2] * 45 + [0] * 50, {"recall": 0.9, "leaks": 0, "missed": 0}),
    ],
)
def test_figures_count_what_they_say(states, wanted):
    recording = Recording("", b"\xff" * 160 * 150, b"", [(1.0, 2.0)])
    counted = figures(recording, states, [int(state == 2) for state in states])
    assert counted.speech_sent / counted.speech == pytest.approx(wanted["recall"])
    assert counted.free_sent == wanted["leaks"]
    assert counted.missed == wanted["missed"]


def test_an_onset_is_told_from_its_true_start():
    states = [0] * 53 + [2] * 60 + [0] * 37
    recording = Recording("", b"\xff" * 160 * 150, b"", [(1.0, 2.0)])
    counted = figures(recording, states, states)
    assert np.allclose(counted.onsets_ms, [80.0])
    assert np.allclose(counted.ends_ms, [280.0])


def test_each_file_of_the_weights_hash_exists():
    folder = Path(training.__file__).parent
    assert [name for name in training.MADE_OF if not (folder / name).exists()] == []


def test_weights_that_cannot_tell_a_caller_from_a_fan_are_no_training(tmp_path):
    """The packaged weights are loaded from a file, and weights of noise fail."""
    assert training.told_apart(training.DSP) == 0
    names = (training.SPEECH, training.DOUBLE_TALK)
    for name in names:
        shutil.copy(training.DSP / name, tmp_path)
    for name in names:
        whole = (tmp_path / name).read_bytes()
        header, _, body = whole.partition(b"\n")
        for bad in (bytes(len(body)), body[:-4]):
            (tmp_path / name).write_bytes(header + b"\n" + bad)
            assert training.told_apart(tmp_path) == 1
        (tmp_path / name).write_bytes(whole)
