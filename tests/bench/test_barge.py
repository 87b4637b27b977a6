"""The interruption bench runs, small: callers are let in, and the picture is drawn."""

import numpy as np
import orjson
import pytest

from bench import barge, barge_calls, noises
from bench.__main__ import main
from bench.gate import subset
from bridge.settings.options import CallOptions
from dsp.g711 import decode, frame_levels


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


def test_the_evaluations_calls_are_read(tmp_path, monkeypatch):
    """A stand-in for its modules: a call with one turn, and one that loses frames."""
    near = subset.mulaw(np.concatenate([np.zeros(16_000), np.full(8_000, 0.1)]))
    for name in ("a", "b"):
        (tmp_path / f"{name}.ulaw").write_bytes(near)
        (tmp_path / f"{name}.far.ulaw").write_bytes(b"\xff" * len(near))

    class Evaluate:
        merged = staticmethod(lambda parts: parts)

        @staticmethod
        def load(split):
            whole = {
                "id": "a",
                "noise": "fan",
                "snr": 10,
                "echo": None,
                "lost": [],
                "near": [[15_000, 24_000]],
            }
            return str(tmp_path), [whole, {**whole, "id": "b", "lost": [3]}]

    monkeypatch.setattr(barge_calls.corpus, "evaluator", lambda _: (0, Evaluate, 0))
    (call,) = barge_calls.evaluated(tmp_path)
    (onset,) = call.onsets
    assert onset.at_s == pytest.approx(1.875)
    assert onset.heard_s == pytest.approx(1.995, abs=0.02)
    assert not call.is_free[100] and call.is_free[50]
    assert call.echo is None


def test_our_talk_has_the_echo_of_the_calls_own():
    """Its AI talks in the first of four seconds, and comes back after 300 ms."""
    rng = np.random.default_rng(1)
    far = np.concatenate([0.1 * rng.standard_normal(8_000), np.zeros(24_000)])
    near = np.pad(0.01 * far, (2_400, 0))[:32_000]
    silent = barge_calls.EvaluatedCall(
        3, "none", subset.mulaw(near), subset.mulaw(far), []
    )
    silent = silent._replace(echo_db=-20.0)
    call = barge_calls._evaluated(silent)
    played = frame_levels(call.far)

    assert call.echo.delay == 15
    assert not call.echo.sound[: 8_000 + 2_400].any()
    talk, sound = decoded(call.far)[8_000:29_600], call.echo.sound[10_400:]
    ratio = subset.rms(sound) / subset.rms(talk)
    assert 20 * np.log10(ratio) == pytest.approx(-20, abs=1)
    loud = 50 + int(np.argmax(played[50:180]))
    assert call.frame(loud + 15, lambda at: at != loud) == call.frames[loud + 15]
    assert call.frame(loud + 15, lambda at: at == loud) != call.frames[loud + 15]
    assert call.frame(3, lambda at: True) == call.frames[3]


def test_a_line_without_an_echo_has_none_of_our_talk():
    near = subset.mulaw(np.zeros(16_000))
    call = barge_calls._evaluated(barge_calls.EvaluatedCall(1, "none", near, near, []))

    assert max(frame_levels(call.far)[10:]) > 90
    assert [call.frame(at, lambda _: True) for at in range(100)] == call.frames


def decoded(data):
    return np.frombuffer(decode(data), "<i2") / 32_768
