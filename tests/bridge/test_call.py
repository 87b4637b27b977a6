"""The call as a whole: what comes in, what must be done."""

import pytest

from bridge import ending, openai, twilio
from bridge.call import Call
from bridge.openai_events import OutputItemAdded, StatusDetails
from bridge.plan import HangUp, Leg, Phase, RunTool, ToolResult
from bridge.timers import Timer
from dsp.g711 import frame_levels
from tests.bridge import story
from tests.bridge.story import (
    FRAME_S,
    SILENCE,
    STREAM_SID,
    answered_call,
    audio_delta,
    audio_done,
    clip,
    created,
    done,
    fire,
    media,
    of,
    speak,
    texts,
)

VOICE = clip("human-en-reader-1")
NOISE = clip("noise-fan")
QUIET = [SILENCE]


def talking_ai(now=10.0, ms=20_000, **options):
    """A call in which the AI speaks since `now`."""
    call = answered_call(now - 3.0, **options)
    speak(call, QUIET * 100, now - 3.0)
    call.receive_openai(created(), now)
    call.receive_openai(audio_delta("item_1", ms), now)
    return call


def level(frame):
    return frame_levels(frame)[0]


def appended(actions):
    return [action.audio for action in of(openai.AppendAudio, actions)]


# --- the start ---


def test_no_audio_is_sent_before_the_session_is_confirmed():
    call = Call(story.plan(), 0.0)
    call.receive_twilio(story.start(), 0.0)
    actions, _ = speak(call, VOICE[:100], 0.0)

    assert appended(actions) == []


def test_the_session_is_configured_once_and_in_full():
    call = Call(story.plan(turn_silence_ms=640), 0.0)
    actions = call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.0)

    (update,) = of(openai.SessionUpdate, actions)
    assert texts(actions) == ["[REALTIME] Connected"]
    assert update.session.audio.input.format == openai.Format("audio/pcmu")
    assert update.session.audio.input.turn_detection == openai.ServerVad(
        silence_duration_ms=640, create_response=True, interrupt_response=False
    )


def test_the_greeting_is_asked_for_when_both_sides_are_ready():
    call = Call(story.plan("Hello."), 0.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.0)
    assert not of(openai.ResponseCreate, call.receive_twilio(story.start(), 0.1))
    actions = call.receive_openai(openai.SessionUpdated(session=story.session()), 0.2)

    (request,) = of(openai.ResponseCreate, actions)
    assert request.response.instructions.endswith("Hello.")
    assert request.response.input == ()
    assert texts(actions) == [
        "[REALTIME] Session configured: voice=shimmer, format=audio/pcmu (8kHz)",
        "[REALTIME] Greeting sent",
    ]


def test_a_refused_session_ends_the_call_and_never_goes_on_with_the_default():
    call = Call(story.plan(), 0.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.0)
    actions = call.receive_openai(
        story.error("unknown_parameter", "configure", "Unknown parameter: 'x'."), 0.1
    )

    assert of(HangUp, actions) == [HangUp("session_refused", failed=True)]
    assert "Unknown parameter: 'x'." in texts(actions)[0]


def test_a_session_with_another_format_is_refused():
    call = Call(story.plan(), 0.0)
    actions = call.receive_openai(
        openai.SessionUpdated(session=story.session("audio/pcm")), 0.1
    )

    assert of(HangUp, actions) == [HangUp("session_refused", failed=True)]


def test_early_noise_and_a_hello_do_not_suppress_the_greeting():
    call = answered_call(0.0, "Hello.")
    actions, now = speak(call, VOICE[:60], 0.0)
    assert appended(actions) == []

    call.receive_openai(created(), now)
    actions = call.receive_openai(audio_delta("item_1", 500), now)
    assert len(of(twilio.OutboundMedia, actions)) == 15
    assert not of(twilio.Clear, actions)


def test_a_caller_is_heard_when_the_greeting_never_comes():
    call = answered_call(0.0, "Hello.")
    assert "[REALTIME] No greeting came: listening" in texts(fire(call, 8.1))

    actions, _ = speak(call, QUIET * 20 + VOICE[:60], 8.1)
    assert appended(actions)


def test_a_stream_that_never_comes_ends_the_call():
    call = Call(story.plan(), 0.0)
    call.receive_openai(openai.SessionUpdated(session=story.session()), 0.1)

    assert of(HangUp, fire(call, 31.0)) == [HangUp("no_stream", failed=False)]


def test_a_session_that_never_comes_lets_the_caller_hear_the_fallback():
    call = Call(story.plan(), 0.0)
    call.receive_twilio(story.start(), 0.1)

    assert of(HangUp, fire(call, 11.0)) == [HangUp("model_unreachable", failed=True)]


# --- the caller's turn ---


def test_speech_goes_out_as_it_came_from_before_its_first_sound():
    call = answered_call()
    frames = QUIET * 50 + VOICE[:150]
    actions, _ = speak(call, frames, 0.0)

    sent = appended(actions)
    first = frames.index(next(frame for frame in sent if frame != SILENCE))
    body = [frame for frame in sent if frame != SILENCE]
    assert first <= 60
    assert set(body) <= set(frames)


def test_line_noise_is_never_forwarded():
    call = answered_call()
    actions, _ = speak(call, NOISE * 2, 0.0)

    assert appended(actions) == []


def test_silence_fills_an_open_turn_until_the_server_has_ended_it():
    call = answered_call()
    _, now = speak(call, QUIET * 50 + VOICE[:150], 0.0)
    call.receive_openai(openai.SpeechStarted(item_id="u", audio_start_ms=0), now)
    actions, now = speak(call, QUIET * 100, now)
    assert appended(actions)[-20:] == [SILENCE] * 20

    call.receive_openai(openai.SpeechStopped(item_id="u", audio_end_ms=10_000), now)
    actions, now = speak(call, QUIET * 100, now)
    assert appended(actions) == []


@pytest.mark.parametrize(("is_heard", "seconds_max"), [(True, 10.4), (False, 1.9)])
def test_silence_never_runs_without_end(is_heard, seconds_max):
    call = answered_call()
    _, now = speak(call, QUIET * 50 + VOICE[:100], 0.0)
    if is_heard:
        call.receive_openai(openai.SpeechStarted(item_id="u", audio_start_ms=0), now)
    actions, _ = speak(call, QUIET * 700, now)

    assert 0 < appended(actions).count(SILENCE) * FRAME_S <= seconds_max
    assert call.uplink.unended_turns == 1


def test_lost_audio_inside_a_turn_keeps_its_time():
    call = answered_call()
    _, now = speak(call, QUIET * 50 + VOICE[:60], 0.0)
    call.receive_twilio(media(VOICE[60], "2200"), now)
    actions = call.receive_twilio(media(VOICE[66], "2320"), now)

    assert appended(actions)[:5] == [SILENCE] * 5
    assert call.counters.gap_frames == 5


def test_in_gate_mode_the_bridge_commits_and_asks():
    call = answered_call(turn_detection="gate")
    _, now = speak(call, QUIET * 50 + VOICE[:150], 0.0)
    actions, _ = speak(call, QUIET * 60, now)

    assert of(openai.CommitAudio, actions) == [openai.CommitAudio()]
    assert len(of(openai.ResponseCreate, actions)) == 1


def test_a_turn_the_server_leaves_unanswered_is_asked_for():
    call = answered_call()
    call.receive_openai(openai.Committed(item_id="u"), 1.0)
    assert of(openai.ResponseCreate, fire(call, 1.9)) == []

    assert len(of(openai.ResponseCreate, fire(call, 2.1))) == 1


def test_a_turn_the_server_answers_is_not_asked_for_again():
    call = answered_call()
    call.receive_openai(openai.Committed(item_id="u"), 1.0)
    call.receive_openai(created(), 1.1)

    assert of(openai.ResponseCreate, fire(call, 3.0)) == []


# --- barge-in ---


def test_barge_in_clears_truncates_cancels_and_then_sends_the_speech():
    call = talking_ai()
    _, now = speak(call, QUIET * 50, 10.0)
    actions, now = speak(call, VOICE[:100], now)

    kinds = [
        type(action)
        for action in actions
        if not isinstance(action, tuple) and type(action) is not twilio.OutboundAudio
    ]
    at = kinds.index(twilio.Clear)
    assert kinds[at : at + 3] == [
        twilio.Clear,
        openai.ConversationItemTruncate,
        openai.ResponseCancel,
    ]
    assert set(kinds[at + 3 :]) == {openai.AppendAudio}
    assert call.counters.barge_ins == 1


def test_each_item_is_truncated_at_what_was_heard():
    call = answered_call(0.0)
    _, now = speak(call, QUIET * 100, 0.0)
    call.receive_openai(created(), now)
    call.receive_openai(audio_delta("item_1", 200), now)
    call.receive_openai(audio_delta("item_2", 8_000), now)
    call.receive_openai(audio_delta("item_3", 1_000), now)
    actions, _ = speak(call, QUIET * 25 + VOICE[:120], now)

    cuts = of(openai.ConversationItemTruncate, actions)
    assert [cut.item_id for cut in cuts] == ["item_2", "item_3"]
    assert cuts[1].audio_end_ms == 0
    heard_until = 2.0 + 0.2 + cuts[0].audio_end_ms / 1e3
    assert 2.5 < heard_until < 5.0


def test_noise_does_not_interrupt():
    call = talking_ai()
    actions, _ = speak(call, NOISE, 10.0)

    assert not of(twilio.Clear, actions)


def test_the_first_moments_of_an_utterance_cannot_be_interrupted():
    call = talking_ai(barge_in_grace_ms=1_000)
    actions, _ = speak(call, VOICE[:45], 10.0)

    assert not of(twilio.Clear, actions)


def test_late_deltas_of_a_cancelled_response_are_dropped():
    call = talking_ai()
    _, now = speak(call, QUIET * 50 + VOICE[:100], 10.0)
    actions = call.receive_openai(audio_delta("item_1", 500), now)

    assert of(twilio.OutboundMedia, actions) == []
    assert call.counters.late_deltas == 1


def test_a_false_alarm_goes_on_from_the_very_next_byte():
    audio = bytes(number % 251 for number in range(8 * 4_000))
    call = answered_call(0.0)
    _, now = speak(call, QUIET * 100, 0.0)
    call.receive_openai(created(), now)
    delta = openai.AudioDelta(
        response_id="r1", item_id="item_1", content_index=0, delta=audio
    )
    actions = call.receive_openai(delta, now)
    more, now = speak(call, QUIET * 30, now)
    call.playout.hold()
    call.timers.set(Timer.HOLD, now + 0.3)
    late, _ = speak(call, QUIET * 200, now)

    played = of(twilio.OutboundMedia, [*actions, *more, *late])
    assert b"".join(action.media.payload for action in played) == audio
    assert call.counters.barge_ins_false == 1


def test_an_answer_over_the_last_words_reaches_the_model_from_its_first_sound():
    call = talking_ai(ms=1_200, voice_threshold_rms=30_000)
    call.receive_openai(audio_done("item_1"), 10.0)
    call.receive_openai(done(), 10.0)
    actions, _ = speak(call, QUIET * 30 + VOICE[:80], 10.0)

    sent = [frame for frame in appended(actions) if frame != SILENCE]
    first_sound = next(at for at, frame in enumerate(VOICE) if level(frame) > 80)
    assert not of(twilio.Clear, actions)
    assert VOICE.index(sent[0]) <= first_sound


def test_a_mark_echoed_after_clear_is_stale():
    call = talking_ai()
    _, now = speak(call, QUIET * 50 + VOICE[:100], 10.0)
    call.receive_twilio(story.mark("item_1:0:500"), now)

    assert call.playout.stale_marks == 1


def test_echoes_of_marks_that_were_never_sent_end_the_call():
    call = talking_ai()
    sent = call.playout.marks_sent
    for _ in range(sent):
        call.receive_twilio(story.mark("x"), 10.0)
    assert call.counters.malformed_twilio == 0
    for _ in range(ending.MALFORMED_MAX):
        call.receive_twilio(story.mark("x"), 10.0)
    assert call.phase is Phase.TALKING

    call.receive_twilio(story.mark("x"), 10.0)
    assert call.record(10.0).end_reason == "malformed_twilio"


# --- the keypad ---


def test_digits_in_a_row_go_to_the_model_after_a_pause():
    call = answered_call()
    call.receive_twilio(story.dtmf("4"), 1.0)
    call.receive_twilio(story.dtmf("2"), 1.5)
    assert of(openai.CreateItem, fire(call, 2.9)) == []
    actions = fire(call, 3.1)

    (item,) = of(openai.CreateItem, actions)
    assert item.item.content == (openai.InputText(text="Keypad: 4 2"),)
    assert len(of(openai.ResponseCreate, actions)) == 1


def test_a_hash_ends_the_row_at_once():
    call = answered_call()
    call.receive_twilio(story.dtmf("#"), 1.0)

    assert len(of(openai.CreateItem, fire(call, 1.0))) == 1


def test_a_digit_interrupts_and_waits_for_the_cancelled_response():
    call = talking_ai()
    fire(call, 10.5)
    actions = call.receive_twilio(story.dtmf("#"), 10.5)
    assert of(twilio.Clear, actions) and of(openai.ResponseCancel, actions)
    actions = fire(call, 10.5)

    assert of(openai.CreateItem, actions)
    assert of(openai.ResponseCreate, actions) == []
    actions = call.receive_openai(done(status="cancelled"), 10.6)
    assert len(of(openai.ResponseCreate, actions)) == 1


# --- tools ---


def tool_item(name="leads_upsert", call_id="t1", arguments='{"name":"Dana"}'):
    return openai.OutputItemDone(
        response_id="r1",
        item=openai.Item(
            id="f" + call_id,
            type="function_call",
            name=name,
            call_id=call_id,
            arguments=arguments,
        ),
    )


def result(call_id="t1", **more):
    return ToolResult(
        tool_call_id=call_id,
        name="leads_upsert",
        arguments="{}",
        output='{"ok":true}',
        ok=True,
        duration_ms=3.0,
        **more,
    )


def test_a_tool_is_run_and_answered_once_its_response_has_ended():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    actions = call.receive_openai(tool_item(), 1.0)
    assert of(RunTool, actions) == [RunTool("t1", "leads_upsert", '{"name":"Dana"}')]

    actions = call.receive_tool_result(result(), 1.1)
    assert len(of(openai.CreateItem, actions)) == 1
    assert of(openai.ResponseCreate, actions) == []
    actions = call.receive_openai(done(), 1.2)
    assert len(of(openai.ResponseCreate, actions)) == 1


def test_several_tools_of_one_response_get_one_answer():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item(), 1.0)
    call.receive_openai(tool_item(call_id="t2"), 1.0)
    call.receive_openai(done(), 1.1)
    assert of(openai.ResponseCreate, call.receive_tool_result(result(), 1.2)) == []

    actions = call.receive_tool_result(result("t2"), 1.3)
    assert len(of(openai.ResponseCreate, actions)) == 1


def test_end_call_waits_for_the_required_fields():
    call = Call(story.plan(), 0.0)
    call.ending.missing = ("name",)
    call.receive_twilio(story.start(), 0.0)
    call.receive_openai(openai.SessionUpdated(session=story.session()), 0.0)
    call.receive_openai(created(), 1.0)
    actions = call.receive_openai(tool_item("end_call", arguments="{}"), 1.0)

    assert '"missing":["name"]' in of(openai.CreateItem, actions)[0].item.output
    assert call.phase is Phase.TALKING


def test_end_call_lets_the_last_words_be_heard():
    call = talking_ai(ms=600)
    call.receive_openai(audio_done("item_1"), 10.0)
    goodbye = '{"reason":"goodbye"}'
    call.receive_openai(tool_item("end_call", arguments=goodbye), 10.0)
    actions = call.receive_openai(done(), 10.1)
    assert not of(HangUp, actions)
    actions = fire(call, 10.5)
    marks = [mark.mark.name for mark in of(twilio.OutboundMark, actions)]
    assert not of(HangUp, actions)

    actions = call.receive_twilio(story.mark(marks[-1]), 10.65)
    assert of(HangUp, actions) == [HangUp("end_call:goodbye", failed=False)]


# --- the end ---


def test_a_hang_up_ends_the_call_with_one_line():
    call = talking_ai()
    actions = call.receive_twilio(twilio.Stop(), 10.5)

    assert of(HangUp, actions) == [HangUp("caller_hung_up", failed=False)]
    (line,) = [text for text in texts(actions) if text.startswith("WS_STOP")]
    assert line.startswith(f"WS_STOP sid={STREAM_SID} rx=100 tx=15 forwarded=")
    assert line.endswith("reason=caller_hung_up")


def test_what_comes_after_the_end_is_dropped_and_counted():
    call = talking_ai()
    call.receive_twilio(twilio.Stop(), 10.5)

    assert call.receive_twilio(media(SILENCE), 10.6) == []
    assert call.counters.after_end == 1
    assert call.deadline is None


def test_an_answered_call_in_which_nothing_was_heard_is_an_error():
    call = answered_call()
    actions = call.receive_twilio(twilio.Stop(), 10.5)

    assert [log.text for log in actions if getattr(log, "level", "") == "error"] == [
        "tx=0: the caller heard nothing"
    ]


def test_a_lost_caller_ends_the_call():
    call = talking_ai()

    actions = call.receive_disconnect(Leg.TWILIO, "1006", 10.5)
    assert of(HangUp, actions) == [HangUp("caller_leg_lost", failed=False)]


def test_a_model_that_cannot_be_had_at_all_lets_the_caller_hear_the_fallback():
    call = Call(story.plan(), 0.0)

    actions = call.receive_disconnect(Leg.OPENAI, "HTTP 401", 0.2)
    assert of(HangUp, actions) == [HangUp("model_unreachable", failed=True)]


def test_malformed_messages_are_counted_and_past_a_limit_end_the_call():
    call = answered_call()
    for number in range(50):
        actions = call.receive_malformed(Leg.TWILIO, "no JSON", 1.0)
        assert len(texts(actions)) == (number == 0)

    actions = call.receive_malformed(Leg.TWILIO, "no JSON", 1.0)
    assert of(HangUp, actions) == [HangUp("malformed_twilio", failed=True)]


def test_a_silent_caller_is_asked_once_and_then_bidden_goodbye():
    call = answered_call(idle_prompt_ms=5_000)
    actions = fire(call, 5.1)
    assert "still there" in of(openai.ResponseCreate, actions)[0].response.instructions
    call.receive_openai(created(), 5.2)
    call.receive_openai(audio_delta("item_1", 500), 5.2)
    call.receive_openai(audio_done("item_1"), 5.2)
    call.receive_openai(done(), 5.3)
    actions = fire(call, 11.5)

    assert "goodbye" in of(openai.ResponseCreate, actions)[0].response.instructions
    assert call.phase is Phase.ENDING


def test_an_ai_that_repeats_itself_is_corrected_and_then_stopped():
    call = answered_call()
    actions = []
    for number in range(4):
        response_id = f"r{number}"
        actions = call.receive_openai(created(response_id), 1.0 + number)
        call.receive_openai(
            openai.TranscriptDone(
                response_id=response_id,
                item_id=f"item_{number}",
                transcript="Which day would you like to come?",
            ),
            1.0 + number,
        )
        actions = call.receive_openai(done(response_id), 1.0 + number)
        if number == 2:
            assert of(openai.CreateItem, actions)[0].item.role == "system"
    assert call.ending.reason == "loop"


def test_a_failed_response_is_asked_for_once_more():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    details = StatusDetails(error=openai.ErrorBody(code="rate_limit_exceeded"))
    call.receive_openai(done(status="failed", status_details=details), 1.1)

    assert len(of(openai.ResponseCreate, fire(call, 2.2))) == 1
    call.receive_openai(created("r2"), 2.3)
    actions = call.receive_openai(
        done("r2", status="failed", status_details=details), 2.4
    )
    assert of(HangUp, actions) == [HangUp("model_failed", failed=True)]


def test_a_request_that_collides_is_repeated_after_the_running_response():
    call = answered_call()
    call.receive_twilio(story.dtmf("#"), 1.0)
    (request,) = of(openai.ResponseCreate, fire(call, 1.0))
    call.receive_openai(created("auto"), 1.1)
    call.receive_openai(
        story.error("conversation_already_has_active_response", request.event_id), 1.2
    )
    actions = call.receive_openai(done("auto"), 1.3)

    assert of(openai.ResponseCreate, actions) == [request]


def test_the_record_holds_the_whole_call():
    call = talking_ai()
    at = 10.0
    message = openai.Item(id="item_1", type="message")
    call.receive_openai(OutputItemAdded(response_id="r1", item=message), at)
    call.receive_openai(openai.Committed(item_id="u1"), at)
    call.receive_openai(
        openai.TranscriptionCompleted(item_id="u1", transcript="Hello"), at
    )
    call.receive_twilio(twilio.Stop(), 11.0)
    record = call.record(11.0)

    assert [(turn.role, turn.text) for turn in record.turns] == [
        ("ai", ""),
        ("caller", "Hello"),
    ]
    assert record.turns[0].interrupted
    assert record.rx_frames == 100
    assert record.end_reason == "caller_hung_up"


def test_tokens_add_up_by_kind_and_transcription_apart():
    call = talking_ai(ms=100)
    usage = {"input_tokens": 3, "input_token_details": {"audio_tokens": 2}}
    call.receive_openai(done(usage=usage), 10.1)
    call.receive_openai(created("r2"), 10.2)
    call.receive_openai(done("r2", usage=usage), 10.3)
    said = openai.TranscriptionCompleted(
        item_id="u1", transcript="Hello", usage={"type": "duration", "seconds": 1.5}
    )
    call.receive_openai(said, 10.4)

    assert call.record(10.5).usage == {
        "input_tokens": 6,
        "input_token_details.audio_tokens": 4,
        "transcription.seconds": 1.5,
    }
