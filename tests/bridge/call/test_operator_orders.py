"""Operator orders: hints, takeovers, and what the AI may not do meanwhile."""

import pytest

from bridge.call import session_config
from bridge.call.machine import Call
from bridge.call.operator_orders import TEXT_CHARS_MAX
from bridge.call.plan import HandBack, Leg, Phase, RunTool, TakeOver, Whisper
from bridge.call.streams import Transport
from bridge.media.playout import PASSED_AHEAD_S
from bridge.realtime import openai
from bridge.telephony import twilio

from ..builders import (
    FRAME_S,
    SILENCE,
    STREAM_SID,
    answered_call,
    appended,
    audio_delta,
    audio_done,
    clip,
    created,
    done,
    dtmf,
    fire,
    loud,
    of,
    plan,
    speak,
    talking_ai,
    texts,
    tool_item,
    tool_result,
)
from .operators import (
    MODES,
    VOICE,
    both_speak,
    listen,
    operator_speaks,
    taken_over,
    told,
    told_turns,
)

AT_ONCE = round(PASSED_AHEAD_S / FRAME_S)

# --- whisper ---


def test_a_hint_is_an_item_of_the_model_and_nothing_is_said_because_of_it():
    call = answered_call(now=0.0)

    actions = call.receive_operator(Whisper(text=" Tuesday is full. "), 5.0)

    text = session_config.hint("Tuesday is full.")
    assert of(openai.CreateItem, actions) == [session_config.operator_told(text)]
    assert not of(openai.ResponseCreate, actions)
    assert not of(twilio.OutboundMedia, actions)
    assert told_turns(call) == [text]
    assert call.counters.operator_hints == 1


def test_a_hint_may_ask_the_model_to_speak():
    call = answered_call(now=0.0)

    actions = call.receive_operator(Whisper(text="Offer ten.", speaks=True), 5.0)

    assert of(openai.ResponseCreate, actions)


def test_a_hint_is_not_spoken_over_the_caller():
    call = answered_call(now=0.0)
    _, now = speak(call, [*[SILENCE] * 60, *clip("caller-en-1")[:60]], 0.0)

    asked = call.receive_operator(Whisper(text="Offer ten.", speaks=True), now)
    actions, _ = speak(call, [SILENCE] * 100, now)

    assert not of(openai.ResponseCreate, asked)
    assert len(of(openai.ResponseCreate, actions)) == 1


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_hint_is_ignored(text):
    call = answered_call(now=0.0)

    actions = call.receive_operator(Whisper(text=text), 5.0)

    assert not of(openai.CreateItem, actions)
    assert not told_turns(call)


def test_a_hint_before_the_conversation_is_ignored():
    call = Call(plan(), 0.0)

    assert not of(openai.CreateItem, call.receive_operator(Whisper(text="x"), 1.0))
    assert not told_turns(call)


def test_a_long_hint_is_cut():
    call = answered_call(now=0.0)

    call.receive_operator(Whisper(text="x" * 5_000), 5.0)

    assert told_turns(call) == [session_config.hint("x" * TEXT_CHARS_MAX)]


# --- take over ---


def test_a_takeover_clears_first_and_truncates_and_cancels():
    call = talking_ai(10.0)

    actions = call.receive_operator(TakeOver(), 12.0)

    assert actions[:3] == [
        twilio.Clear(STREAM_SID),
        openai.ConversationItemTruncate(
            item_id="item_1", content_index=0, audio_end_ms=300
        ),
        openai.ResponseCancel(),
    ]
    assert listen(answers=False) in actions
    assert told(actions) == [session_config.taken_over()]
    assert call.takeover.is_on


def test_what_the_model_still_sends_is_not_heard():
    call = taken_over()

    actions = call.receive_openai(audio_delta("item_1", 500), 12.1)
    actions += call.receive_openai(audio_done("item_1"), 12.2)
    actions += fire(call, 14.0)

    assert not of(twilio.OutboundMedia, actions)


@pytest.mark.parametrize("mode", MODES)
def test_the_server_is_told_to_answer_nothing_where_it_answers_by_itself(mode):
    call = talking_ai(10.0, turn_detection=mode)

    updates = of(openai.SessionUpdate, call.receive_operator(TakeOver(), 12.0))

    if mode == "gate":
        assert not updates
    else:
        [update] = updates
        detection = update.session.audio.input.turn_detection
        assert not detection.create_response
        assert not detection.interrupt_response


def test_an_answer_that_the_server_begins_nevertheless_is_cancelled_and_unheard():
    call = taken_over()
    call.receive_openai(done("r1", "cancelled"), 12.1)

    actions = call.receive_openai(created("r2"), 12.2)
    actions += call.receive_openai(audio_delta("item_2", 400, "r2"), 12.3)

    assert of(openai.ResponseCancel, actions)
    assert not of(twilio.OutboundMedia, actions)


def test_an_answer_of_which_only_audio_comes_is_cancelled_and_unheard():
    call = taken_over()
    call.receive_openai(done("r1", "cancelled"), 12.1)

    actions = call.receive_openai(audio_delta("item_2", 400, "r2"), 12.2)

    assert of(openai.ResponseCancel, actions)
    assert not of(twilio.OutboundMedia, actions)


@pytest.mark.parametrize("mode", MODES)
def test_the_caller_is_heard_by_the_model_and_not_answered(mode):
    call = taken_over(turn_detection=mode)
    call.receive_openai(done("r1", "cancelled"), 12.1)

    actions, now = both_speak(call, [*[SILENCE] * 40, *clip("caller-en-1")], 12.1)
    later, now = operator_speaks(call, 4.0, now)
    committed = openai.Committed(item_id="c1", previous_item_id=None)
    late = call.receive_openai(committed, now)
    late += operator_speaks(call, 4.0, now)[0]

    assert len(appended(actions)) > 50
    assert not of(openai.ResponseCreate, actions + later + late)
    assert call.takeover.is_on


def test_the_caller_may_speak_while_the_operator_does():
    """What a person says is no reason to withhold the caller's words."""
    call = taken_over()
    frames = [*[SILENCE] * 40, *clip("caller-en-1")]

    actions, _ = both_speak(call, frames, 12.0, VOICE)

    assert len(appended(actions)) > 50
    assert not of(twilio.Clear, actions)


def test_silence_does_not_end_a_call_that_an_operator_has():
    call = taken_over(idle_prompt_ms=5_000)

    actions, _ = operator_speaks(call, 30.0, 12.0)

    assert call.phase is Phase.TALKING
    assert not of(openai.ResponseCreate, actions)


def test_a_tools_answer_is_told_and_not_spoken_until_the_call_is_handed_back():
    call = answered_call(now=0.0)
    call.receive_openai(created(), 5.0)
    call.receive_openai(tool_item(), 5.1)
    call.receive_operator(TakeOver(), 5.2)
    call.receive_openai(done("r1", "cancelled"), 5.3)

    actions = call.receive_tool_result(tool_result(), 6.0)
    silent, now = operator_speaks(call, 3.0, 6.0)
    after = call.receive_operator(HandBack(), now)

    assert of(openai.CreateItem, actions) == [session_config.tool_output("t1", "{}")]
    assert not of(openai.ResponseCreate, actions + silent)
    assert len(of(openai.ResponseCreate, after)) == 1
    assert not call.tool_calls.is_answer_due


def test_a_filler_is_not_said_while_an_operator_speaks():
    call = answered_call(now=0.0)
    call.receive_openai(created(), 5.0)
    assert of(RunTool, call.receive_openai(tool_item(), 5.1))
    call.receive_operator(TakeOver(), 5.2)

    assert not of(openai.ResponseCreate, operator_speaks(call, 3.0, 5.2)[0])


def test_keys_are_told_and_not_answered():
    call = taken_over()

    actions = call.receive_twilio(dtmf("4"), 13.0)
    actions += operator_speaks(call, 3.0, 13.0)[0]

    assert session_config.keypad("4") in actions
    assert not of(openai.ResponseCreate, actions)


def test_an_end_that_the_model_wished_is_not_granted():
    call = taken_over()

    wish = tool_item("t9", "end_call", '{"reason": "goodbye"}')
    call.receive_openai(wish, 12.1)
    call.receive_openai(done("r1", "cancelled"), 12.2)

    assert call.phase is Phase.TALKING


def test_a_failed_answer_is_not_asked_for_again():
    call = answered_call(now=0.0)
    call.receive_openai(created(), 5.0)
    call.receive_openai(done("r1", "failed"), 5.1)
    call.receive_operator(TakeOver(), 5.2)

    assert not of(openai.ResponseCreate, operator_speaks(call, 4.0, 5.2)[0])


def test_the_greeting_is_over_when_an_operator_takes_over():
    call = answered_call(now=0.0, greeting="Hello.")
    call.receive_operator(TakeOver(), 1.0)

    assert not call.greeting.is_due
    assert call.fast_path.is_open
    assert call.phase is Phase.TALKING


@pytest.mark.parametrize("when", ["waiting", "without a stream", "ending", "twice"])
def test_a_takeover_that_does_not_fit_is_ignored(when):
    call = Call(plan(), 0.0) if when == "waiting" else answered_call(now=0.0)
    if when == "without a stream":
        call.receive_disconnect(Leg.OPENAI, "gone", 1.0)
        call.receive_transport(Transport.GONE, 1.0)
    elif when == "ending":
        call.receive_hangup("operator", 1.0, politely=True)
    elif when == "twice":
        call.receive_operator(TakeOver(), 1.0)
    before = call.counters.takeovers

    actions = call.receive_operator(TakeOver(), 2.0)

    assert not of(twilio.Clear, actions)
    assert call.counters.takeovers == before
    assert "[OPERATOR] the call cannot be taken over now: ignored" in texts(actions)


# --- the operator's voice ---


def test_the_operator_is_heard_in_whole_frames_at_once():
    call = taken_over()
    before = call.playout.frames_sent

    actions = call.receive_operator_audio(VOICE * 2, 12.1)

    assert actions == [twilio.OutboundAudio(STREAM_SID, VOICE * 2)]
    assert call.playout.frames_sent == before + 2


def test_late_audio_of_the_operator_is_dropped_and_counted():
    call = taken_over()

    sent = [call.receive_operator_audio(VOICE, 12.1) for _ in range(AT_ONCE + 3)]

    assert [bool(actions) for actions in sent] == [True] * AT_ONCE + [False] * 3
    assert call.counters.operator_dropped_frames == 3
    assert call.receive_operator_audio(VOICE, 12.1 + 3 * FRAME_S)


@pytest.mark.parametrize(
    ("audio", "dropped"),
    [(b"x" * 161, 2), (VOICE * (AT_ONCE + 1), AT_ONCE + 1)],
)
def test_audio_that_is_not_whole_frames_or_too_long_is_dropped(audio, dropped):
    call = taken_over()

    assert not call.receive_operator_audio(audio, 12.1)
    assert call.counters.operator_dropped_frames == dropped


def test_nobody_is_heard_who_has_not_taken_over():
    call = answered_call(now=0.0)

    assert not call.receive_operator_audio(VOICE, 5.0)
    assert call.counters.operator_dropped_frames == 1


def test_the_gate_knows_how_loud_the_operator_is():
    call = taken_over()
    call.receive_operator_audio(loud(1)[0], 12.1)

    assert call.playout.far_dbfs(12.11) > -30
