"""A call made again: the same answers, the first other one, and what it tells."""

from functools import partial
from itertools import chain

import msgspec
import pytest

from bridge.call.machine import Call
from bridge.call.plan import (
    HandBack,
    Leg,
    OperatorWords,
    TakeOver,
    ToolResult,
    Whisper,
)
from bridge.realtime import openai
from bridge.realtime.openai_events import StatusDetails
from bridge.recorder import explain
from bridge.recorder.flight_recorder import Recorder
from bridge.recorder.recording import Header, Recording, Writer, read
from bridge.recorder.replay import Replay
from tests.bridge import builders
from tests.test_recordings import FOLDER

# From the first loud frame on: four of voice, then a softer one.
VOICE = builders.clip("caller-en-1")[28:68]
INTERRUPTION = FOLDER / "interruption.zip"


class Told:
    """A call that is recorded while its story is told."""

    def __init__(self, **options):
        self.plan = builders.plan(**options)
        self.call = Call(self.plan, 0.0)
        self.kept = Recorder(self.plan, 0.0)
        self.now = 0.0
        self.take(self.call.receive_openai, openai.SessionCreated(openai.Session()))
        self.take(self.call.receive_twilio, builders.start())
        self.take(self.call.receive_openai, openai.SessionUpdated(builders.session()))

    def take(self, method, *what):
        return self.kept.take(method, what, self.now)

    def hear(self, *events):
        for event in events:
            self.take(self.call.receive_openai, event)

    def speak(self, frames):
        for frame in frames:
            self.now += builders.FRAME_S
            while self.call.deadline is not None and self.call.deadline <= self.now:
                at = max(self.call.deadline, self.call.now)
                self.kept.take(self.call.receive_timeout, (), at)
            self.take(self.call.receive_twilio, builders.media(frame))

    def write(self, path, keeps_audio=True):
        made = Header(plan=self.plan, opened_at=0.0, has_audio=keeps_audio)
        writer = Writer(made, keeps_audio=keeps_audio)
        writer.write(path, [writer.step(*entry) for entry in self.kept.cut()])
        return read(path)


def replayed(recording):
    replay = Replay(recording)
    found = list(replay.run())
    assert replay.difference is None
    return found


def whats(decisions):
    return [decision.what for decision in decisions]


def why(decisions, what):
    return next(one.why for one in decisions if one.what == what)


def reply(ms=4_000):
    return [
        builders.created(),
        builders.audio_delta("i1", ms),
        builders.audio_done("i1"),
        builders.done(),
    ]


def test_change_of_session_is_made_again_and_told(tmp_path):
    told = Told(openai_session_seconds=60, idle_prompt_ms=600_000)
    told.hear(*reply(500))
    told.speak([builders.SILENCE] * 2_701)
    standby = told.call.receive_standby
    told.take(standby, openai.SessionCreated(openai.Session()))
    told.take(standby, builders.error("server_error"))
    told.speak([builders.SILENCE] * 501)
    told.take(standby, openai.SessionCreated(openai.Session()))
    told.take(standby, openai.SessionUpdated(builders.session()))
    told.speak([builders.SILENCE] * 2)

    found = replayed(told.write(tmp_path / "c.zip"))

    assert told.call.counters.changed_sessions == 1
    assert [what for what in whats(found) if "session" in what][1:] == [
        "next session asked",
        "next session given up",
        "next session asked",
        "session changed",
    ]
    assert why(found, "next session given up") == "server_error: no"
    assert why(found, "session changed") == "the session grows old"


def test_what_an_operator_did_is_made_again_and_told(tmp_path):
    told = Told()
    told.hear(*reply())
    told.speak([builders.SILENCE] * 20)
    told.take(told.call.receive_operator, Whisper(text="Offer ten."))
    told.take(told.call.receive_operator, TakeOver())
    for _ in range(10):
        told.speak([builders.SILENCE])
        told.take(told.call.receive_operator_audio, b"\x42" * 160)
    told.take(told.call.receive_operator, HandBack(note="Ten percent."))
    told.speak([builders.SILENCE] * 5)

    recording = told.write(tmp_path / "c.zip")
    found = replayed(recording)

    assert recording.audio["operator.ulaw"] == b"\x42" * 1_600
    assert whats(found).count("operator") == 3
    assert whats(found).count("AI audible") == 1  # the reply, no frame of an operator
    assert why(found, "answer asked") == "on hand_back"


def test_what_an_operator_said_is_made_again_without_a_second_transcript(tmp_path):
    told = Told()
    told.hear(*reply())
    told.speak([builders.SILENCE] * 20)
    told.take(told.call.receive_operator, TakeOver())
    for frame in builders.clip("ai-en-greeting")[:100]:
        told.speak([builders.SILENCE])
        told.take(told.call.receive_operator_audio, frame)
    told.take(told.call.receive_operator, HandBack())
    words = OperatorWords(item_id="operator-2", text="Call +15551234567 at four.")
    told.take(told.call.receive_operator_words, words)
    told.speak([builders.SILENCE] * 5)

    recording = told.write(tmp_path / "c.zip")
    found = replayed(recording)

    assert why(found, "answer asked") == "on an operator's words"
    shown = [step.actions for step in recording.steps if step.actions]
    assert sum("transcribe" in one for actions in shown for one in actions) == 1
    assert "1234567" not in str(recording.steps)


def test_false_alarm_is_told_with_what_was_measured(tmp_path):
    told = Told(noise_calibration_ms=0, gate_score=False)
    told.speak([builders.SILENCE] * 20)
    told.hear(*reply())
    told.speak([builders.SILENCE] * 30 + VOICE[:3])
    told.speak([builders.SILENCE] * 40)

    found = replayed(told.write(tmp_path / "c.zip"))

    assert "AI held" in whats(found)
    assert "AI audible 6" in why(found, "AI held")
    assert why(found, "went on") == "the reply goes on"
    assert "interrupted" not in whats(found)


def test_voice_in_the_grace_period_is_told(tmp_path):
    told = Told(noise_calibration_ms=0)
    told.speak([builders.SILENCE] * 20)
    told.hear(*reply())
    told.speak(VOICE[5:15])

    found = replayed(told.write(tmp_path / "c.zip"))

    assert why(found, "not interrupted").startswith("grace: AI audible ")
    assert whats(found).count("not interrupted") == 1


def test_voice_in_the_cooldown_is_told(tmp_path):
    told = Told(noise_calibration_ms=0, barge_in_cooldown_ms=10_000)
    told.speak([builders.SILENCE] * 20)
    told.hear(*reply())
    told.speak([builders.SILENCE] * 30 + VOICE)
    told.hear(builders.created("r2"), builders.audio_delta("i2", 4_000, "r2"))
    told.speak([builders.SILENCE] * 60 + VOICE)

    found = replayed(told.write(tmp_path / "c.zip"))

    assert "heard_ms=" in why(found, "interrupted")
    limits = [one.why[:8] for one in found if one.what == "not interrupted"]
    assert limits[-1] == "cooldown"


def test_voice_over_the_last_words_is_told(tmp_path):
    told = Told(noise_calibration_ms=0)
    told.speak([builders.SILENCE] * 20)
    told.hear(*reply())
    told.speak([builders.SILENCE] * 30)
    told.take(partial(told.call.receive_hangup, politely=True), "shutdown")
    told.speak(VOICE[:20])

    found = replayed(told.write(tmp_path / "c.zip"))

    assert why(found, "not interrupted").startswith("the call is ending")


def test_endings_and_causes_are_told_from_the_notes_alone(tmp_path):
    told = Told()
    told.hear(
        builders.created(),
        openai.OutputItemDone(
            response_id="r1",
            item=openai.Item(
                id="i", type="function_call", name="look", call_id="c", arguments="{}"
            ),
        ),
        builders.done(
            status="cancelled", status_details=StatusDetails(reason="turn_detected")
        ),
    )
    result = ToolResult(
        tool_call_id="c",
        name="look",
        arguments="{}",
        output="{}",
        ok=True,
        duration_ms=1.0,
    )
    told.take(told.call.receive_tool_result, result)
    told.take(told.call.receive_unknown, Leg.OPENAI, "new.event")
    told.take(told.call.receive_disconnect, Leg.OPENAI, "gone")
    told.hear(builders.error("insufficient_quota"))

    recording = told.write(tmp_path / "c.zip", keeps_audio=False)
    found = list(
        chain.from_iterable(explain.of_step(step, 0.0) for step in recording.steps)
    )

    assert why(found, "tool asked") == "look"
    assert why(found, "answer asked") == "on a tool's answer"
    assert why(found, "answer complete") == "r1 cancelled (turn_detected)"
    assert why(found, "openai leg lost") == "gone"
    assert why(found, "model reopened") == "gone"
    refused = "[REALTIME] session_refused: insufficient_quota: no"
    assert why(found, "error") == refused
    assert why(found, "ended") == "session_refused, on error"


def test_turn_of_noise_is_told_as_dropped(tmp_path):
    told = Told(
        turn_detection="gate",
        noise_calibration_ms=0,
        audio_hangover_frames=0,
        gate_score=False,
    )
    told.speak([builders.SILENCE] * 20 + VOICE[:4])
    told.speak([builders.SILENCE] * 60)

    found = replayed(told.write(tmp_path / "c.zip"))

    assert why(found, "turn opens").startswith("rms=")
    assert why(found, "turn dropped") == "too little speech for an answer"
    assert why(found, "turn ends") == "quiet for 500 ms"


def test_failure_of_ours_is_made_again(tmp_path):
    told = Told()
    recording = told.write(tmp_path / "c.zip")
    last = msgspec.structs.replace(recording.steps[-1], now=-1.0, actions=None)
    failed = Recording(recording.header, [*recording.steps, last], recording.audio)

    (noted,) = [
        one for one in explain.of_step(last, 0.0) if one.what == "bridge failed"
    ]
    assert noted.why == "at session.updated: a bug of ours"
    with pytest.raises(AssertionError, match="time went backwards"):
        list(Replay(failed).run())


def changed(recording, number, change):
    """Return the recording with other answers at one message."""
    steps = list(recording.steps)
    step = steps[number]
    steps[number] = msgspec.structs.replace(step, actions=change(step.actions))
    return Recording(recording.header, steps, recording.audio)


def first(recording, key, value):
    """Return where an action of this kind is first recorded."""
    return next(
        number
        for number, step in enumerate(recording.steps)
        if any(one.get(key) == value for one in step.actions)
    )


def test_one_other_byte_of_audio_is_a_difference():
    recording = read(INTERRUPTION)
    number = first(recording, "event", "media")

    def other(actions):
        told = [dict(one) for one in actions]
        at = next(i for i, one in enumerate(told) if one.get("event") == "media")
        told[at] = {**told[at], "media": {"payload": {"bytes": 160, "hash": "0" * 16}}}
        return told

    replay = Replay(changed(recording, number, other))
    decisions = list(replay.run())

    assert replay.difference.message == number + 1
    assert replay.difference.recorded["media"]["payload"]["hash"] == "0" * 16
    assert replay.difference.recomputed["media"]["payload"]["hash"] != "0" * 16
    assert "ended" not in whats(decisions)
    assert len(replay.steps) == number + 1


@pytest.mark.parametrize(
    ("change", "recorded", "recomputed"),
    [
        (lambda actions: actions[:-1], None, "response.create"),
        (lambda actions: [*actions, {"type": "more"}], "more", None),
    ],
)
def test_missing_and_additional_actions_are_differences(change, recorded, recomputed):
    recording = read(INTERRUPTION)
    number = first(recording, "type", "response.create")
    actions = recording.steps[number].actions
    cut = [one for one in actions if one.get("type") == "response.create"]

    def only(_):
        return change(actions)

    replay = Replay(changed(recording, number, only))
    list(replay.run())

    found = replay.difference
    assert cut
    assert (found.recorded or {}).get("type") == recorded
    assert (found.recomputed is None) == (recomputed is None)


def test_timer_is_told_by_its_reason():
    found = replayed(read(FOLDER / "keypad.zip"))

    asked = [one.why for one in found if one.what == "answer asked"]
    assert "on a timer: no further digit" in asked
    assert why(found, "model hears voice").startswith("audio_start_ms=")
