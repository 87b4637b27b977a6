"""A call that several processes had: a recording of each, read and replayed as one."""

import zipfile

import msgspec
import pytest

from bridge.call import checkpoint
from bridge.call.machine import Call
from bridge.call.plan import Leg
from bridge.cli import main
from bridge.realtime import openai
from bridge.recorder.flight_recorder import Recorder, Recorders
from bridge.recorder.parts import file_name, files_of, joined
from bridge.recorder.recording import STEPS_FILE, read
from bridge.recorder.replay import Replay
from bridge.telemetry.metrics import Metrics
from tests.bridge import builders, ws_peer
from tests.bridge.call.test_checkpoint import items

SID = builders.CALL_SID
# Twelve digits: no whole number may be in a file.
CARD = "415926535897"


class Told:
    """A process's part of a call, told to its recorder."""

    def __init__(self, plan, now):
        self.call = Call(plan, now)
        self.kept = Recorder(plan, now)
        self.now = now

    def take(self, method, *what, after_s=0.0):
        self.now += after_s
        return self.kept.take(method, what, self.now)

    def hear(self, *events):
        return [one for event in events for one in self.hear_one(event)]

    def hear_one(self, event):
        return self.take(self.call.receive_openai, event)

    def wait(self, seconds):
        """Let time pass, and every timer come in its time."""
        until = self.now + seconds
        while self.call.deadline is not None and self.call.deadline <= until:
            self.now = max(self.call.deadline, self.call.now)
            self.take(self.call.receive_timeout)
        self.now = until

    def configured(self):
        created = openai.SessionCreated(session=openai.Session())
        return self.hear(created, openai.SessionUpdated(session=builders.session()))


def first_part():
    """A caller was greeted, has typed and asked; a tool has answered, another runs."""
    told = Told(builders.plan(greeting="Hello."), 100.0)
    told.configured()
    told.take(told.call.receive_twilio, builders.start())
    told.hear(
        builders.created(),
        builders.audio_delta("i1", 500),
        builders.audio_done("i1"),
        openai.TranscriptDone(response_id="r1", item_id="i1", transcript="Hello."),
        builders.done(),
    )
    told.wait(2.0)
    for digit in f"{CARD}#":
        told.take(told.call.receive_twilio, builders.dtmf(digit), after_s=0.1)
    told.wait(0.1)
    said = f"Call me at +1 {CARD}"
    told.hear(
        openai.Committed(item_id="u1"),
        openai.TranscriptionCompleted(item_id="u1", transcript=said),
        builders.created("r2"),
        builders.tool_item("t1"),
    )
    told.take(told.call.receive_tool_result, builders.tool_result("t1"))
    told.hear(builders.tool_item("t2"))
    for digit in CARD:
        told.take(told.call.receive_twilio, builders.dtmf(digit), after_s=0.1)
    return told


def second_part(first, began_at=0.0):
    """Another process goes on with the call, on another clock."""
    saved = checkpoint.decode(
        checkpoint.FORMAT, checkpoint.encode(first.call.checkpoint(first.now))
    )
    plan = msgspec.structs.replace(first.call.plan, resumed=saved, generation=2)
    told = Told(plan, 7.0)
    told.told_to_model = told.configured()
    told.take(told.call.receive_twilio, builders.start(), after_s=1.0)
    told.hear(builders.created("a1"), builders.done("a1"))
    told.wait(2.0)
    told.take(told.call.receive_disconnect, Leg.OPENAI, "gone")
    told.take(told.call.receive_hangup, "caller_hung_up", after_s=1.0)
    return told


def written(folder, *parts):
    async def main():
        recorders = Recorders(folder, Metrics(), keeps_audio=True)
        for told in parts:
            recorders.finish(told.kept)
        await recorders.close(5.0)

    ws_peer.run(main)
    return files_of(folder, SID)


@pytest.fixture
def both(tmp_path):
    """The files of a call that had two processes; 4 s lie between them."""
    first = first_part()
    first.kept.began_at = 1_000.0
    second = second_part(first)
    second.kept.began_at = 1_000.0 + (first.now - 100.0) + 4.0
    return written(tmp_path, second, first)


def test_each_part_has_a_file_of_its_own_and_they_are_found_in_order(tmp_path, both):
    for name in (f"{SID}.10.zip", f"{SID}.old.zip", f"{SID}0.2.zip"):
        (tmp_path / name).write_text("")

    names = [path.name for path in files_of(tmp_path, SID)]
    assert names == [f"{SID}.zip", f"{SID}.2.zip", f"{SID}.10.zip"]


def test_without_any_file_the_first_is_named(tmp_path):
    assert files_of(tmp_path, SID) == [tmp_path / f"{SID}.zip"]


def test_later_parts_are_found_without_the_first(tmp_path):
    plan = msgspec.structs.replace(builders.plan(), generation=3)
    (tmp_path / file_name(plan)).write_text("")

    assert files_of(tmp_path, SID) == [tmp_path / f"{SID}.3.zip"]


def test_part_that_another_process_went_on_with_replays_byte_for_byte(both):
    recording = read(both[1])
    assert recording.header.plan.resumed is not None
    replay = Replay(recording)
    decisions = list(replay.run())

    assert replay.difference is None
    assert len(replay.steps) == len(recording.steps) > 7
    assert decisions[-1].what == "ended"
    first = recording.steps[1].actions
    kinds = [one["item"]["type"] for one in first if "item" in one]
    assert kinds[0] == "message"
    assert kinds.count("function_call_output") == 2


def test_story_is_the_one_that_is_meant():
    first = first_part()
    told = items(second_part(first).told_to_model)

    assert ("assistant", "Hello.") in told
    assert any(CARD in str(one).replace(" ", "") for one in told)
    assert first.call.keypad.digits == CARD


def test_checkpoint_in_a_recording_has_no_number_and_no_digit_of_the_keypad(both):
    for path in both:
        with zipfile.ZipFile(path) as file:
            text = file.read(STEPS_FILE).decode()
        assert CARD not in text.replace(" ", "")
    saved = read(both[1]).header.plan.resumed
    assert saved.digits == "0" * len(CARD)


def test_parts_lie_on_one_time_axis_with_the_gap_between_them(both):
    first, second = joined([(path, read(path)) for path in both])

    assert first.begins_s == 0.0
    assert second.begins_s == pytest.approx(first.ends_s + 4.0)


def test_part_without_the_first_begins_where_its_checkpoint_is(both):
    (second,) = joined([(both[1], read(both[1]))])

    assert second.begins_s == pytest.approx(
        read(both[1]).header.plan.resumed.at_s, abs=0.001
    )


def test_command_reads_the_parts_as_one_call(both, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RECORD_DIR", str(tmp_path))
    picture = tmp_path / "call.png"
    assert main.main(["replay", SID, "--plot", str(picture)]) == 0

    said = capsys.readouterr().out.splitlines()
    gap = next(one for one in said if "part 2 begins" in one)
    assert "another process went on, 4.000 s after the last message" in gap
    after = said.index(gap)
    times = [float(one.split()[0]) for one in said if one.startswith("   ")]
    assert times == sorted(times)
    assert sum("every answer the same" in one for one in said[:after]) == 1
    assert sum("every answer the same" in one for one in said[after:]) == 1
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_command_says_that_the_parts_before_are_missing(both, capsys):
    assert main.main(["replay", str(both[1])]) == 0
    assert "part 2 begins        the parts before it are not here" in (
        capsys.readouterr().out
    )


def test_command_says_that_the_process_before_stopped_later(
    both, tmp_path, monkeypatch, capsys
):
    late = first_part()
    late.kept.began_at = 1_000.0
    late.take(late.call.receive_hangup, "taken_over", after_s=60.0)
    written(tmp_path, late)
    monkeypatch.setenv("RECORD_DIR", str(tmp_path))

    assert main.main(["replay", SID]) == 0
    assert "the one before stopped later" in capsys.readouterr().out
