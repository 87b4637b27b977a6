"""The greeting's bench runs, small: every caller is greeted, and it agrees with us."""

import orjson
import pytest

from bench import greeting
from bench.__main__ import main


def test_every_caller_is_greeted_and_the_bridge_counts_the_same(
    monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(greeting, "SESSION_S", 0.02)
    monkeypatch.setattr(greeting, "MODEL_S", 0.05)
    monkeypatch.setattr(greeting, "PAUSES_S", (0.0, 0.2))
    argv = ["bench", "greeting", "--calls", "8", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", argv)
    assert main() == 0

    results = orjson.loads((tmp_path / "greeting.json").read_bytes())
    values = results["values"]
    assert {name: len(found) for name, found in values.items()} == {
        "heard": 8,
        "ours": 8,
        "webhook": 8,
        "session": 8,
    }
    # Nobody is greeted sooner than the model could speak; timers are 1 ms fine.
    assert min(values["ours"]) > -2.0
    assert results["metrics"]["count"] == 8
    mean_ms = sum(values["heard"]) / 8
    assert results["metrics"]["mean_ms"] == pytest.approx(mean_ms, abs=20.0)
    assert (tmp_path / "greeting.png").read_bytes().startswith(b"\x89PNG")
    assert "heard" in capsys.readouterr().out
