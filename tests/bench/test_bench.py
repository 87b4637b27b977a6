"""The benches run, small, so that they cannot rot; their exact counts hold."""

from bench import kernels, walks


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
