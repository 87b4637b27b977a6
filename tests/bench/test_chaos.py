"""A small chaos run: one of two nodes is killed, the other goes on with its calls."""

import asyncio

from bench.chaos.calls import SPEECH
from bench.chaos.faults import FAULTS
from bench.chaos.run import drive, judge
from bench.chaos.scene import Chaos
from bridge.sandbox.timeline import HangUp, WaitForAi

WAIT_S = 90.0
# The caller hears the greeting and an offer.
STEPS = (WaitForAi(), SPEECH, WaitForAi(), HangUp())
NONE = {
    "calls_lost": 0,
    "records_lost": 0,
    "records_twice": 0,
    "bookings_lost": 0,
    "bookings_twice": 0,
    "sessions_open": 0,
    "owners_left": 0,
}


def test_calls_of_a_node_that_is_killed_go_on_at_another(embedded_url, tmp_path):
    run = Chaos(embedded_url, tmp_path, seed=1, nodes=2, steps=STEPS)
    found = asyncio.run(
        asyncio.wait_for(drive(run, 6, ("sentence",), quiet_s=1.0), WAIT_S)
    )

    # Nobody of these callers books.
    assert judge({**found, "bookings_lost": 0}) == []
    assert found["calls_hit"] > 0
    assert found["heard_again"] == found["calls_hit"]
    assert found["violations"] == 0


def test_whatever_is_lost_or_there_twice_is_over_budget():
    assert judge(NONE) == []
    for name in NONE:
        assert judge({**NONE, name: 2}) == [f"{name}: 2"]


def test_every_fault_has_a_name():
    assert len(FAULTS) == 7
