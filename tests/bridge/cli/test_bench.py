"""`kolbridge bench`: the table and the trend of what the benches left."""

import json
import sys

import pytest

from bridge.cli.bench import bars, read, trends
from bridge.cli.main import main


def leave(folder, number, kind="walks", **figures):
    whole = {
        "kind": kind,
        "commit": {"id": f"c0ffee{number}", "is_changed": number == 2},
        "date": f"2026-01-0{number}T00:00:00Z",
        "machine": {"cores": 2},
        "figures": figures,
    }
    (folder / f"{9 - number}.json").write_text(json.dumps(whole))


@pytest.fixture
def folder(tmp_path):
    leave(tmp_path, 1, uplink_us=10.0, downlink_us=4)
    leave(tmp_path, 2, uplink_us=20.0, downlink_us="no number")
    attempts = [{"cpu_ratio": 9.0}, {"cpu_ratio": 2.0}]
    leave(tmp_path, 3, kind="latency", attempts=attempts)
    (tmp_path / "other.json").write_text("{}")
    return tmp_path


def test_trend_is_in_the_order_of_time_and_takes_the_last_attempt(folder):
    found = {one.figure: one for one in trends(read(folder))}
    assert found["uplink_us"].values == [10.0, 20.0]
    assert found["uplink_us"].commits == ["c0ffee1", "c0ffee2*"]
    assert found["downlink_us"].values == [4.0]
    assert found["cpu_ratio"].values == [2.0]


def test_table_shows_the_newest_and_the_trend(folder, capsys):
    assert main(["bench", "--results", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "newest run: commit c0ffee3, 2026-01-03" in out
    line = next(line for line in out.splitlines() if "uplink_us" in line)
    assert line.split() == ["walks", "uplink_us", "20.00", "20.00", "2", "▅█"]


def test_trend_is_drawn(folder, capsys, tmp_path):
    picture = tmp_path / "trend.png"
    assert main(["bench", "--results", str(folder), "--png", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"drawn: {picture}" in capsys.readouterr().out


def test_trend_without_matplotlib_says_what_to_install(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    assert main(["bench", "--results", str(folder), "--png", "x.png"]) == 2
    assert "kolbridge[analysis]" in capsys.readouterr().err


def test_nothing_measured_is_said(tmp_path, capsys):
    assert main(["bench", "--results", str(tmp_path)]) == 1
    assert "run make bench" in capsys.readouterr().err


def test_bars_begin_at_zero():
    assert bars([0.0, 7.0]) == "▁█"
    assert bars([0.0]) == "▁"
