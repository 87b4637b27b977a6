"""The call as a whole: what comes in, what must be done."""

import pytest

from bridge.call.machine import Call
from bridge.call.plan import HangUp, Leg
from bridge.call.timers import Timer
from bridge.realtime import openai
from bridge.realtime.openai_events import OutputItemAdded
from bridge.telephony import twilio
from tests.bridge import builders
from tests.bridge.builders import (
    FRAME_S,
    SILENCE,
    STREAM_SID,
    answered_call,
    appended,
    audio_delta,
    clip,
    created,
    done,
    fire,
    media,
    of,
    speak,
    talking_ai,
    texts,
)

VOICE = clip("human-en-reader-1")
NOISE = clip("noise-fan")
QUIET = [SILENCE]


# --- the start ---


def test_no_audio_is_sent_before_the_session_is_confirmed():
    call = Call(builders.plan(), 0.0)
    call.receive_twilio(builders.start(), 0.0)
    actions, _ = speak(call, VOICE[:100], 0.0)

    assert appended(actions) == []


def test_the_session_is_configured_once_and_in_full():
    call = Call(builders.plan(turn_silence_ms=640), 0.0)
    actions = call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.0)

    (update,) = of(openai.SessionUpdate, actions)
    assert texts(actions) == ["[REALTIME] Connected"]
    assert update.session.audio.input.format == openai.Format("audio/pcmu")
    assert update.session.audio.input.turn_detection == openai.ServerVad(
        silence_duration_ms=640, create_response=True, interrupt_response=False
    )


def test_a_refused_session_ends_the_call_and_never_goes_on_with_the_default():
    call = Call(builders.plan(), 0.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.0)
    actions = call.receive_openai(
        builders.error("unknown_parameter", "configure", "Unknown parameter: 'x'."), 0.1
    )

    assert of(HangUp, actions) == [HangUp("session_refused", failed=True)]
    assert "Unknown parameter: 'x'." in texts(actions)[0]


def test_a_session_with_another_format_is_refused():
    call = Call(builders.plan(), 0.0)
    actions = call.receive_openai(
        openai.SessionUpdated(session=builders.session("audio/pcm")), 0.1
    )

    assert of(HangUp, actions) == [HangUp("session_refused", failed=True)]


def test_a_timer_that_an_earlier_one_of_the_same_tick_has_called_off_does_not_run():
    call = answered_call(7.0)
    call.receive_twilio(builders.dtmf("5"), 11.79)
    call.receive_openai(created(), 12.0)
    call.receive_openai(audio_delta("i", 20_000), 12.0)
    fire(call, 12.9)
    call.playout.hold()
    call.timers.cancel(Timer.FEED)
    call.timers.set(Timer.HOLD, 13.3)
    lines = texts(call.receive_timeout(13.32))

    assert "[DTMF] 1 to the model" in lines
    assert call.counters.barge_ins_false == 0


def test_a_stream_that_never_comes_ends_the_call():
    call = Call(builders.plan(), 0.0)
    call.receive_openai(openai.SessionUpdated(session=builders.session()), 0.1)

    assert of(HangUp, fire(call, 31.0)) == [HangUp("no_stream", failed=False)]


def test_a_session_that_never_comes_lets_the_caller_hear_the_fallback():
    call = Call(builders.plan(), 0.0)
    call.receive_twilio(builders.start(), 0.1)

    assert of(HangUp, fire(call, 11.0)) == [HangUp("model_unreachable", failed=True)]


# --- what the caller hears ---


def test_the_first_frame_of_each_response_is_told_with_its_number():
    call = answered_call()
    for response_id, number, now in (("r1", 1, 1.0), ("r2", 26, 3.0)):
        fire(call, now)
        call.receive_openai(builders.created(response_id), now)
        delta = builders.audio_delta(f"i of {response_id}", 500, response_id)
        told = texts(call.receive_openai(delta, now))
        assert told[-1].endswith(f"bytes=160, total_sent={number}")

        call.receive_openai(builders.audio_done(f"i of {response_id}"), now)
        call.receive_openai(builders.done(response_id), now)


def test_speech_goes_on_by_itself_until_a_line_of_the_log_is_due():
    call = talking_ai(now=10.0)
    assert call.go_on(10.16)
    assert call.deadline == call.playout.deadline > 10.16

    call = talking_ai(now=10.0)
    call.receive_openai(openai.ResponseDone(response=builders.response()), 10.1)
    call.receive_openai(builders.created("r2"), 10.1)
    # The next frame is the first since the response has begun.
    assert call.go_on(10.16) == b""
    actions = call.receive_timeout(10.16)
    assert of(twilio.OutboundMedia, actions)
    assert any("sent media frame" in line for line in texts(actions))


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

    (line,) = call.receive_twilio(media(SILENCE), 10.6)
    assert line.text == "what arrives after the end is dropped"
    assert call.receive_openai(audio_delta("item_1", 20), 10.6) == []
    assert call.receive_disconnect(Leg.OPENAI, "closed", 10.6) == []
    assert call.counters.after_end == 2
    assert call.deadline is None


def test_an_answered_call_in_which_nothing_was_heard_is_an_error():
    call = answered_call()
    actions = call.receive_twilio(twilio.Stop(), 10.5)

    assert [log.text for log in actions if getattr(log, "level", "") == "error"] == [
        "tx=0: the caller heard nothing"
    ]


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
