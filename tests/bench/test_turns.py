"""The turns bench runs, small: nobody is missed, and the picture is drawn."""

import orjson

from bench import turns
from bench.__main__ import main


def test_every_caller_is_let_in_and_answered(monkeypatch, capsys, tmp_path):
    argv = ["bench", "turns", "--every", "21", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", argv)
    assert main() == 0

    results = orjson.loads((tmp_path / "turns.json").read_bytes())
    assert results["missed"] == {"barge_in_ms": [], "turn_end_ms": []}
    assert all(took > 0 for took in results["values"]["barge_in_ms"])
    assert (tmp_path / "turns.png").read_bytes().startswith(b"\x89PNG")
    assert "barge_in_ms: {'p50': " in capsys.readouterr().out


def test_a_caller_who_is_not_heard_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(turns, "LEVEL_DBOV", -80.0)
    case = next(turns.cases())

    assert turns.barge_in_ms(case) is None
    assert turns.turn_end_ms(case) is None
