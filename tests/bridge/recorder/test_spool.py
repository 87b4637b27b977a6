"""A recording grows on the disk while its call runs, and outlives its process."""

import asyncio
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.recorder import flight_recorder, spool
from bridge.recorder.flight_recorder import Recorder, Recorders
from bridge.recorder.recording import STEPS_FILE, Header, read
from bridge.recorder.replay import Replay
from bridge.recorder.spool import Spool, pack_left
from bridge.telemetry.metrics import Metrics
from tests.bridge import builders, ws_peer
from tests.bridge.recorder.test_parts import Told

ROOT = Path(__file__).parents[3]
NAME = f"{builders.CALL_SID}.zip"
# A process with a recorded call; it dies without a word.
KILLED = """
import asyncio, os, sys
from pathlib import Path
from bridge.recorder import flight_recorder
from bridge.recorder.flight_recorder import Recorders
from bridge.telemetry.metrics import Metrics
from tests.bridge import builders, ws_peer
from tests.bridge.recorder.test_spool import began, spooled, talk

flight_recorder.SPOOL_EVERY_S = 0.01

async def main(folder):
    told = began(Recorders(folder, Metrics(), keeps_audio=True))
    talk(told, 50)
    await ws_peer.until(lambda: spooled(folder) == 53)
    talk(told, 1)
    await ws_peer.until(lambda: spooled(folder) == 54)
    os._exit(9)

asyncio.run(main(Path(sys.argv[1])))
"""


def pause():
    """Nobody else needs the interpreter here."""


def began(recorders):
    """A call in a process's recorders, with the caller on the line."""
    told = Told(builders.plan(greeting="Hello."), 10.0)
    told.kept = recorders.begin(told.call.plan, 10.0)
    told.configured()
    told.take(told.call.receive_twilio, builders.start())
    return told


def talk(told, frames):
    for frame in builders.clip("caller-en-1")[:frames]:
        told.take(told.call.receive_twilio, builders.media(frame), after_s=0.02)


def spooled(folder):
    """Return how many messages are on the disk."""
    return sum(path.read_bytes().count(b"\n") for path in steps_of(folder))


def steps_of(folder):
    return list(folder.glob(f"*{spool.SUFFIX}/{STEPS_FILE}"))


def replayed(path, messages):
    recording = read(path)
    replay = Replay(recording)
    list(replay.run())
    assert replay.difference is None
    assert len(replay.steps) == len(recording.steps) == messages


def killed(folder):
    """Let a process die in a recorded call of 54 messages."""
    given = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", KILLED, str(folder)]
    assert subprocess.run(command, env=given, check=False).returncode == 9


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(flight_recorder, "SPOOL_EVERY_S", 0.01)


def test_part_of_a_killed_process_is_written_by_the_next_one(tmp_path, caplog):
    killed(tmp_path)
    assert not (tmp_path / NAME).exists()
    metrics = Metrics()

    async def story():
        recorders = Recorders(tmp_path, metrics, keeps_audio=True)
        await ws_peer.until(lambda: metrics.value("recordings", outcome="packed") == 1)
        await recorders.close(5.0)

    ws_peer.run(story)

    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    replayed(tmp_path / NAME, 54)
    assert metrics.value("recordings", outcome="packed") == 1
    assert "1 recordings of earlier processes written" in caplog.text


def test_line_that_was_not_ended_is_left_out(tmp_path):
    killed(tmp_path)
    (steps,) = steps_of(tmp_path)
    steps.write_bytes(steps.read_bytes()[:-20])

    assert list(pack_left(tmp_path, pause)) == [""]
    replayed(tmp_path / NAME, 53)


def test_damaged_spool_is_said_and_stays(tmp_path, caplog):
    killed(tmp_path)
    (steps,) = steps_of(tmp_path)
    (steps.parent / spool.HEADER_FILE).write_text("{")

    async def story():
        recorders = Recorders(tmp_path, Metrics())
        await ws_peer.until(lambda: "a recording is left behind: CA" in caplog.text)
        await recorders.close(5.0)

    ws_peer.run(story)

    assert steps.exists()


def test_spool_of_a_living_process_is_left_alone(tmp_path, quick):
    async def story():
        recorders = Recorders(tmp_path, Metrics(), keeps_audio=True)
        told = began(recorders)
        await ws_peer.until(lambda: spooled(tmp_path) == 3)
        assert list(pack_left(tmp_path, pause)) == []
        talk(told, 5)
        recorders.finish(told.kept)
        await recorders.close(5.0)

    ws_peer.run(story)

    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    replayed(tmp_path / NAME, 8)


def test_files_are_for_the_services_user_alone(tmp_path, quick):
    async def story():
        recorders = Recorders(tmp_path / "made", Metrics(), keeps_audio=True)
        told = began(recorders)
        talk(told, 5)
        await ws_peer.until(lambda: spooled(tmp_path / "made") == 8)
        found = list((tmp_path / "made").rglob("*"))
        assert {path.name for path in found} >= {"caller.ulaw", STEPS_FILE}
        assert all(path.stat().st_mode & 0o077 == 0 for path in found)
        recorders.finish(told.kept)
        await recorders.close(5.0)

    ws_peer.run(story)


def test_only_what_the_disk_has_not_taken_counts_towards_the_limit(
    tmp_path, quick, monkeypatch
):
    monkeypatch.setattr(flight_recorder, "RING_MESSAGES_MAX", 10)

    async def story():
        recorders = Recorders(tmp_path, Metrics(), keeps_audio=True)
        told = began(recorders)
        for number in range(5):
            talk(told, 6)
            await ws_peer.until(lambda n=number: spooled(tmp_path) == 9 + 6 * n)
        recorders.finish(told.kept)
        await recorders.close(5.0)

    ws_peer.run(story)

    replayed(tmp_path / NAME, 33)


def test_ring_waits_while_the_thread_is_busy(tmp_path, quick):
    async def story():
        recorders = Recorders(tmp_path, Metrics(), keeps_audio=True)
        told = began(recorders)
        appended = []
        append = recorders._append

        def slow(recorder, entries):
            appended.append(len(entries))
            append(recorder, entries)

        recorders._append = slow
        recorders._spooling[told.kept] = asyncio.get_running_loop().create_future()
        talk(told, 5)
        await asyncio.sleep(0.05)
        assert appended == []
        del recorders._spooling[told.kept]
        await ws_peer.until(lambda: spooled(tmp_path) == 8)
        assert appended == [8]
        recorders.finish(told.kept)
        await recorders.close(5.0)

    ws_peer.run(story)


@contextmanager
def full_at(size):
    """Let no file grow beyond a size, as on a full disk: the last write is cut."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def spooling(folder):
    """A call whose messages go to a spool as the test says."""
    told = Told(builders.plan(), 0.0)
    told.kept = Recorder(told.call.plan, 0.0)
    header = Header(plan=told.call.plan, opened_at=0.0, has_audio=True)
    return told, Spool(folder, header, secrets=())


@pytest.mark.parametrize("size", [0, 100, 400, 900, 20_000])
def test_disk_that_is_full_for_a_while_costs_nothing(tmp_path, size):
    told, one = spooling(tmp_path)
    told.configured()
    told.take(told.call.receive_twilio, builders.start())
    with full_at(size):
        for _ in range(3):
            talk(told, 30)
            one.append(told.kept.cut(), pause)
    talk(told, 5)
    one.append(told.kept.cut(), pause)
    one.finish(0, pause)

    replayed(tmp_path / NAME, 98)


def test_disk_that_stays_full_costs_the_recording_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "WAITING_BYTES_MAX", 10_000)
    told, one = spooling(tmp_path)
    told.configured()
    with full_at(100):
        for _ in range(3):
            talk(told, 30)
            one.append(told.kept.cut(), pause)
        assert len(one._lines) == 0
    talk(told, 5)
    one.append(told.kept.cut(), pause)
    with pytest.raises(OSError, match="File too large"):
        one.finish(0, pause)

    assert list(tmp_path.iterdir()) == []


async def on_the_disk(folder, metrics):
    """Return recorders with a call whose first messages are written."""
    recorders = Recorders(folder, metrics, keeps_audio=True)
    told = began(recorders)
    await ws_peer.until(lambda: spooled(folder) == 3)
    return recorders, told


def test_disk_that_is_full_when_the_call_ends_delays_the_recording_alone(
    tmp_path, quick, monkeypatch, caplog
):
    monkeypatch.setattr(flight_recorder, "RETRY_S", 0.01)
    metrics = Metrics()

    def count(outcome):
        return metrics.value("recordings", outcome=outcome)

    async def story():
        recorders, told = await on_the_disk(tmp_path, metrics)
        talk(told, 5)
        with full_at(100):
            recorders.finish(told.kept)
            await ws_peer.until(lambda: count("waiting") == 1)
        await ws_peer.until(lambda: count("written") == 1)
        await recorders.close(5.0)

    ws_peer.run(story)

    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    replayed(tmp_path / NAME, 8)
    assert "recording waits for the disk: OSError" in caplog.text
    assert (count("failed"), count("left"), count("lost")) == (0, 0, 0)


def test_what_a_full_disk_holds_at_the_stop_is_written_after_the_start(
    tmp_path, quick, monkeypatch
):
    monkeypatch.setattr(flight_recorder, "RETRY_S", 0.01)
    metrics = Metrics()

    async def story():
        recorders, told = await on_the_disk(tmp_path, metrics)
        with full_at(100):
            recorders.finish(told.kept)
            await recorders.close(5.0)
            assert metrics.value("recordings", outcome="left") == 1
            after = Recorders(tmp_path, metrics, keeps_audio=True)
            await ws_peer.until(lambda: after._retry_s > flight_recorder.RETRY_S)
        await ws_peer.until(lambda: metrics.value("recordings", outcome="packed") == 1)
        await after.close(5.0)

    ws_peer.run(story)

    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    replayed(tmp_path / NAME, 3)


def test_recording_that_waits_and_is_erased_is_not_written(tmp_path, quick, caplog):
    metrics = Metrics()

    async def story():
        recorders, told = await on_the_disk(tmp_path, metrics)
        talk(told, 5)
        with full_at(100):
            recorders.finish(told.kept)
            await ws_peer.until(
                lambda: metrics.value("recordings", outcome="waiting") == 1
            )
        shutil.rmtree(steps_of(tmp_path)[0].parent)
        await recorders.close(5.0)

    ws_peer.run(story)

    assert list(tmp_path.iterdir()) == []
    assert metrics.value("recordings", outcome="failed") == 1
    assert "was removed" in caplog.text


def test_recordings_that_wait_for_the_disk_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(flight_recorder, "UNWRITTEN_MAX", 1)
    metrics = Metrics()

    async def story():
        recorders = Recorders(tmp_path, metrics, keeps_audio=True)
        with full_at(0):
            for _ in range(2):
                recorders.finish(began(recorders).kept)
            await recorders.close(5.0)

    ws_peer.run(story)

    assert list(tmp_path.iterdir()) == []
    assert metrics.value("recordings", outcome="waiting") == 2
    assert metrics.value("recordings", outcome="failed") == 2


def test_oldest_of_too_many_spools_left_behind_are_removed(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(spool, "LEFT_MAX", 1)
    metrics = Metrics()
    for age in (1, 2, 3):
        place = tmp_path / f"CA{age}{spool.SUFFIX}"
        place.mkdir()
        (place / STEPS_FILE).write_text("")
        (place / spool.HEADER_FILE).write_text("{")
        os.utime(place, (age, age))

    async def story():
        recorders = Recorders(tmp_path, metrics)
        await ws_peer.until(lambda: metrics.value("recordings", outcome="lost") == 2)
        await recorders.close(5.0)

    ws_peer.run(story)

    assert [path.name for path in tmp_path.iterdir()] == [f"CA3{spool.SUFFIX}"]
    assert "2 recordings left behind are removed" in caplog.text
