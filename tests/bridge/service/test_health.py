"""The doctor beside the service, and the samples of a process."""

import asyncio
from types import SimpleNamespace

from bridge.service import doctor_run
from bridge.service.doctor_run import read_lines, run_doctor
from bridge.service.health import Health
from bridge.settings.process import Settings
from bridge.telemetry.metrics import LAG_BOUNDS_S, Metrics
from crm import health

LIST = """\
✓ folders: KOLBRIDGE_HOME=.data can be written
! costs: of October: see page
✗ settings: TWILIO_AUTH_TOKEN is not set
Traceback (most recent call last)
2 of 3 need attention
"""


def test_bounds_of_the_kept_lags_are_those_of_the_metric():
    assert tuple(one * 1e3 for one in LAG_BOUNDS_S) == health.LAG_BOUNDS_MS


def test_lines_of_the_list_are_read():
    assert read_lines(LIST) == [
        ("ok", "folders", "KOLBRIDGE_HOME=.data can be written"),
        ("warning", "costs", "of October: see page"),
        ("fault", "settings", "TWILIO_AUTH_TOKEN is not set"),
    ]


def test_run_is_another_process():
    found = asyncio.run(run_doctor("import os; print('✓ pid:', os.getppid())"))
    assert found[0][:2] == ("ok", "pid")


def test_run_that_says_nothing_is_a_fault():
    found = asyncio.run(run_doctor("import sys; sys.exit(3)"))
    assert found == [("fault", "doctor", "it ended with code 3")]


def test_run_that_hangs_is_killed(monkeypatch):
    monkeypatch.setattr(doctor_run, "DOCTOR_S_MAX", 0.3)
    found = asyncio.run(run_doctor("import time; time.sleep(60)"))
    assert found == [("fault", "doctor", "gave no answer within 0 s")]


def test_run_ends_with_the_service():
    async def story():
        task = asyncio.create_task(run_doctor("import time; time.sleep(60)"))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(story(), 10))


def test_sample_has_the_worst_lag_and_the_frames_since_the_last():
    async def story():
        metrics = Metrics()
        call = SimpleNamespace(
            fast_path=SimpleNamespace(rx_frames=100),
            uplink=SimpleNamespace(forwarded_frames=40),
        )
        board = SimpleNamespace(
            metrics=metrics,
            admission=SimpleNamespace(lag_ms_p99=2.0),
            live_calls=lambda: [call],
        )
        own = Health(Settings(), None, board, "node-1", 0)
        assert own.take().rx_frames == 100
        own.look()
        for lag_s in (0.0004, 0.0015, 0.003, 0.9):
            metrics.loop_lag_s.observe(lag_s)
        assert own.take().lag_counts == (1, 1, 1, 0, 0, 0, 0, 0, 0, 1)
        metrics.loop_lag_s.observe(0.0004)
        board.admission.lag_ms_p99 = 7.5
        own.look()
        board.admission.lag_ms_p99 = 1.0
        own.look()
        # The call ends: its counts are the metrics' now.
        metrics.count("frames", 150, kind="rx")
        metrics.count("frames", 50, kind="forwarded")
        board.live_calls = list
        sample = own.take()
        assert (sample.lag_ms_p99, sample.calls) == (7.5, 0)
        assert sample.lag_counts == (1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        assert (sample.rx_frames, sample.forwarded_frames) == (50, 10)
        assert own.take().lag_ms_p99 == 0.0
        assert not own.is_checking
        own.check_now()
        assert own.is_checking

    asyncio.run(story())
