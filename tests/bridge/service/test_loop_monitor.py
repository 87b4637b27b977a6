"""The loop monitor: a loop that is held up is measured, counted and told of."""

import asyncio
import logging
import time

from bridge.service import loop_monitor
from bridge.service.loop_monitor import LoopMonitor
from bridge.switchboard.admission import TICK_S, WINDOW_TICKS, Admission, Change
from bridge.telemetry.metrics import Metrics
from tests.bridge import ws_peer

NEVER_BUSY = 1.0
NEVER_LATE_MS = 10_000


def watched(admission, story):
    """Run a story beside the loop monitor of its loop; return the metrics."""
    metrics = Metrics()

    async def run():
        monitor = LoopMonitor(admission, metrics)
        monitor.start()
        await story()
        monitor.stop()
        ticks = len(admission._lags_ms)
        await asyncio.sleep(3 * TICK_S)
        assert len(admission._lags_ms) == ticks
        monitor.stop()

    ws_peer.run(run)
    return metrics


def test_a_loop_that_is_held_up_stops_admission(caplog):
    admission = Admission(10, NEVER_BUSY)

    async def story():
        while not admission.is_closed:
            await asyncio.sleep(TICK_S / 2)
            time.sleep(0.05)  # noqa: ASYNC251 this is what holds the loop up

    with caplog.at_level(logging.WARNING):
        metrics = watched(admission, story)

    assert admission.lag_ms_p99 > 0
    assert metrics.value("admission_changes", to="closed") >= 1
    assert "[ADMISSION] closed: the loop's lag p99 is" in caplog.text
    assert "LAG_BUDGET_MS=10" in caplog.text


def test_a_loop_that_works_without_a_rest_stops_admission(caplog):
    admission = Admission(NEVER_LATE_MS, 0.5)

    async def story():
        while not admission.is_closed:
            until = time.thread_time() + 0.01
            while time.thread_time() < until:
                pass
            await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING):
        watched(admission, story)

    assert 0.5 < admission.busy <= 1.0
    assert "% busy, MAX_BUSY_PERCENT=50" in caplog.text


def test_a_loop_that_rests_is_not_busy(monkeypatch, caplog):
    # A kernel without books; else a neighbour of this test would count.
    monkeypatch.setattr(loop_monitor, "_SCHEDSTAT", "/proc/thread-self/none")
    admission = Admission(NEVER_LATE_MS, 0.5)

    async def story():
        await asyncio.sleep(20 * TICK_S)

    with caplog.at_level(logging.INFO):
        watched(admission, story)

    assert 0.0 < admission.busy < 0.25
    assert "no /proc/thread-self/none: neighbours are not seen" in caplog.text


def test_the_wait_for_the_processor_is_busy_too(monkeypatch, tmp_path):
    books = tmp_path / "schedstat"
    books.write_text("0 5000000000 1\n")
    monkeypatch.setattr(loop_monitor, "_SCHEDSTAT", str(books))
    admission, found = Admission(NEVER_LATE_MS, NEVER_BUSY), []

    async def story():
        await asyncio.sleep(2 * TICK_S)
        found.append(admission.busy)
        # So much at once can only be a whole tick, which is a fiftieth of a second.
        books.write_text("0 7000000000 1\n")
        await asyncio.sleep(2 * TICK_S)
        found.append(admission.busy)

    watched(admission, story)
    assert found[1] - found[0] > 0.9 * TICK_S
    # And it is a neighbour's, not the loop's own.
    assert admission.own < 0.5


def test_that_calls_are_admitted_again_is_told(caplog):
    admission, metrics = Admission(10, 0.5), Metrics()
    monitor = LoopMonitor(admission, metrics)
    for tick in range(WINDOW_TICKS):
        admission.note(tick * TICK_S, TICK_S, 0.0, 3.0)

    with caplog.at_level(logging.WARNING):
        monitor._tell(Change.REOPENED, 10.0)

    assert metrics.value("admission_changes", to="reopened") == 1
    said = "[ADMISSION] open: the loop is 0 % busy, its lag p99 is 3.0 ms"
    assert said in caplog.text


def test_a_tick_that_fails_is_not_the_last(monkeypatch, caplog):
    admission = Admission(NEVER_LATE_MS, NEVER_BUSY)
    note, failures = admission.note, [ValueError("surprise")]

    def note_once_not(*what):
        if failures:
            raise failures.pop()
        return note(*what)

    monkeypatch.setattr(admission, "note", note_once_not)

    async def story():
        await ws_peer.until(lambda: admission._lags_ms)

    metrics = watched(admission, story)

    assert metrics.value("task_failures", task="loop_monitor") == 1
    assert "task loop_monitor failed" in caplog.text
