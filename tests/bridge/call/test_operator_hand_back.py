"""Operator orders: how a call is handed back, lost, resumed or ended."""

import msgspec
import pytest

from bridge.call import checkpoint, session_config
from bridge.call.handshake import STEP_S
from bridge.call.machine import Call
from bridge.call.plan import (
    HandBack,
    HangUp,
    Leg,
    OpenModel,
    Phase,
    Refusal,
    TakeOver,
    Whisper,
)
from bridge.call.responses import STALL_S
from bridge.call.sessions import REOPEN_S
from bridge.call.streams import Transport
from bridge.call.takeover import LOST_S
from bridge.realtime import openai
from bridge.telephony import twilio
from tests.schemas import checker, needed

from ..builders import (
    SILENCE,
    answered_call,
    audio_delta,
    audio_done,
    begun,
    clip,
    created,
    done,
    error,
    fire,
    of,
    plan,
    session,
    speak,
    start,
    talking_ai,
    texts,
)
from .operators import (
    MODES,
    VOICE,
    both_speak,
    listen,
    operator_speaks,
    taken_over,
    talking_operator,
    told,
    told_turns,
)

# --- hand back ---


def test_a_call_that_is_handed_back_tells_the_model_what_it_knows():
    call = taken_over()
    _, now = operator_speaks(call, 8.0, 12.0)

    actions = call.receive_operator(HandBack(note=" She gets ten percent. "), now)

    assert listen(answers=True) in actions
    [text] = told(actions)
    assert "for 8 seconds" in text
    assert "That person notes: She gets ten percent." in text
    assert of(openai.ResponseCreate, actions) or call.responses.is_waiting
    assert told_turns(call) == [session_config.taken_over(), text]
    assert "[OPERATOR] speaks no more: 8.0 s, frames=400" in texts(actions)
    assert not call.takeover.is_on


def test_without_a_note_the_model_is_told_that_it_knows_nothing():
    call = taken_over()

    [text] = told(call.receive_operator(HandBack(), 13.0))

    assert "has left no note: do not guess what was agreed" in text


def test_a_turn_that_the_server_does_not_end_after_the_hand_back_is_ended():
    """What the session is told may make its turn detection forget an open turn."""
    call = taken_over()
    call.receive_openai(done("r1", "cancelled"), 12.1)
    frames = [*[SILENCE] * 40, *clip("caller-en-1")[:60]]
    _, now = both_speak(call, frames, 12.1)
    heard = openai.SpeechStarted(audio_start_ms=0, item_id="c1")
    call.receive_openai(heard, now)
    call.receive_operator(HandBack(), now)

    actions, _ = speak(call, [SILENCE] * 100, now)

    assert of(openai.CommitAudio, actions)


def test_the_ai_speaks_again_and_can_be_interrupted():
    call = taken_over()
    call.receive_openai(done("r1", "cancelled"), 12.1)
    call.receive_operator(HandBack(), 13.0)
    call.receive_openai(created("r2"), 13.5)

    actions = call.receive_openai(audio_delta("item_2", 2_000, "r2"), 13.6)

    assert of(twilio.OutboundMedia, actions)
    assert call.playout.is_playing(13.7)


def test_a_call_that_nobody_took_over_cannot_be_handed_back():
    call = answered_call(now=0.0)

    actions = call.receive_operator(HandBack(note="x"), 5.0)

    assert not of(openai.CreateItem, actions)
    assert not of(openai.ResponseCreate, actions)


def test_an_operator_whose_audio_stops_gives_the_call_back():
    call = taken_over()
    _, now = operator_speaks(call, 2.0, 12.0)

    actions = fire(call, now + LOST_S + 0.1)

    assert not call.takeover.is_on
    assert told(actions) == [session_config.operator_lost()]
    assert listen(answers=True) in actions


def test_a_caller_who_is_silent_after_the_hand_back_is_asked_again():
    call = taken_over(idle_prompt_ms=5_000)
    call.receive_openai(done("r1", "cancelled"), 12.1)
    _, now = operator_speaks(call, 30.0, 12.1)
    call.receive_operator(HandBack(), now)
    call.receive_openai(created("r2"), now)
    call.receive_openai(done("r2", "cancelled"), now)
    call.receive_openai(created("r3"), now)
    call.receive_openai(audio_delta("item_3", 100, "r3"), now)
    call.receive_openai(audio_done("item_3", "r3"), now)
    call.receive_openai(done("r3"), now)

    actions, _ = speak(call, [SILENCE] * 300, now)

    assert session_config.still_there() in [
        one.response for one in of(openai.ResponseCreate, actions)
    ]


def test_a_cancelled_answer_whose_end_never_comes_delays_no_hand_back():
    """The session is left while the operator speaks; the caller hears an answer."""
    call = taken_over(12.0)

    actions, now = operator_speaks(call, STALL_S + 0.1, 12.0)

    assert of(OpenModel, actions)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), now)
    call.receive_openai(openai.SessionUpdated(session=session()), now)
    assert of(openai.ResponseCreate, call.receive_operator(HandBack(), now))


# --- limits, losses, the end ---


def test_a_limit_of_time_ends_the_call_with_the_ais_goodbye():
    call = taken_over(max_call_seconds=60)
    call.receive_openai(done("r1", "cancelled"), 12.1)

    actions, now = operator_speaks(call, 60.0, 12.1)

    assert call.phase is Phase.ENDING
    assert not call.takeover.is_on
    [asked] = of(openai.ResponseCreate, actions)
    assert asked.response == session_config.goodbye("max_duration")
    assert not call.receive_operator_audio(VOICE, now)


def test_a_warning_that_waits_for_a_pause_is_said_after_the_hand_back():
    call = answered_call(0.0, max_call_seconds=100, idle_prompt_ms=90_000)
    _, now = speak(call, [SILENCE] * 3_650, 0.0)
    _, now = speak(call, clip("human-en-reader-1")[20:130], now)
    assert call.floor.is_wanted  # the caller speaks when the warning is due
    call.receive_operator(TakeOver(), now)
    _, now = operator_speaks(call, 5.0, now)
    assert not call.time_limit.has_warned
    call.receive_operator(HandBack(), now)
    begun(call, "r2", now)
    call.receive_openai(done("r2"), now)

    actions, _ = speak(call, [SILENCE] * 100, now)

    [asked] = of(openai.ResponseCreate, actions)
    assert asked.response == session_config.closing_soon()


def test_the_operator_may_end_the_call_politely_in_the_middle():
    call = taken_over()
    call.receive_openai(done("r1", "cancelled"), 12.1)

    actions = call.receive_hangup("operator", 13.0, politely=True)

    [asked] = of(openai.ResponseCreate, actions)
    assert asked.response == session_config.goodbye("operator")


def test_a_model_that_fails_ends_the_call_only_when_it_is_handed_back():
    call = taken_over()

    actions = call.receive_openai(error("insufficient_quota"), 13.0)
    assert not of(HangUp, actions)
    _, now = operator_speaks(call, 1.0, 13.0)
    actions = call.receive_operator(HandBack(), now)

    assert of(HangUp, actions) == [HangUp("model_failed", True)]


def test_a_failure_that_comes_while_words_are_awaited_outlasts_another_takeover():
    call, _, now = talking_operator()
    call.receive_operator(HandBack(), now)
    call.receive_openai(error("insufficient_quota"), now + 0.1)
    call.receive_operator(TakeOver(), now + 0.2)
    _, now = operator_speaks(call, 1.0, now + 0.2)

    actions = call.receive_operator(HandBack(), now)

    assert of(HangUp, actions) == [HangUp("model_failed", True)]


@pytest.mark.parametrize("why", ["an error", "a refused session"])
def test_a_model_that_has_failed_is_asked_for_no_goodbye(why):
    call = taken_over()
    if why == "an error":
        call.receive_openai(error("insufficient_quota"), 13.0)
    else:
        call.receive_disconnect(Leg.OPENAI, "gone", 13.0)
        refusal = Refusal(reason="no", status=401)
        call.receive_disconnect(Leg.OPENAI, refusal, 13.1)

    actions = call.receive_hangup("operator", 14.0, politely=True)

    assert not of(openai.ResponseCreate, actions)
    [hang_up] = of(HangUp, actions)
    assert hang_up.failed
    assert call.phase is Phase.ENDED


def without_model(seconds: float) -> tuple[Call, float]:
    """Return a call whose operator speaks while the model has been away for so long."""
    call = taken_over()
    call.receive_disconnect(Leg.OPENAI, "gone", 13.0)
    away, now = Refusal(reason="no route"), 13.0
    while now < 13.0 + seconds:
        actions, now = operator_speaks(call, 0.2, now)
        if of(OpenModel, actions):
            call.receive_disconnect(Leg.OPENAI, away, now)
    return call, now


def test_a_model_that_comes_back_leads_the_call_that_is_handed_back():
    call, now = without_model(6 * REOPEN_S)
    tried, now = operator_speaks(call, STEP_S, now)
    assert of(OpenModel, tried)

    call.receive_openai(openai.SessionCreated(session=openai.Session()), now)
    call.receive_openai(openai.SessionUpdated(session=session()), now)
    actions = call.receive_operator(HandBack(), now + 1.0)

    assert of(openai.ResponseCreate, actions)
    assert call.is_talking


def test_a_call_that_is_handed_back_without_a_model_waits_for_it_as_any_call_does():
    call, now = without_model(2 * REOPEN_S)

    actions = call.receive_operator(HandBack(), now)
    waiting = fire(call, now + REOPEN_S - 0.1)
    ended = fire(call, now + REOPEN_S)

    assert not of(HangUp, actions + waiting)
    assert of(HangUp, ended) == [HangUp("model_lost", True)]


def test_another_session_answers_nothing_either_and_knows_of_the_takeover():
    call = taken_over()
    call.receive_disconnect(Leg.OPENAI, "gone", 13.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 13.1)

    actions = call.receive_openai(openai.SessionUpdated(session=session()), 13.2)

    assert listen(answers=False) in actions
    assert session_config.taken_over() in told(actions)
    assert not of(openai.ResponseCreate, actions)


def test_a_lost_stream_is_not_apologised_for_by_the_ai():
    call = taken_over()
    call.receive_openai(done("r1", "cancelled"), 12.1)
    call.receive_transport(Transport.GONE, 13.0)
    lost = call.receive_operator_audio(VOICE, 13.1)
    call.receive_transport(Transport.WANTED, 13.2)

    actions = call.receive_twilio(start(), 14.0)
    actions += call.receive_operator_audio(VOICE, 14.1)

    assert not lost
    assert not of(openai.ResponseCreate, actions)
    assert of(twilio.OutboundMedia, actions)


def test_an_operator_is_not_heard_after_the_end():
    call = taken_over()
    call.receive_twilio(twilio.Stop(), 13.0)

    assert not of(twilio.OutboundMedia, call.receive_operator_audio(VOICE, 13.1))
    call.receive_operator(HandBack(), 13.2)
    assert call.phase is Phase.ENDED


# --- another process goes on ---


def test_a_resumed_call_is_the_ais_again_and_the_model_is_told():
    call = taken_over()
    saved = checkpoint.decode(
        checkpoint.FORMAT, checkpoint.encode(call.checkpoint(14.0))
    )
    assert saved.is_taken_over

    other = Call(msgspec.structs.replace(plan(), resumed=saved), 20.0)
    other.receive_openai(openai.SessionCreated(session=openai.Session()), 20.1)
    other.receive_twilio(start(), 20.1)
    actions = other.receive_openai(openai.SessionUpdated(session=session()), 20.2)

    assert not other.takeover.is_on
    assert told(actions) == [
        session_config.taken_over(),
        session_config.operator_lost(),
    ]
    assert told_turns(other) == told(actions)


def test_a_hint_is_no_turn_that_awaits_an_answer():
    call = answered_call(now=0.0)
    call.receive_openai(created(), 5.0)
    call.receive_openai(
        openai.TranscriptDone(
            response_id="r1", item_id="i1", content_index=0, transcript="Hello."
        ),
        5.1,
    )
    call.receive_openai(done(), 5.2)
    call.receive_operator(Whisper(text="Tuesday is full."), 6.0)

    assert not call.checkpoint(7.0).is_answer_due


# --- the wire ---


@needed
def test_every_message_of_an_operator_is_one_that_the_schema_allows():
    check = checker("openai-realtime.client-strict.schema.json", "client", "type")
    sent = []
    for mode in MODES:
        call = talking_ai(10.0, turn_detection=mode)
        sent += call.receive_operator(Whisper(text="Offer ten.", speaks=True), 11.0)
        sent += call.receive_operator(TakeOver(), 12.0)
        sent += call.receive_openai(done("r1", "cancelled"), 12.1)
        sent += call.receive_operator(HandBack(note="Ten percent."), 13.0)

    events = of(openai.ClientEvent, sent)
    for event in events:
        data = bytearray()
        openai.encode_into(event, data)
        check(msgspec.json.decode(data))
    assert {type(event) for event in events} >= {
        openai.CreateItem,
        openai.SessionUpdate,
        openai.ResponseCreate,
    }
