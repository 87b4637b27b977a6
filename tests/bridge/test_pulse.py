"""The pulse: a loop that is held up is measured, counted and told of."""

import asyncio
import logging
import time

from bridge.governor import LATE_TICKS_MAX, TICK_S, WINDOW_TICKS, Governor
from bridge.metrics import Metrics
from bridge.pulse import Pulse
from tests.bridge import wire


def test_a_loop_that_is_held_up_closes_the_door(caplog):
    governor, metrics = Governor(budget_ms=10), Metrics()

    async def run():
        pulse = Pulse(governor, metrics)
        pulse.start()
        while not governor.is_closed:
            await asyncio.sleep(TICK_S / 2)
            time.sleep(0.05)  # noqa: ASYNC251 this is what holds the loop up
        pulse.stop()
        ticks = len(governor._lags_ms)
        await asyncio.sleep(3 * TICK_S)
        assert len(governor._lags_ms) == ticks
        pulse.stop()

    with caplog.at_level(logging.WARNING):
        wire.run(run)

    assert governor.lag_ms_p99 > 0
    assert metrics.value("admission_changes", to="closed") >= 1
    assert "[ADMISSION] closed: the loop's lag p99 is" in caplog.text
    assert "LAG_BUDGET_MS=10" in caplog.text


def test_a_loop_that_is_on_time_again_opens_it(caplog):
    # A budget of ten seconds is kept by any loop.
    governor, metrics = Governor(budget_ms=10_000), Metrics()
    for lag_ms in [20_000] * (LATE_TICKS_MAX + 1):
        governor.note(lag_ms)
    for _ in range(WINDOW_TICKS - LATE_TICKS_MAX - 1):
        governor.note(0.0)
    assert governor.is_closed

    async def run():
        pulse = Pulse(governor, metrics)
        pulse.start()
        while governor.is_closed:  # noqa: ASYNC110 the timer is what is tested
            await asyncio.sleep(TICK_S)
        pulse.stop()

    with caplog.at_level(logging.WARNING):
        wire.run(run)

    assert metrics.value("admission_changes", to="reopened") >= 1
    assert "[ADMISSION] open: the loop's lag p99 is" in caplog.text
