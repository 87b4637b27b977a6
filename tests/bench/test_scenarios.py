"""The scenarios run, small, and judge what they find."""

import orjson

from bench import overload, restart


def test_a_rolling_restart_loses_nothing(monkeypatch, capsys):
    monkeypatch.setattr(restart, "CALL_S", 0.5)
    monkeypatch.setattr(restart, "DRAIN_SECONDS", 1)
    monkeypatch.setattr(restart, "LONG_EVERY", 4)
    small = ("--rate", "4", "--restarts", "1", "--every", "1.5")

    # How long it took is the machine's: the calls and the records are judged here.
    monkeypatch.setattr(restart, "FAREWELL_S", 60.0)
    assert restart.main(list(small)) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert found["ended"] and found["left"] and found["ended_at_deadline"]
    assert found["records"]["shutdown"] == found["ended_at_deadline"]
    assert found["records"]["missing"] == 0


def test_what_a_restart_has_cost_is_reported():
    found = {
        "lost": 1,
        "ended_with_sorry": 2,
        "records": {"missing": 3},
        "exit_codes": [0, 1],
        "drain_s": [1.0, 100.0],
    }
    assert len(restart.judge(found)) == 5


def test_calls_hurt_by_overload_are_reported():
    ways = {"uplink_ms": {"p99": 1.0}, "downlink_ms": {"p99": 2.0}}
    late = {"uplink_ms": {"p99": 9.0}, "downlink_ms": {"p99": 2.0}}
    found = {"capacity": ways, "governed": {**ways, "accepted": 9, "refused": 2}}
    assert overload.judge(found) == []
    found["governed"] = {**late, "accepted": 9, "TimeoutError": 1}
    assert overload.judge(found) == [
        "governed: p99 9.00 ms, allowed 5.00",
        "governed: no call was refused",
        "governed: calls failed otherwise: ['TimeoutError']",
    ]
