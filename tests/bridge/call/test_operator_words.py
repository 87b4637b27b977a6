"""Operator words: what an operator said is told to the model, and written down."""

import msgspec

from bridge.call import checkpoint, session_config
from bridge.call.call_record import OPERATOR_WORDS_CHARS_MAX
from bridge.call.machine import Call
from bridge.call.operator_voice import Known
from bridge.call.plan import (
    HandBack,
    HangUp,
    Leg,
    OpenStandby,
    OperatorWords,
    Phase,
    TakeOver,
    ToStandby,
    Transcribe,
    UseStandby,
)
from bridge.call.takeover import LOST_S, WORDS_WAIT_S
from bridge.realtime import openai
from bridge.telephony import twilio

from ..builders import (
    SILENCE,
    begun,
    done,
    error,
    fire,
    of,
    plan,
    session,
    speak,
    start,
    texts,
)
from .operators import (
    PAUSE,
    SPEECH,
    heard,
    listen,
    operator_says,
    taken_over,
    talking_operator,
    told,
    told_turns,
)

PERSON = "The person of the business said to the caller: "


NOTED = session_config.noted("Ten percent.")


def resumed(call: Call, now: float) -> tuple[Call, list]:
    """Let another process go on with the call, and its session be told of it."""
    saved = checkpoint.decode(
        checkpoint.FORMAT, checkpoint.encode(call.checkpoint(now))
    )
    other = Call(msgspec.structs.replace(plan(), resumed=saved), now + 60.0)
    other.receive_openai(openai.SessionCreated(session=openai.Session()), now + 60.1)
    other.receive_twilio(start(), now + 60.1)
    updated = openai.SessionUpdated(session=session())
    return other, other.receive_openai(updated, now + 60.2)


def said(call: Call) -> list[str]:
    return [turn.text for turn in call.record(99.0).turns if turn.role == "operator"]


def test_words_are_asked_for_and_told_while_the_operator_still_speaks():
    call, [asked], now = talking_operator()

    actions = call.receive_operator_words(heard(asked.item_id, " Ten percent. "), now)

    assert asked.audio in b"".join(SPEECH + PAUSE + SPEECH)
    assert told(actions) == [PERSON + "Ten percent."]
    assert not of(openai.ResponseCreate, actions)
    assert said(call)[0] == "Ten percent."
    assert call.takeover.is_speaking
    # In the record they stand at the time at which they were said.
    [turn] = [one for one in call.record(99.0).turns if one.text == "Ten percent."]
    assert 0.0 <= turn.at_s - call.call_record.at_s(12.1) < 1.0


def test_a_hand_back_waits_for_the_last_words_and_tells_them_first():
    call, [asked], now = talking_operator()
    call.receive_operator_words(heard(asked.item_id, "Ten percent."), now)

    waiting = call.receive_operator(HandBack(note="She is a regular."), now)
    [last] = of(Transcribe, waiting)
    assert told(waiting) == []
    assert call.takeover.is_on
    assert not call.receive_operator_audio(SPEECH[20], now)
    actions = call.receive_operator_words(heard(last.item_id, "Come at four."), now)

    lasted_s = now - 12.0
    assert told(actions) == [
        PERSON + "Come at four.",
        session_config.handed_back(lasted_s, "She is a regular.", Known.ALL),
    ]
    assert "keep to it" in told(actions)[1]
    assert listen(answers=True) in actions
    assert of(openai.ResponseCreate, actions)
    assert said(call) == ["Ten percent.", "Come at four."]
    assert not call.takeover.is_on


def test_what_is_known_at_the_hand_back_is_not_waited_for():
    call = taken_over()
    call.receive_openai(done("r1", "cancelled"), 12.1)
    actions, now = operator_says(call, SPEECH + PAUSE, 12.1)
    [asked] = of(Transcribe, actions)
    call.receive_operator_words(heard(asked.item_id, "Ten percent."), now)

    actions = call.receive_operator(HandBack(), now)

    assert of(openai.ResponseCreate, actions)
    [text] = told(actions)
    assert "That person has left no note. Go on" in text


def test_words_that_are_late_do_not_delay_the_hand_back_and_are_told_later():
    call, [asked], now = talking_operator()
    call.receive_operator_words(heard(asked.item_id, "Ten percent."), now)
    [last] = of(Transcribe, call.receive_operator(HandBack(), now))

    assert not told(fire(call, now + WORDS_WAIT_S - 0.02))
    back = fire(call, now + WORDS_WAIT_S)
    late = call.receive_operator_words(heard(last.item_id, "At four."), now + 3.0)

    [text] = told(back)
    assert text == session_config.handed_back(now - 12.0, "", Known.PART)
    assert "A part of what that person said is missing: do not guess it." in text
    assert of(openai.ResponseCreate, back)
    assert told(late) == [PERSON + "At four."]
    assert not of(openai.ResponseCreate, late)
    assert said(call) == ["Ten percent.", "At four."]


def test_words_that_cannot_be_had_are_missing_and_counted():
    call, [asked], now = talking_operator()
    [last] = of(Transcribe, call.receive_operator(HandBack(), now))
    for one in (asked, last):
        failed = OperatorWords(item_id=one.item_id, failed=True)
        actions = call.receive_operator_words(failed, now)

    [text] = told(actions)
    assert text == session_config.handed_back(now - 12.0, "", Known.NOTHING)
    assert "do not guess what was agreed" in text
    assert call.counters.operator_untranscribed == 2
    # The record shows that something was said.
    assert said(call) == ["", ""]


def test_sound_without_words_is_neither_told_nor_written():
    call, [asked], now = talking_operator()
    actions = call.receive_operator_words(heard(asked.item_id, "  "), now)
    call.receive_twilio(twilio.Stop(), now)

    assert not told(actions)
    assert [turn for turn in said(call) if turn] == []


def test_transcripts_are_paid_like_the_callers_and_have_a_limit():
    call, [asked], now = talking_operator()
    before = call.call_record.usage.get("transcription.seconds", 0)

    call.receive_operator_words(heard(asked.item_id, "x" * 9_000, 5.0), now)

    assert call.call_record.usage["transcription.seconds"] == before + 5.0
    assert len(said(call)[0]) == OPERATOR_WORDS_CHARS_MAX


def test_nothing_is_transcribed_where_the_business_does_not_want_it():
    call, asked, now = talking_operator(operator_transcription=False)

    actions = call.receive_operator(HandBack(), now)

    assert asked == []
    assert told(actions) == [session_config.handed_back(now - 12.0, "")]


def test_a_lost_operators_words_are_told_too():
    call, [asked], now = talking_operator()
    call.receive_operator_words(heard(asked.item_id, "Ten percent."), now)
    [last] = of(Transcribe, fire(call, now + LOST_S))

    actions = call.receive_operator_words(heard(last.item_id, "At four."), now + 5.3)

    assert told(actions) == [
        PERSON + "At four.",
        session_config.operator_lost(Known.ALL),
    ]


def test_what_a_lost_operator_said_stands_before_what_the_caller_answers():
    call, [asked], now = talking_operator()
    call.receive_operator_words(heard(asked.item_id, "Ten percent."), now)
    [last] = of(Transcribe, fire(call, now + 1.0))

    answer = openai.Committed(item_id="c1", previous_item_id=None)
    call.receive_openai(answer, now + 2.0)
    call.receive_operator_words(heard(last.item_id, "At four?"), now + 2.5)
    actions = fire(call, now + LOST_S)

    order = [turn.item_id for turn in call.call_record.transcript.placed()]
    assert order.index(last.item_id) < order.index("c1")
    assert told(actions) == [session_config.operator_lost(Known.ALL)]


def test_an_operator_may_take_the_call_again_while_the_words_are_awaited():
    call, _, now = talking_operator()
    call.receive_operator(HandBack(note="Ten percent."), now)

    actions = call.receive_operator(TakeOver(), now + 0.2)
    assert call.takeover.is_speaking
    assert told(actions) == ["That person notes: Ten percent."]
    assert of(twilio.OutboundMedia, call.receive_operator_audio(SILENCE, now + 0.2))
    actions = fire(call, now + WORDS_WAIT_S + 0.1)

    assert call.takeover.is_speaking
    assert not of(openai.ResponseCreate, actions)
    assert call.counters.takeovers == 2


def test_a_takeover_that_goes_on_is_told_as_one():
    """Nothing of it is missing, and it lasted from its beginning."""
    call, [asked], now = talking_operator()
    call.receive_operator_words(heard(asked.item_id, "Ten percent."), now)
    [last] = of(Transcribe, call.receive_operator(HandBack(), now))
    call.receive_operator(TakeOver(), now + 0.1)
    call.receive_operator_words(heard(last.item_id, "At four."), now + 0.2)

    actions = call.receive_operator(HandBack(), now + 0.5)

    lasted_s = now + 0.5 - 12.0
    assert told(actions) == [session_config.handed_back(lasted_s, "", Known.ALL)]


def test_a_hand_back_that_comes_twice_is_one():
    call, _, now = talking_operator()
    call.receive_operator(HandBack(note="Ten percent."), now)

    again = call.receive_operator(HandBack(note="Eleven."), now + 0.1)

    assert "[OPERATOR] the call was not taken over: nothing to hand back" in texts(
        again
    )
    [text] = told(fire(call, now + WORDS_WAIT_S))
    assert "Ten percent." in text


def test_a_call_without_its_model_ends_at_the_hand_back_without_a_wait():
    call, _, now = talking_operator()
    call.receive_openai(error("insufficient_quota"), now)

    actions = call.receive_operator(HandBack(), now)

    assert of(HangUp, actions)


def test_the_last_words_are_asked_for_when_the_call_ends_for_the_record():
    call, [asked], now = talking_operator()

    actions = call.receive_twilio(twilio.Stop(), now)

    assert call.phase is Phase.ENDED
    [last] = of(Transcribe, actions)
    call.call_record.operator_said(heard(asked.item_id, "Ten percent."), now)
    call.call_record.operator_said(heard(last.item_id, "At four."), now)
    assert said(call) == ["Ten percent.", "At four."]


def test_a_polite_end_keeps_the_operators_words():
    call, [asked], now = talking_operator()

    actions = call.receive_hangup("operator", now, politely=True)

    [last] = of(Transcribe, actions)
    call.receive_operator_words(heard(last.item_id, "At four."), now)
    assert said(call)[-1] == "At four."
    assert asked.item_id != last.item_id


def test_another_process_and_another_session_know_the_words():
    call, [asked], now = talking_operator()
    call.receive_operator_words(heard(asked.item_id, "Ten percent."), now)

    other, actions = resumed(call, now)

    assert told(actions) == [
        session_config.taken_over(),
        PERSON + "Ten percent.",
        session_config.operator_lost(Known.PART),
    ]
    assert said(other) == ["Ten percent."]
    assert not call.checkpoint(now).is_answer_due


def test_a_note_is_in_the_record_of_a_call_that_ends_before_it_is_told():
    call, _, now = talking_operator()
    call.receive_operator(HandBack(note="Ten percent."), now)
    assert NOTED not in told_turns(call)

    call.receive_twilio(twilio.Stop(), now + 0.3)

    assert told_turns(call).count(NOTED) == 1


def test_a_note_is_in_the_record_of_a_call_that_ends_for_want_of_a_model():
    call, _, now = talking_operator()
    call.receive_openai(error("insufficient_quota"), now)

    assert of(HangUp, call.receive_operator(HandBack(note="Ten percent."), now))

    assert told_turns(call).count(NOTED) == 1


def test_the_goodbye_knows_a_note_that_waited_for_words():
    call, _, now = talking_operator()
    call.receive_operator(HandBack(note="Ten percent."), now)

    actions = call.receive_hangup("operator", now + 0.3, politely=True)

    assert told(actions) == [NOTED]
    assert told_turns(call).count(NOTED) == 1
    assert of(openai.ResponseCreate, actions)


def test_another_process_tells_the_note_of_a_call_that_was_handed_back():
    call, [asked], now = talking_operator()
    call.receive_operator_words(heard(asked.item_id, "Come at four."), now)
    call.receive_operator(HandBack(note="Ten percent."), now)

    _, actions = resumed(call, now + 0.3)

    assert told(actions)[-1] == session_config.handed_back(
        now - 12.0, "Ten percent.", Known.PART
    )


def test_words_that_outlast_their_session_are_told_to_the_next_in_their_place():
    """A session was lost; the one after it is prepared before the words are known."""
    call, [asked], now = talking_operator(openai_session_seconds=20)
    ready = (
        openai.SessionCreated(session=openai.Session()),
        openai.SessionUpdated(session=session()),
    )
    call.receive_disconnect(Leg.OPENAI, "gone", now)
    for event in ready:
        call.receive_openai(event, now)
    actions, now = operator_says(call, [SILENCE] * 900, now)
    assert of(OpenStandby, actions)
    [second] = of(Transcribe, actions)
    call.receive_operator_words(heard(second.item_id, "At four."), now)
    for event in ready:
        actions = call.receive_standby(event, now)
    assert len(of(ToStandby, actions)) == 1  # what was said before the words
    call.receive_standby(openai.ItemAdded(), now)

    call.receive_operator_words(heard(asked.item_id, "Ten percent."), now)
    call.receive_operator(HandBack(), now)
    begun(call, "r2", now)
    call.receive_openai(done("r2"), now)
    actions, _ = speak(call, [SILENCE] * 50, now)

    assert of(UseStandby, actions)
    late = [one.event for one in of(ToStandby, actions)]
    assert told(late)[:2] == [PERSON + "Ten percent.", PERSON + "At four."]


def test_the_words_stand_in_no_line_of_the_log():
    call, [asked], now = talking_operator()
    actions = call.receive_operator_words(heard(asked.item_id, "Ten percent."), now)
    actions += call.receive_operator(HandBack(), now)

    assert not any("Ten" in line for line in texts(actions))
