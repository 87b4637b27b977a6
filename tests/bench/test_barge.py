"""The interruption bench runs, small: callers are let in, and the picture is drawn."""

import numpy as np
import orjson
import pytest

from bench import barge, barge_calls, noises
from bench.__main__ import main
from bench.gate import subset
from bridge.settings.options import CallOptions
from dsp.g711 import decode


def test_callers_are_let_in_and_noises_are_counted(monkeypatch, capsys, tmp_path):
    argv = ["bench", "barge", "--every", "28", "--minutes", "0.1"]
    monkeypatch.setattr("sys.argv", [*argv, "--out", str(tmp_path)])
    assert main() == 0

    results = orjson.loads((tmp_path / "barge.json").read_bytes())
    assert set(results) == {"callers", *noises.NOISES}
    reactions = results["callers"]["reactions"]
    assert len(reactions) == 6
    assert all(0 < one["hold_ms"] <= one["clear_ms"] < 1_000 for one in reactions)
    assert (tmp_path / "barge.png").read_bytes().startswith(b"\x89PNG")
    assert "nobody speaks" in capsys.readouterr().out


@pytest.mark.parametrize("kind", noises.NOISES)
def test_a_noise_is_the_same_each_time_and_has_its_level(kind):
    noise = noises.make(kind, 5, seed=1)
    loudest_db = 10 * np.log10(np.max(np.mean(noise.reshape(-1, 160) ** 2, axis=1)))

    assert np.array_equal(noise, noises.make(kind, 5, seed=1))
    if kind in noises.STEADY:
        assert 20 * np.log10(subset.rms(noise)) == pytest.approx(-36, abs=0.5)
    elif kind == noises.ECHO:
        assert loudest_db < -60
    else:
        low, high = noises.EVENTS_DBOV[kind]
        assert low - 3 < loudest_db < high + 3


def test_what_interrupts_while_nobody_speaks_is_false():
    """A caller whose speech is not in the truth stops the AI: that is counted."""
    call = next(barge_calls.callers(1))
    liar = call._replace(onsets=[], is_free=np.ones(len(call.frames), bool))
    trace = barge.play(liar, CallOptions())
    holds, clears, minutes = barge.false_interruptions(liar, trace)

    assert holds >= clears >= 1
    assert minutes == pytest.approx(len(call.frames) / 3_000)
    assert trace.is_talking[-1]  # it talks on, after each of them
    assert not list(barge.reactions(liar, trace, CallOptions()))


def test_a_caller_under_the_ais_grace_is_no_measure():
    call = next(barge_calls.callers(1))
    early = call._replace(onsets=[barge_calls.Onset(0.2, 0.2)])
    trace = barge.play(early, CallOptions())

    assert not list(barge.reactions(early, trace, CallOptions()))
    assert list(barge.reactions(call, trace, CallOptions()))


def test_recorded_noises_are_taken_with_what_was_played(tmp_path):
    (tmp_path / "fan.ulaw").write_bytes(b"\x7e" * 8_000)
    (tmp_path / "echo.ulaw").write_bytes(b"\x7d" * 16_000)
    (tmp_path / "echo.far.ulaw").write_bytes(b"\x55" * 16_000)

    (fan,) = barge_calls.quiet("fan", 1.0, tmp_path)
    (echo,) = barge_calls.quiet("echo", 1 / 60, tmp_path)
    assert len(fan.frames) == 50 and len(fan.far) == 8_000
    assert len(echo.frames) == 50 and echo.far == b"\x55" * 8_000


def decoded(data):
    return np.frombuffer(decode(data), "<i2") / 32_768
