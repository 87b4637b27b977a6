"""The ring's limits, and the thread that writes what it kept."""

import os
import threading

import msgspec
import pytest

from bridge.call.machine import Call
from bridge.realtime import openai
from bridge.recorder import flight_recorder as module, spool
from bridge.recorder.flight_recorder import Recorder, Recorders
from bridge.recorder.recording import read
from bridge.recorder.replay import Replay
from bridge.telemetry.metrics import Metrics
from tests.bridge import builders, loopback, ws_peer


def recorded(frames=3):
    plan = builders.plan()
    call, kept = Call(plan, 0.0), Recorder(plan, 0.0)
    for number in range(frames):
        message = builders.media(builders.SILENCE, str(20 * number))
        kept.take(call.receive_twilio, (message,), 0.02 * number)
    return kept


def test_what_was_kept_is_what_passed_in_order():
    call = Call(builders.plan(), 0.0)
    kept = Recorder(call.plan, 0.0)

    actions = kept.take(call.receive_hangup, ("early",), 1.0)

    assert list(kept.cut()) == [[call.receive_hangup, ("early",), 1.0, actions]]
    assert list(kept.cut()) == []
    assert actions[-1].reason == "early"


def test_message_at_which_the_call_fails_is_kept_without_an_answer():
    kept = Recorder(builders.plan(), 0.0)

    def fail(now):
        raise AssertionError("ours")

    with pytest.raises(AssertionError):
        kept.take(fail, (), 1.0)

    assert list(kept.cut()) == [[fail, (), 1.0, None]]


def test_ring_lets_the_oldest_messages_go_and_counts_them(monkeypatch):
    monkeypatch.setattr(module, "RING_MESSAGES_MAX", 2)

    kept = recorded(5)

    assert kept.dropped_messages == 3
    assert [entry[2] for entry in kept.cut()] == [0.06, 0.08]


def test_ring_lets_audio_over_the_limit_go(monkeypatch):
    monkeypatch.setattr(module, "RING_BYTES_MAX", 500)
    call = Call(builders.plan(), 0.0)
    kept = Recorder(call.plan, 0.0)

    for number in range(3):
        kept.take(
            call.receive_twilio, (builders.media(builders.SILENCE),), 0.02 * number
        )
    kept.take(call.receive_openai, (builders.audio_delta("i", 40),), 0.1)

    # 3 x 160 and 320 bytes: the newest 160 and 320 fit.
    assert kept.dropped_messages == 2
    assert [entry[2] for entry in kept.cut()] == [0.04, 0.1]


def test_ring_lets_words_over_the_limit_go(monkeypatch):
    monkeypatch.setattr(module, "RING_BYTES_MAX", 2_000)
    call = Call(builders.plan(), 0.0)
    kept = Recorder(call.plan, 0.0)

    for number in range(20):
        said = openai.TranscriptDelta(response_id="r", item_id="i", delta="a" * 900)
        kept.take(call.receive_openai, (said,), 0.1 * number)

    assert kept.dropped_messages == 18


def test_recording_is_written_after_the_call_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "SLICE_STEPS", 1)
    metrics = Metrics()
    folder = tmp_path / "made" / "here"

    async def told():
        recorders = Recorders(folder, metrics, keeps_audio=True)
        recorders.finish(recorded())
        await recorders.close(5.0)
        # A service that is stopped twice closes twice.
        await recorders.close(5.0)

    ws_peer.run(told)

    found = read(folder / f"{builders.CALL_SID}.zip")
    assert len(found.steps) == 3
    assert found.why_not_replayed == ""
    assert folder.stat().st_mode & 0o077 == 0
    assert metrics.value("recordings", outcome="written") == 1
    assert metrics.value("dropped", limit="recorder_messages") == 0


def test_dropped_messages_are_told_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RING_MESSAGES_MAX", 1)
    metrics = Metrics()

    async def told():
        recorders = Recorders(tmp_path, metrics, keeps_audio=True)
        recorders.finish(recorded())
        await recorders.close(5.0)

    ws_peer.run(told)

    found = read(tmp_path / f"{builders.CALL_SID}.zip")
    assert found.why_not_replayed == "2 of its messages were dropped"
    assert metrics.value("dropped", limit="recorder_messages") == 2


def test_folder_that_cannot_be_written_costs_the_recording_alone(tmp_path, caplog):
    metrics = Metrics()
    (tmp_path / "file").write_text("")

    async def told():
        recorders = Recorders(tmp_path / "file", metrics)
        # It is said before the first call.
        await ws_peer.until(lambda: "cannot be written: File exists" in caplog.text)
        recorders.finish(recorded())
        await recorders.close(5.0)

    ws_peer.run(told)

    assert metrics.value("recordings", outcome="failed") == 1
    assert "recording waits for the disk: FileExistsError" in caplog.text
    assert "recording not written: the disk took none of it" in caplog.text


def test_calls_beyond_the_limit_are_not_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RECORDERS_MAX", 1)
    metrics = Metrics()

    async def told():
        recorders = Recorders(tmp_path, metrics)
        first = recorders.begin(builders.plan(), 0.0)
        assert recorders.begin(builders.plan(), 0.0) is None
        assert metrics.value("dropped", limit="recorders") == 1

        recorders.finish(first)
        await ws_peer.until(lambda: not recorders._writing)
        assert recorders.begin(builders.plan(), 0.0) is not None
        await recorders.close(5.0)

    ws_peer.run(told)


def test_oldest_recordings_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FILES_KEPT_MAX", 2)
    for age in (1, 2, 3):
        path = tmp_path / f"CA{age}.zip"
        path.write_text("")
        os.utime(path, (age, age))
    (tmp_path / "note.txt").write_text("")

    async def told():
        recorders = Recorders(tmp_path, Metrics())
        recorders.finish(recorded())
        await recorders.close(5.0)

    ws_peer.run(told)

    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"CA3.zip", f"{builders.CALL_SID}.zip", "note.txt"}


def test_file_that_another_process_removes_fails_no_recording(tmp_path):
    metrics = Metrics()
    # Listed, and gone when it is looked at.
    (tmp_path / "CA1.zip").symlink_to(tmp_path / "gone.zip")

    async def told():
        recorders = Recorders(tmp_path, metrics)
        recorders.finish(recorded())
        await recorders.close(5.0)

    ws_peer.run(told)

    assert metrics.value("recordings", outcome="written") == 1
    assert metrics.value("recordings", outcome="failed") == 0


def test_recording_that_is_not_written_in_time_is_given_up(tmp_path):
    metrics = Metrics()

    async def told():
        recorders = Recorders(tmp_path, metrics)
        stuck = threading.Event()
        busy = recorders._thread.submit(stuck.wait)
        recorders.finish(recorded())
        await recorders.close(0.01)
        stuck.set()
        await ws_peer.until(lambda: not recorders._writing and busy.done())

    ws_peer.run(told)

    assert list(tmp_path.iterdir()) == []
    assert metrics.value("recordings", outcome="lost") == 1


def test_call_through_real_sockets_is_made_again_byte_for_byte(tmp_path):
    async def told():
        async with loopback.opened() as place:
            recorders = Recorders(tmp_path, place.metrics, keeps_audio=True)
            place.exchange = msgspec.structs.replace(
                place.exchange, recorders=recorders
            )
            line = place.new_driver()
            model = await place.open_model()
            peer = await place.open_stream()
            for frame in builders.clip("caller-en-1")[:40]:
                peer.send_text(loopback.media_message(frame))
            peer.send_text(loopback.STOP)
            await ws_peer.until(lambda: line.is_over)
            await recorders.close(5.0)
            await peer.close()
            await model.close()

    ws_peer.run(told)

    replay = Replay(read(tmp_path / f"{builders.CALL_SID}.zip"))
    decisions = list(replay.run())
    assert replay.difference is None
    assert len(replay.steps) == 42  # start, the frames and stop
    assert decisions[-1].why.startswith("caller_hung_up")
