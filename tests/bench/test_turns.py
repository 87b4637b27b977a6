"""The turns bench runs, small: every turn ends, and the picture is drawn."""

import orjson
import pytest

from bench import cases, turns
from bench.__main__ import main
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
