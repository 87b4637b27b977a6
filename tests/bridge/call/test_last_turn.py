"""What the caller said last is in the record, with its words if they come in time."""

import pytest

from bridge.call.last_turn import ITEM_ID
from bridge.call.plan import HangUp, Leg, Log, Phase
from bridge.realtime import openai
from bridge.records.summary import outcome_of
from bridge.telephony import twilio
from tests.bridge import builders, loopback, ws_peer
from tests.bridge.builders import SILENCE, answered_call, appended, clip, of, speak
from tests.bridge.line.test_driver import talking

VOICE = clip("human-en-reader-1")[20:70]
WRITTEN = (
    b'{"type":"conversation.item.input_audio_transcription.completed","item_id":"u",'
    b'"transcript":"Bye then."}'
)


def left(call, frames=VOICE, now=0.0):
    """The caller says something and hangs up in it; the last actions and the time."""
    _, now = speak(call, [SILENCE] * 50 + frames, now)
    return call.receive_twilio(twilio.Stop(), now), now


def said(text, item_id="u"):
    return openai.TranscriptionCompleted(item_id=item_id, transcript=text)


def turns_of(call, now=100.0):
    return [(turn.role, turn.item_id, turn.text) for turn in call.record(now).turns]


def test_an_open_turn_is_committed_and_its_words_are_waited_for():
    call = answered_call()
    actions, now = left(call)
    assert of(openai.CommitAudio, actions)
    assert of(HangUp, actions) == [HangUp("caller_hung_up", failed=False)]
    assert turns_of(call) == [("caller", ITEM_ID, "")]
    assert call.awaits_words

    assert call.receive_openai(openai.Committed(item_id="u"), now + 0.1) == []
    (line,) = call.receive_openai(said("Bye then."), now + 0.5)
    assert line == Log("info", "[REALTIME] Caller said: Bye then.", speech=True)
    assert turns_of(call) == [("caller", "u", "Bye then.")]
    assert not call.awaits_words
    assert call.deadline is None


def test_words_after_a_turn_whose_end_is_told_late_are_waited_for():
    call = answered_call()
    _, now = left(call)
    call.receive_openai(openai.SpeechStopped(item_id="u", audio_end_ms=900), now)
    call.receive_openai(openai.Committed(item_id="u"), now)
    call.receive_openai(said("Yes."), now)
    assert call.awaits_words

    call.receive_openai(openai.Committed(item_id="v", previous_item_id="u"), now)
    call.receive_openai(said("Bye then.", "v"), now)
    assert turns_of(call) == [("caller", "u", "Yes."), ("caller", "v", "Bye then.")]
    assert not call.awaits_words


def test_a_turn_whose_words_are_on_their_way_is_waited_for():
    call = answered_call()
    call.receive_openai(openai.Committed(item_id="u"), 1.0)
    actions = call.receive_twilio(twilio.Stop(), 1.2)
    assert not of(openai.CommitAudio, actions)
    assert call.awaits_words
    call.receive_openai(said("Bye then."), 1.5)

    assert turns_of(call) == [("caller", "u", "Bye then.")]
    assert not call.awaits_words


def test_words_over_the_ais_voice_are_given_and_committed():
    call = builders.talking_ai(now=4.0)
    _, now = speak(call, VOICE[:12], 4.0)
    assert call.playout.is_playing(now)
    actions = call.receive_disconnect(Leg.TWILIO, "1006", now)

    assert set(appended(actions)) & set(VOICE)
    assert of(openai.CommitAudio, actions)
    assert of(openai.ResponseCancel, actions)  # nobody hears it any more
    assert turns_of(call)[-1][:2] == ("caller", ITEM_ID)


def test_a_caller_who_has_said_nothing_new_keeps_no_session():
    call = answered_call()
    call.receive_openai(openai.Committed(item_id="u"), 1.0)
    call.receive_openai(said("Bye then."), 1.1)
    actions = call.receive_twilio(twilio.Stop(), 1.2)

    assert not of(openai.CommitAudio, actions)
    assert not call.awaits_words


def test_words_that_were_never_written_are_not_waited_for_again():
    call = answered_call()
    call.receive_openai(openai.Committed(item_id="u"), 1.0)
    call.receive_twilio(twilio.Stop(), 30.0)

    assert not call.awaits_words
    assert turns_of(call) == [("caller", "u", "")]


@pytest.mark.parametrize(
    "event",
    [
        openai.TranscriptionFailed(item_id="u"),
        builders.error("input_audio_buffer_commit_empty"),
        None,
    ],
)
def test_what_cannot_be_written_stands_as_spoken(event):
    call = answered_call()
    _, now = left(call)
    if type(event) is openai.TranscriptionFailed:
        call.receive_openai(openai.Committed(item_id="u"), now)
    if event is None:
        call.receive_disconnect(Leg.OPENAI, "1006", now)
    else:
        call.receive_openai(event, now)

    assert not call.awaits_words
    assert [(role, text) for role, _, text in turns_of(call)] == [("caller", "")]
    assert outcome_of(call.record(now)) == "talked"


def test_without_a_session_the_turn_stands_as_spoken():
    call = answered_call()
    _, now = speak(call, [SILENCE] * 50 + VOICE, 0.0)
    call.receive_disconnect(Leg.OPENAI, "1006", now)
    actions = call.receive_twilio(twilio.Stop(), now)

    assert not of(openai.CommitAudio, actions)
    assert not call.awaits_words
    assert turns_of(call) == [("caller", ITEM_ID, "")]


def test_keys_pressed_last_are_in_the_record():
    call = answered_call()
    for at, digit in enumerate("78"):
        call.receive_twilio(builders.dtmf(digit), 1.0 + at / 10)
    call.receive_twilio(twilio.Stop(), 1.5)

    assert turns_of(call) == [("keypad", "keypad-1", "7 8")]
    assert not call.awaits_words


def test_a_process_that_must_stop_waits_for_no_words():
    call = answered_call()
    _, now = speak(call, [SILENCE] * 50 + VOICE, 0.0)
    call.receive_hangup("shutdown", now)

    assert not call.awaits_words
    assert turns_of(call) == [("caller", ITEM_ID, "")]


def test_a_process_that_must_stop_gives_no_words_that_were_withheld():
    call = builders.talking_ai(now=4.0)
    _, now = speak(call, VOICE[:12], 4.0)
    assert call.uplink.has_withheld_speech
    actions = call.receive_hangup("shutdown", now)

    assert appended(actions) == []


def test_a_knock_at_the_end_is_no_turn():
    call = answered_call(turn_detection="gate")
    _, now = speak(call, [SILENCE] * 50 + VOICE[:3], 0.0)
    assert call.uplink.is_turn_open
    actions = call.receive_twilio(twilio.Stop(), now)

    assert of(openai.CommitAudio, actions) == []
    assert turns_of(call) == []


def test_the_model_says_and_does_nothing_more():
    call = answered_call()
    _, now = left(call)
    late = [
        builders.created(),
        builders.audio_delta("i", 1_000),
        builders.tool_item(),
        builders.done(usage={"output_tokens": 7}),
    ]
    assert [call.receive_openai(one, now) for one in late] == [[]] * 4

    assert call.phase is Phase.ENDED
    assert call.record(now).usage == {"output_tokens": 7}
    assert call.counters.after_end == 0


@loopback.told
async def test_the_session_is_kept_until_the_words_have_come(place):
    peer, model = await talking(place)
    line = place.line
    line.call.receive_openai(openai.Committed(item_id="u"), line.call.now)
    line.receive(line.call.receive_hangup, "tested")
    assert place.over == [line]
    assert line.open_sessions == 1
    assert len(line.unfinished) == 1
    await loopback.expect(peer, ws_peer.CLOSE)

    model.send_text(WRITTEN)
    await loopback.expect(model, ws_peer.CLOSE)
    await ws_peer.until(lambda: not line.unfinished)
    assert line.record().turns[-1].text == "Bye then."
    assert line.record().ended_at_s == line.over_at
    await model.close()
    await peer.close()


@loopback.told
async def test_the_session_is_not_kept_for_ever(place, monkeypatch):
    monkeypatch.setattr("bridge.line.driver.WORDS_WAIT_S", 0.01)
    peer, model = await talking(place)
    line = place.line
    line.call.receive_openai(openai.Committed(item_id="u"), line.call.now)
    line.receive(line.call.receive_hangup, "tested")

    await loopback.expect(model, ws_peer.CLOSE)
    await ws_peer.until(lambda: not line.unfinished)
    assert [turn.text for turn in line.record().turns if turn.role == "caller"] == [""]
    await model.close()
    await peer.close()


def test_a_turn_over_the_goodbye_outlives_a_lost_session():
    call = answered_call()
    call.receive_hangup("limit", 0.0, politely=True)
    _, now = speak(call, [SILENCE] * 50 + VOICE, 0.0)
    assert call.phase is Phase.ENDING
    call.receive_disconnect(Leg.OPENAI, "gone", now)

    assert turns_of(call) == [("caller", ITEM_ID, "")]
