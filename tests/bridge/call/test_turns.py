"""Turns that the bridge ends: each that the gate hears is answered, and once."""

import pytest
from msgspec import UNSET

from bridge.call import limits
from bridge.call.plan import Leg, OpenModel, Phase
from bridge.media import turn_end
from bridge.realtime import openai
from tests.bridge import builders
from tests.bridge.builders import (
    SILENCE,
    answered_call,
    appended,
    clip,
    created,
    done,
    error,
    of,
    session,
    speak,
    texts,
)

QUIET = [SILENCE]
VOICE = clip("human-en-reader-1")[20:70]
VAD_MODES = ("server_vad", "semantic_vad")
REFUSED = "input_audio_buffer_commit_empty"


def said(call, quiet_frames=100, now=0.0):
    """The caller says something, and is quiet; the actions and the time."""
    actions, now = speak(call, QUIET * 50 + VOICE, now)
    more, now = speak(call, QUIET * quiet_frames, now)
    return actions + more, now


@pytest.mark.parametrize("mode", VAD_MODES)
def test_a_turn_that_the_server_does_not_hear_is_committed_and_answered(mode):
    call = answered_call(turn_detection=mode, turn_silence_ms=500)
    actions, now = said(call, quiet_frames=70)
    assert not of(openai.CommitAudio, actions)
    actions, now = speak(call, QUIET * 20, now)

    assert len(of(openai.CommitAudio, actions)) == 1
    assert not of(openai.ResponseCreate, actions)  # there may be nothing to answer
    asked = call.receive_openai(openai.Committed(item_id="u"), now + 0.1)
    assert [one.response for one in of(openai.ResponseCreate, asked)] == [UNSET]
    actions, _ = speak(call, QUIET * 200, now + 0.1)
    assert not of(openai.CommitAudio, actions)
    assert not of(openai.ResponseCreate, actions)


def test_a_turn_whose_end_the_server_does_not_hear_is_committed_at_last():
    call = answered_call()
    _, now = speak(call, QUIET * 50 + VOICE, 0.0)
    call.receive_openai(openai.SpeechStarted(item_id="u", audio_start_ms=0), now)
    actions, now = speak(call, QUIET * 490, now)
    assert not of(openai.CommitAudio, actions)

    assert len(of(openai.CommitAudio, speak(call, QUIET * 30, now)[0])) == 1


def test_a_turn_that_the_server_ends_in_time_is_left_to_it():
    call = answered_call()
    _, now = speak(call, QUIET * 50 + VOICE, 0.0)
    call.receive_openai(openai.SpeechStarted(item_id="u", audio_start_ms=0), now)
    end_ms = call.uplink.appended_ms
    _, now = speak(call, QUIET * 30, now)
    call.receive_openai(openai.SpeechStopped(item_id="u", audio_end_ms=end_ms), now)
    call.receive_openai(openai.Committed(item_id="u"), now)
    call.receive_openai(created(), now)
    call.receive_openai(done(), now)

    assert not of(openai.CommitAudio, speak(call, QUIET * 200, now)[0])


def test_a_server_that_hears_late_answers_once():
    """It has ended the turn by itself when the commit arrives, and refuses that."""
    call = answered_call()
    actions, now = said(call)
    assert of(openai.CommitAudio, actions)
    asked = call.receive_openai(openai.Committed(item_id="u"), now)
    (request,) = of(openai.ResponseCreate, asked)
    call.receive_openai(builders.error(REFUSED), now)
    builders.begun(call, "r1", now)
    code = "conversation_already_has_active_response"
    call.receive_openai(builders.error(code, request.event_id), now)

    assert not of(openai.ResponseCreate, call.receive_openai(done(), now + 1.0))


def test_a_commit_that_is_refused_asks_for_nothing():
    call = answered_call()
    _, now = said(call)
    call.receive_openai(builders.error(REFUSED), now)

    actions, _ = speak(call, QUIET * 200, now)
    assert not of(openai.ResponseCreate, actions)
    assert not call.untranscribed.is_asked


def test_a_turn_committed_while_the_ai_speaks_is_answered_after_it():
    call = answered_call()
    _, now = said(call)
    call.receive_openai(created(), now)
    asked = call.receive_openai(openai.Committed(item_id="u"), now)
    assert not of(openai.ResponseCreate, asked)
    call.receive_openai(done(), now + 0.1)

    assert len(of(openai.ResponseCreate, builders.fire(call, now + 1.0))) == 1


def test_a_knock_is_no_turn():
    call = answered_call()
    call.uplink.is_turn_open = True
    actions, _ = speak(call, QUIET * 200, 0.0)

    assert not of(openai.CommitAudio, actions)
    assert call.uplink.unended_turns == 1


def test_a_goodbye_is_not_answered():
    call = answered_call()
    _, now = speak(call, QUIET * 50 + VOICE, 0.0)
    call.receive_hangup("silence", now, politely=True)
    assert call.phase is Phase.ENDING
    actions, now = speak(call, QUIET * 90, now)
    assert of(openai.CommitAudio, actions)

    asked = call.receive_openai(openai.Committed(item_id="u"), now)
    assert not of(openai.ResponseCreate, asked)


def test_in_gate_mode_the_bridge_asks_after_the_turns_silence():
    call = answered_call(turn_detection="gate", turn_silence_ms=500)
    actions, _ = said(call, quiet_frames=31)

    assert len(of(openai.CommitAudio, actions)) == 1
    assert len(of(openai.ResponseCreate, actions)) == 1


def test_in_gate_mode_a_turn_too_short_for_speech_is_cleared():
    call = answered_call(turn_detection="gate")
    _, now = speak(call, QUIET * 50, 0.0)
    actions, _ = speak(call, VOICE[:3] + QUIET * 100, now)

    assert appended(actions)
    assert len(of(openai.ClearAudio, actions)) == 1
    assert not of(openai.CommitAudio, actions)


def test_in_gate_mode_a_turn_without_a_pause_ends_at_the_limit(monkeypatch):
    monkeypatch.setattr(turn_end, "TURN_FRAMES_MAX", 30)
    call = answered_call(turn_detection="gate")
    _, now = speak(call, QUIET * 50, 0.0)
    actions, now = speak(call, VOICE, now)
    assert len(of(openai.CommitAudio, actions)) == 1
    assert len(of(openai.ResponseCreate, actions)) == 1

    begun = appended(actions)
    assert (
        begun == (QUIET * 50 + VOICE)[-len(begun) :]
    )  # the next turn leaves nothing out
    assert "over the limit of turn_seconds" in "".join(texts(list(limits.lines(call))))


@pytest.mark.parametrize("mode", [*VAD_MODES, "gate"])
def test_a_session_that_says_nothing_of_a_turn_is_left_for_another(mode):
    call = answered_call(turn_detection=mode)
    actions, now = said(call, quiet_frames=350)
    given = appended(actions)

    assert [one.reason for one in of(OpenModel, actions)] == ["no sign of it for 5 s"]
    call.receive_openai(openai.SessionCreated(), now)
    again = appended(call.receive_openai(openai.SessionUpdated(session=session()), now))
    assert again == given[: len(again)]
    assert set(VOICE) <= set(again)


def test_any_event_of_a_session_is_a_sign_of_it():
    call = answered_call()
    actions, now = said(call, quiet_frames=70)
    actions, now = speak(call, QUIET * 20, now)
    assert of(openai.CommitAudio, actions)
    call.receive_openai(error("refused_in_other_words"), now)

    assert not of(OpenModel, speak(call, QUIET * 300, now)[0])


def test_the_caller_who_speaks_on_does_not_put_the_end_of_a_mute_session_off():
    call = answered_call()
    actions, now = said(call, quiet_frames=100)
    assert of(openai.CommitAudio, actions)

    assert of(OpenModel, said(call, quiet_frames=160, now=now)[0])


def test_a_goodbye_is_not_cut_short_by_a_session_that_confirms_no_turn():
    call = answered_call()
    call.receive_hangup("drain", 0.0, politely=True)
    actions, _ = said(call, quiet_frames=400)

    assert of(openai.CommitAudio, actions)
    assert call.phase is Phase.ENDING


def test_a_turn_that_the_server_ended_and_never_confirmed_is_given_to_the_next():
    call = answered_call()
    actions, now = speak(call, QUIET * 50 + VOICE + QUIET * 40, 0.0)
    given = appended(actions)
    heard_ms = 20 * len(given)
    call.receive_openai(openai.SpeechStarted(item_id="u", audio_start_ms=0), now)
    call.receive_openai(openai.SpeechStopped(item_id="u", audio_end_ms=heard_ms), now)
    call.receive_disconnect(Leg.OPENAI, "closed with 1006", now)
    call.receive_openai(openai.SessionCreated(), now)

    assert (
        appended(call.receive_openai(openai.SessionUpdated(session=session()), now))
        == given
    )
