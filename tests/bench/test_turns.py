"""The turns bench runs, small: every turn ends, and the picture is drawn."""

from pathlib import Path

import orjson
import pytest

from bench import cases, turns
from bench.__main__ import main
from bench.barge_calls import EvaluatedCall
from bench.pauses import words


def test_every_turn_ends_in_both_modes(monkeypatch, capsys, tmp_path):
    argv = ["bench", "turns", "--every", "21", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", argv)
    assert main() == 0

    results = orjson.loads((tmp_path / "turns.json").read_bytes())
    assert results["missed"] == []
    assert max(results["values"]["server_vad_ms"]) < 40
    assert (tmp_path / "turns.png").read_bytes().startswith(b"\x89PNG")
    assert "server_vad_ms" in capsys.readouterr().out


def test_a_pause_between_words_ends_no_turn():
    spoken = [one for one in words() if one.name in ("none", "pink 20 dB")][::3]
    assert len(spoken) == 16
    pauses = sum(len(one.pauses) for one in spoken)

    assert pauses == 48
    assert sum(map(turns.early, spoken)) <= 1  # 13 by the sounds alone


def test_what_does_not_rise_over_the_noise_after_it_ends_no_turn_later():
    names = ("fan 10 dB +7 ms", "fan 10 dB +13 ms", "hum 10 dB +13 ms")
    found = [
        turns.gate_ms(case)
        for case in cases.cases()
        if case.name.removeprefix("human-en-command-2 ") in names
    ]
    assert len(found) == 3
    assert max(found) < 100  # 163, 157 and 177 by the score alone


def test_turns_of_a_labelled_call_are_judged_by_its_labels():
    case = next(cases.cases())
    begins, ends = case.speech[0][0], case.speech[-1][1]
    labelled = [(begins, ends)]

    (share_ms,) = turns.call_ms(case.frames, labelled)
    assert share_ms == pytest.approx(turns.gate_ms(case), abs=0.2)
    assert turns.call_ms(case.frames, [(begins, ends), (ends + 0.4, ends + 0.5)]) == []


def test_a_turn_long_after_another_is_judged_too():
    case = next(cases.cases())
    first = (case.speech[0][0], case.speech[-1][1])
    pause = [b"\xff" * 160 for _ in range(1_000)]  # longer than a response may stall
    later_s = (len(case.frames) + len(pause)) * turns.FRAME_S
    second = (first[0] + later_s, first[1] + later_s)

    found = turns.call_ms([*case.frames, *pause, *case.frames], [first, second])
    assert found == pytest.approx(found[:1] * 2, abs=40)


def test_turns_of_the_evaluation_are_told_apart_by_what_is_behind_them(monkeypatch):
    case = next(cases.cases())
    speech = [(case.speech[0][0], case.speech[-1][1])]
    near = b"".join(case.frames)
    calls = [EvaluatedCall(0, noise, near, near, speech) for noise in ("tv", "fan")]
    monkeypatch.setattr(turns, "evaluated_calls", lambda folder: calls)

    found = turns.evaluated_ms(Path())
    assert found["eval_voices_ms"] == found["eval_noise_ms"] != []


def test_a_caller_who_is_not_heard_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(cases, "LEVEL_DBOV", -80.0)
    case = next(cases.cases())
    monkeypatch.setattr(turns, "cases", lambda: [case])

    assert turns.measure()["missed"] == [case.name]
    assert turns.gate_ms(case) is None


def test_speech_that_is_given_as_silence_is_lost():
    case = next(cases.cases())
    said_ms = sum(end - start for start, end in case.speech) * 1e3
    quiet = case._replace(frames=[b"\xff" * 160] * len(case.frames))

    assert turns.server_ms(case)[1] < 100
    share_ms, lost_ms = turns.server_ms(quiet)
    assert share_ms is None
    assert lost_ms == pytest.approx(said_ms, abs=20 * len(case.speech) * 2)
