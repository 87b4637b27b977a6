"""The gate in CI: what it counts, what it lets pass, and what it sees."""

import pytest

from bench import budget, capacity, counts, latency, reference, results
from bench.slowdowns import hop, kernel, sleep
from bridge.line import fast_path
from bridge.line.driver import CallDriver


@pytest.fixture(scope="module")
def found():
    return counts.measure()


@pytest.mark.parametrize("way", ["uplink", "downlink"])
def test_a_frame_awaits_nothing_and_leaves_nothing_behind(found, way):
    assert found[f"{way}_awaits"] == 0
    assert found[f"{way}_tasks"] == found[f"{way}_callbacks"] == 0
    assert found[f"{way}_cycles"] == 0
    assert found[f"{way}_sent"] >= 1


def test_counts_of_a_frame_keep_their_budget(found):
    assert found["uplink_crossings"] == 1
    assert budget.counts(found) == []


def test_a_hop_through_a_queue_is_counted(monkeypatch):
    monkeypatch.setattr(CallDriver, "receive", CallDriver.receive)
    monkeypatch.setattr(CallDriver, "__init__", CallDriver.__init__)
    hop.apply()

    walked = counts.walk("uplink")
    assert walked["awaits"] >= 1
    assert walked["callbacks"] >= 1


@pytest.mark.parametrize(
    ("way", "messages"),
    [
        ("uplink", counts.FRAMES),
        ("downlink", counts.FRAMES // counts.DELTA_FRAMES),
    ],
)
def test_a_message_in_fifty_sleeps(monkeypatch, way, messages):
    slept = []
    monkeypatch.setattr(CallDriver, "receive", CallDriver.receive)
    monkeypatch.setattr(fast_path, "CallerListener", fast_path.CallerListener)
    monkeypatch.setattr(sleep.time, "sleep", slept.append)
    sleep.apply()

    counts.walk(way)
    assert len(slept) >= max(1, messages // sleep.EVERY)
    assert set(slept) == {sleep.SLEEP_S}


def test_copies_and_blocks_are_counted_to_the_last(found):
    def keep(work):
        received.append(bytearray(counts.FRAME_BYTES))
        work()

    received = []
    loop = counts.CountingLoop()
    counts.allocations.take()
    counts.allocations.start()
    keep(lambda: received.append(bytes(counts.FRAME_BYTES)))
    counts.allocations.stop()
    loop.close()
    assert counts.allocations.take().copies == 2


def test_a_third_more_work_shows_in_the_kernels_ratio():
    honest = min(reference.ratio(reference.KERNELS["gate"]) for _ in range(3))
    slowed = min(reference.ratio(kernel.slow_gate) for _ in range(3))
    assert slowed > honest * 1.1


def _attempt(**changed):
    good = {name: 0 for name in budget.BUDGETS["latency"]}
    return {**good, **changed}


def test_each_budget_of_the_load_run_is_judged():
    assert budget.latency(_attempt()) == []
    assert budget.latency(_attempt(downlink_p99_ms=9.0)) == [
        "latency: downlink_p99_ms 9.0, allowed 4"
    ]
    assert len(budget.latency(_attempt(uplink_p99_ms=float("nan")))) == 1
    assert len(budget.latency({})) == len(budget.BUDGETS["latency"])


def test_budget_of_something_unmeasured_is_broken():
    assert len(budget.kernels({})) == len(budget.BUDGETS["kernels"])
    assert set(budget.BUDGETS["kernels"]) == set(reference.KERNELS)


def test_ratios_to_the_relay_are_of_the_same_slices():
    def part(p99, cpu_us):
        spread = {"p50": 0.1, "p99": p99}
        ways = {"uplink": spread, "downlink": spread}
        return {**ways, "cpu_us": cpu_us, "load_tool_cpu": 0.2, "underruns": int(p99)}

    ours = [part(1.0, 300.0), part(2.0, 600.0), part(3.0, 300.0)]
    relay = [part(0.5, 100.0), part(0.5, 300.0), part(0.5, 100.0)]

    attempt = latency.compared(ours, relay)
    assert attempt["uplink_p99_ms"] == 2.0
    assert attempt["uplink_p99_ratio"] == 4.0
    assert attempt["cpu_ratio"] == 3.0
    assert attempt["underruns"] == 2


def test_load_beside_the_relay_is_measured_small(monkeypatch):
    monkeypatch.setattr(capacity, "SLICE_S", 0.5)
    monkeypatch.setattr(latency, "SLICES", 1)
    monkeypatch.setattr(latency, "ATTEMPTS", 1)
    measured = latency.measure(calls=4, prefers=False)
    attempt = measured["attempts"][0]
    assert attempt["uplink_p99_ms"] > 0
    assert attempt["relay"]["downlink_p99_ms"] > 0
    assert any("relay" in line for line in latency.table(measured))


def test_results_name_the_commit_and_no_host(monkeypatch, tmp_path):
    import platform

    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    path = results.save("counts", {"x": 1.0}, results.machine())
    text = path.read_text()
    assert '"kind": "counts"' in text
    assert platform.node() not in text or len(platform.node()) < 4
