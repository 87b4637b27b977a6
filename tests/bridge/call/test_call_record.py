"""The call record: lines once per event, and what is timed and added up."""

import pytest

from bridge.call import call_record as module
from bridge.call.call_record import CallRecordBuilder, voice_line
from bridge.call.machine import Call
from bridge.call.plan import ToolResult
from bridge.media.playout import Cut
from bridge.realtime import openai
from dsp.gate import NoiseGate
from tests.bridge import builders


@pytest.fixture
def notes():
    return CallRecordBuilder(builders.plan(audio_hangover_frames=10), 100.0)


def said(item_id, text, **more):
    return openai.TranscriptionCompleted(item_id=item_id, transcript=text, **more)


def replied(item_id, text, part=0):
    return openai.TranscriptDone(
        response_id="r", item_id=item_id, transcript=text, content_index=part
    )


def texts(*lines):
    return [line.text for line in lines if line is not None]


def test_times_count_from_the_opening(notes):
    assert notes.at_s(101.23456) == 1.235
    assert not notes.is_answered
    assert notes.active_at == 100.0

    notes.answered("MZ1", 102.0)
    assert notes.is_answered
    assert (notes.stream_sid, notes.active_at) == ("MZ1", 102.0)

    notes.caller_spoke(105.0)
    assert notes.active_at == 105.0


def test_a_voice_is_told_with_its_level():
    line = voice_line(NoiseGate())

    assert line.text == "[REAL_VOICE] rms=0 snr=0.0 (voice detected)"


def test_what_was_said_is_speech_and_may_be_kept_out_of_the_log(notes):
    caller = notes.caller_said(said("i1", " Tuesday. "), 101.0)
    model = notes.ai_said(replied("i2", "At ten?"), 102.0)

    assert texts(caller, model) == [
        "[REALTIME] Caller said: Tuesday.",
        "[REALTIME] AI said: At ten?",
    ]
    assert caller.speech
    assert model.speech


def test_cut_turn_is_told_as_far_as_it_was_heard(notes):
    notes.transcript.add_text("ai", "i1", "On Tuesday at ten", 1.0)
    notes.transcript.cut(Cut("i1", 0, 600, 1_000))

    line = notes.ai_said(replied("i1", "On Tuesday at ten o'clock."), 102.0)

    assert line.text == "[REALTIME] AI said: On Tuesday (interrupted)"


def test_late_words_are_placed_where_the_server_put_their_item(notes):
    notes.ai_said(replied("i3", "At ten?"), 103.0)
    notes.committed(openai.Committed(item_id="i1"), 101.0)
    notes.committed(openai.Committed(item_id="i2", previous_item_id="i1"), 102.0)
    notes.caller_said(said("i2", "Yes."), 104.0)
    notes.caller_said(said("i1", "Hello."), 105.0)
    notes.digits_pressed("42#", 106.0)

    found = [(turn.role, turn.text) for turn in notes.transcript.turns()]
    assert found == [
        ("ai", "At ten?"),
        ("caller", "Hello."),
        ("caller", "Yes."),
        ("keypad", "4 2 #"),
    ]


def test_two_rows_of_digits_are_two_turns(notes):
    notes.digits_pressed("1#", 101.0)
    notes.digits_pressed("2#", 102.0)

    assert [turn.text for turn in notes.transcript.turns()] == ["1 #", "2 #"]


def test_first_chunk_of_a_response_and_its_total_are_told(notes):
    assert notes.audio_total_line() is None

    notes.response_began()
    lines = [notes.audio_line(size) for size in (100, 200, 300)]
    start = "[REALTIME] got audio chunk from OpenAI: "
    assert texts(*lines) == [f"{start}bytes=100"]
    assert notes.audio_total_line().text == f"{start}bytes=600 (total of 3)"

    notes.response_began()
    assert notes.audio_total_line() is None


def test_first_frame_of_a_response_and_its_total_are_told(notes):
    assert notes.frame_line(7, 101.0) is None
    assert notes.frame_total_line(7) is None

    notes.response_began()
    lines = [
        notes.frame_line(7, 101.0),
        notes.frame_line(8, 101.02),
        notes.frame_total_line(7),
        notes.frame_total_line(7),
    ]

    start = "[REALTIME] sent media frame to Twilio: bytes="
    assert texts(*lines)[0] == f"{start}160, total_sent=7"
    assert len(texts(*lines)) == 2
    assert texts(*lines)[1].startswith(start)


def test_greeting_is_timed_from_the_stream_and_answers_from_the_speechs_end(notes):
    notes.answered("MZ1", 101.0)
    notes.caller_spoke(101.3)  # a "hello?" is not answered by the greeting
    notes.response_began()
    line = notes.greeted(101.4)
    notes.frame_line(1, 101.4)
    assert notes.greeting_ms == pytest.approx(400)
    assert line.text == "[REALTIME] Greeting begins: 400 ms after start"
    assert notes.answer_ms == []

    # The gate closes 200 ms of hangover after the speech has ended.
    notes.caller_spoke(105.2)
    notes.response_began()
    notes.frame_line(1, 106.0)
    notes.response_began()
    notes.frame_line(1, 109.0)

    assert notes.answer_ms == [pytest.approx(1_000)]


def test_list_of_answers_does_not_grow_without_end(notes, monkeypatch):
    monkeypatch.setattr(module, "LATENCIES_MAX", 2)
    notes.answered("MZ1", 100.0)
    for number in range(5):
        notes.caller_spoke(101.0 + number)
        notes.response_began()
        notes.frame_line(1, 101.5 + number)

    assert len(notes.answer_ms) == 2


def test_tokens_add_up_by_kind_over_responses(notes):
    usage = {
        "total_tokens": 5,
        "input_token_details": {"audio_tokens": 3, "cached": {"audio": 1}},
        "note": "text is no count",
    }
    notes.response_ended(builders.response(usage=usage))
    notes.response_ended(builders.response(usage=usage))
    notes.response_ended(builders.response())

    assert notes.usage == {
        "total_tokens": 10,
        "input_token_details.audio_tokens": 6,
        "input_token_details.cached.audio": 2,
    }


def test_transcribing_the_caller_is_added_up_apart(notes):
    notes.caller_said(said("i1", "Hello.", usage={"total_tokens": 4}), 101.0)
    notes.caller_said(said("i2", "Yes.", usage={"total_tokens": 2}), 102.0)

    assert notes.usage == {f"{module.TRANSCRIPTION}total_tokens": 6}


def test_record_holds_what_was_noted():
    call = Call(builders.plan(), 100.0)
    call.receive_twilio(builders.start(), 101.0)
    call.call_record.caller_said(said("i1", "Hello."), 102.0)
    call.call_record.tool_answered(
        ToolResult(
            tool_call_id="c1",
            name="leads_upsert",
            arguments='{"name":"Dana"}',
            output='{"ok":true}',
            ok=True,
            duration_ms=12.0,
        ),
        103.0,
    )
    call.receive_hangup("early", 104.0)

    record = call.record(105.0)

    assert (record.opened_at_s, record.answered_at_s, record.ended_at_s) == (
        100.0,
        101.0,
        105.0,
    )
    assert (record.end_reason, record.failed) == ("early", False)
    (turn,) = record.turns
    assert (turn.role, turn.item_id, turn.text, turn.at_s) == (
        "caller",
        "i1",
        "Hello.",
        2.0,
    )
    (tool,) = record.tools
    assert (tool.name, tool.result, tool.ok, tool.at_s) == (
        "leads_upsert",
        '{"ok":true}',
        True,
        3.0,
    )


def test_stop_line_has_the_documented_form():
    call = Call(builders.plan(), 0.0)
    actions = call.receive_hangup("early", 1.0)

    assert builders.texts(actions) == [
        "WS_STOP sid=- rx=0 tx=0 forwarded=0 dropped=0 reason=early"
    ]


def test_each_part_of_an_item_is_told_by_itself(notes):
    lines = [notes.ai_said(replied("i1", f"Part {at}.", at), 101.0) for at in (0, 1)]

    assert texts(*lines) == [
        "[REALTIME] AI said: Part 0.",
        "[REALTIME] AI said: Part 1.",
    ]
    assert [turn.text for turn in notes.transcript.turns()] == ["Part 0. Part 1."]
