"""The scenarios run, small, and judge what they find."""

import orjson
import pytest

from bench import bad_input, overload, restart


@pytest.mark.parametrize("more", [(), ("--one-port",)])
def test_a_rolling_restart_loses_nothing(monkeypatch, capsys, more):
    monkeypatch.setattr(restart, "CALL_S", 0.5)
    monkeypatch.setattr(restart, "DRAIN_SECONDS", 1)
    # With a port taken over, longer than a drain; else it never ends by itself.
    monkeypatch.setattr(restart, "LONG_S", 3.0 if more else 120.0)
    monkeypatch.setattr(restart, "LONG_EVERY", 4)
    small = ("--rate", "4", "--restarts", "1", "--every", "1.5")

    # How long it took is the machine's: the calls and the records are judged here.
    monkeypatch.setattr(restart, "FAREWELL_S", 60.0)
    assert restart.main([*small, *more]) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert found["ended"] and found["left"]
    assert bool(found.get("ended_at_deadline")) == (not more)
    assert found["records"].get("shutdown") == found.get("ended_at_deadline")
    assert found["records"]["missing"] == 0


def test_what_a_restart_has_cost_is_reported():
    found = {
        "lost": 1,
        "ended_with_sorry": 2,
        "records": {"missing": 3},
        "exit_codes": [0, 1],
        "drain_s": [1.0, 100.0],
        "drain_s_allowed": 24.0,
    }
    assert len(restart.judge(found)) == 5


def test_overload_runs_small(monkeypatch, capsys):
    monkeypatch.setattr(overload, "SETTLE_S", 0.1)
    monkeypatch.setattr(overload, "STEP_S", 0.5)
    monkeypatch.setattr(overload, "STEP_CALLS", 1)
    # Whether so few callers hurt anybody is not judged here.
    monkeypatch.setattr(overload, "judge", lambda found: [])
    small = ["--first", "2", "--calls-max", "4", "--seconds", "1", "--rounds", "2"]
    assert overload.main([*small, "--stay", "0.4", "--spin", "100"]) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert found["capacity"] in (2, 3)
    assert found["normal"]["failed"] == found["overload"]["failed"] == 0
    assert 0 < found["normal"]["calls"] <= 3
    assert len(found["uplink_ratios"]) == len(found["downlink_ratios"]) == 2


def test_calls_hurt_by_overload_are_reported():
    found = {
        "capacity": 100,
        "normal": {"failed": 0},
        "overload": {"calls": 90, "refused": 60, "failed": 0},
        "uplink_ratios": [1.0, 1.1, 1.9],
        "downlink_ratios": [0.8, 1.2],
    }
    assert overload.judge(found) == []
    found["overload"] = {"calls": 25, "refused": 0, "failed": 1}
    found["uplink_ratios"] = [1.0, 1.3, 1.3]
    assert overload.judge(found) == [
        "uplink p99 x 1.3, allowed 1.2",
        "25% of the capacity let in, expected 90%",
        "no call was refused",
        "1 calls failed otherwise",
    ]


def test_bad_input_is_cut_off_and_no_other_call_is(monkeypatch, capsys):
    monkeypatch.setattr(bad_input, "PAUSE_S", 0.1)
    # Times are not judged here: one short round beside other tests says nothing.
    monkeypatch.setattr(bad_input, "P99_RATIO_MAX", 10_000.0)
    kinds = ["rubbish", "slow_reader", "key_flood", "brief", bad_input.HALF_OPEN]
    small = ["--calls", "4", "--seconds", "0.5", "--rounds", "1"]
    assert bad_input.main([*small, "--kinds", *kinds]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line.split()[0]: orjson.loads(line[line.index("{") :]) for line in lines}
    assert set(found) == {*kinds, "churn"}
    assert found["churn"]["lost"] == 0
    assert found["churn"]["disturbed"]["accepted"] >= 2


def test_short_calls_are_counted_and_their_memory_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(bad_input, "RSS_EVERY_CALLS", 4)
    monkeypatch.setattr(bad_input, "GROWTH_MAX", float("inf"))
    assert bad_input.main(["--memory", "40"]) == 0
    out = capsys.readouterr().out
    found = orjson.loads(out[out.index("{") : out.index("\n")])
    assert found["accepted"] == 40


def test_harm_by_bad_input_is_reported():
    def p99(quiet, disturbed):
        return {
            "quiet_p99": quiet,
            "disturbed_p99": disturbed,
            "ratio": round(disturbed / quiet, 2),
        }

    # Half a millisecond more is no more than what the callers' slots resolve.
    ways = {"uplink_ms": p99(10.0, 12.0), "downlink_ms": p99(0.5, 1.0)}
    found = {"rubbish": ways, "churn": {"lost": 1}, "memory": {"growth": 0.07}}
    assert bad_input.judge(found) == [
        "rubbish: uplink_ms p99 x 1.2, allowed 1.1",
        "churn: 1 calls were lost",
        "memory: grew by 7.0%, allowed 5%",
    ]


def test_figures_are_the_medians_of_their_pairs():
    def phase(p99):
        return {"uplink_ms": {"p99": p99}, "downlink_ms": {"p99": 1.0}, "cpu": 0.1}

    pairs = [{"quiet": phase(low), "disturbed": phase(2.0)} for low in (1.0, 2.0, 4.0)]
    found = bad_input.summary(pairs)["uplink_ms"]
    ratios = [2.0, 1.0, 0.5]
    p99s = {"quiet_p99": 2.0, "disturbed_p99": 2.0}
    assert found == {**p99s, "ratio": 1.0, "ratios": ratios}
