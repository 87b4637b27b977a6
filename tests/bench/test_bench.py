"""The benches run, small, so that they cannot rot; their exact counts hold."""

import orjson

from bench import database, kernels, load, tools, walks


def test_kernels_are_timed_on_every_signal():
    results = kernels.measure(repeats=1)
    assert set(results["gate"]) == {"speech", "noise", "silence"}
    assert len(kernels.table(results)) == len(results) + 1


def test_silence_beyond_its_budget_is_reported():
    broken = kernels.judge({"gate": {"silence": 200.0, "speech": 100.0}})
    assert broken == ["gate: silence costs 2.00 x speech, allowed 1.25"]


def test_a_frame_crosses_into_the_gate_once():
    results = walks.measure(repeats=1)
    assert results["crossings_a_frame"] == 1
    assert results["events_out"] > 100


def test_a_walk_beyond_its_budget_is_reported():
    results = {"crossings_a_frame": 2, "uplink_to_naive": 9.0}
    assert len(walks.judge(results)) == 2


def test_database_phases_answer_every_tool_and_let_none_through_a_hang(
    monkeypatch, capsys
):
    monkeypatch.setenv("TOOL_DEADLINE_MS", "300")
    # Times are not judged here: one short round beside other tests says nothing.
    monkeypatch.setattr(database, "P99_MORE_MS_MAX", 10_000.0)
    monkeypatch.setattr(database, "RECOVERY_S", 0.1)
    small = ("--calls", "4", "--seconds", "0.5", "--tools", "20", "--rounds", "1")

    assert database.main(list(small)) == 0
    lines = capsys.readouterr().out.splitlines()
    figures = {line.split()[0]: orjson.loads(line[line.index("{") :]) for line in lines}
    assert [figures[name]["tools"] for name in figures] == [0, 10, 10]
    assert [figures[name]["tool_errors"] for name in figures] == [0, 0, 10]


def test_load_is_carried_to_a_model_through_tls():
    found = load.run_load(calls=4, seconds=1.0, tls=True)

    assert found["appended_frames"] > 0
    assert found["uplink_ms"]["p50"] > 0
    assert found["downlink_frames"] > 0


def test_latency_that_grows_is_reported():
    def phase(p99, **more):
        ways = {"uplink_ms": {"p99": p99}, "downlink_ms": {"p99": 1.0}}
        return {**ways, "tools": 3, "tool_errors": 0, **more}

    quiet, good = phase(2.0, tools=0), phase(6.9)
    hung = phase(6.9, tool_errors=3)
    measured = {"speech": quiet, "tools": good, "hanging": hung}
    assert database.judge(measured) == []
    measured["tools"] = phase(7.1, tool_errors=1)
    measured["hanging"] = phase(2.0, tool_errors=2)
    assert database.judge(measured) == [
        "tools: uplink_ms p99 7.10, allowed 5 ms more than 2.00",
        "tools: 1 failed",
        "hanging: a tool was answered by a database that hangs",
    ]


def test_every_tool_and_the_race_are_timed():
    small = tools.Size(businesses=2, leads=20, blocks=2, rounds=2, races=1, racers=6)
    results = tools.measure(small)

    assert set(results) == {
        "calendar_find_slots",
        "calendar_create_appointment",
        "calendar_reschedule_appointment",
        "calendar_cancel_appointment",
        "leads_upsert",
        "race",
    }
    assert all(0 < one["p50"] <= one["p99"] for one in results.values())


def test_tool_beyond_its_budget_is_reported():
    slow = {"p50": 2.0, "p99": 25.1}
    results = {"leads_upsert": slow, "race": slow, "calendar_find_slots": {"p99": 24.0}}
    assert tools.judge(results) == ["leads_upsert p99 25.1 ms"]
    assert tools.judge({"race": {"p99": 101.0}}) == ["race p99 101.0 ms"]
