"""What must live is started again, said and counted; what is stopped stays so."""

import asyncio

import pytest

from bridge.telemetry import supervised
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import Backoff, SupervisedTask
from tests.bridge import ws_peer


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(supervised, "RESTART_S_MIN", 0.0)
    monkeypatch.setattr(supervised, "RESTART_S_MAX", 0.0)


def supervise(run, until):
    """Run a task until something is true; return the metrics."""
    metrics = Metrics()

    async def told():
        task = SupervisedTask("work", run, metrics)
        assert task.done()
        task.start()
        await ws_peer.until(until)
        assert not task.done()
        await task.stop()
        await task.stop()
        assert task.done()

    ws_peer.run(told)
    return metrics


def test_task_that_fails_is_started_again(caplog):
    runs = []

    async def run():
        runs.append(None)
        if len(runs) < 3:
            raise ValueError("surprise")
        await asyncio.sleep(3_600)

    metrics = supervise(run, lambda: len(runs) == 3)

    assert metrics.value("task_failures", task="work") == 2
    assert caplog.messages == ["task work failed and is started again"] * 2
    assert "ValueError: surprise" in caplog.text


def test_task_that_returns_or_cancels_itself_is_started_again():
    runs = []

    async def run():
        runs.append(None)
        if len(runs) == 1:
            return
        if len(runs) == 2:
            raise asyncio.CancelledError
        await asyncio.sleep(3_600)

    metrics = supervise(run, lambda: len(runs) == 3)

    assert metrics.value("task_failures", task="work") == 2


def test_task_that_is_stopped_has_not_failed():
    runs = []

    async def run():
        runs.append(None)
        await asyncio.sleep(3_600)

    metrics = supervise(run, lambda: runs)

    assert len(runs) == 1
    assert metrics.value("task_failures", task="work") == 0


def test_long_life_makes_the_next_pause_short_again(monkeypatch):
    monkeypatch.setattr(supervised, "STEADY_S", -1.0)
    runs, pauses = [], []

    async def sleep(pause_s):
        pauses.append(pause_s)

    monkeypatch.setattr(supervised, "RESTART_S_MIN", 1.0)
    monkeypatch.setattr(supervised, "RESTART_S_MAX", 8.0)

    async def told():
        async def run():
            runs.append(None)
            if len(runs) == 4:
                await hang.wait()

        hang = asyncio.Event()
        task = SupervisedTask("work", run, Metrics())
        monkeypatch.setattr(supervised.asyncio, "sleep", sleep)
        task.start()
        while len(runs) < 4:
            await _turn()
        await task.stop()
        monkeypatch.undo()

    async def _turn():
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn

    ws_peer.run(told)
    assert pauses == [1.0, 1.0, 1.0]


def test_pauses_grow_to_a_limit_and_begin_anew():
    backoff = Backoff(1.0, 5.0)

    assert [backoff.next_s() for _ in range(4)] == [1.0, 2.0, 4.0, 5.0]
    backoff.reset()
    assert backoff.next_s() == 1.0
