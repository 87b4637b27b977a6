"""The next session is made ready beside the old one, and takes its place in a pause."""

import pytest

from bridge.call import session_rollover, standby_session
from bridge.call.plan import (
    CloseStandby,
    HangUp,
    Leg,
    OpenModel,
    OpenStandby,
    ToStandby,
    UseStandby,
)
from bridge.realtime import openai
from tests.bridge import builders
from tests.bridge.builders import (
    SILENCE,
    answered_call,
    audio_delta,
    audio_done,
    clip,
    created,
    done,
    fire,
    of,
    speak,
    texts,
)

AGE_S = 60
DUE = AGE_S * standby_session.RENEW_AT
QUIET = [SILENCE[:-1] + b"\x7e"]
VOICE = clip("human-en-reader-1")[20:]


def old_call(**options):
    """A call whose session is about to grow old."""
    call = answered_call(
        openai_session_seconds=AGE_S, idle_prompt_ms=600_000, **options
    )
    fire(call, DUE - 1.0)
    return call


def said(call, item_id, text, now, response_id="r1"):
    """Let the model speak half a second."""
    call.receive_openai(created(response_id), now)
    call.receive_openai(audio_delta(item_id, 500, response_id), now)
    call.receive_openai(audio_done(item_id, response_id), now)
    call.receive_openai(
        openai.TranscriptDone(
            response_id=response_id, item_id=item_id, transcript=text
        ),
        now,
    )
    return call.receive_openai(done(response_id), now)


def heard(call, item_id, text, now):
    """Let the caller's words be known; in `gate` mode nobody answers by itself."""
    call.receive_openai(openai.Committed(item_id=item_id), now)
    call.receive_openai(
        openai.TranscriptionCompleted(item_id=item_id, transcript=text), now
    )


def configured(call, now, kind="audio/pcmu"):
    """Bring the standby session to `session.updated`; return what it is told."""
    actions = call.receive_standby(openai.SessionCreated(session=openai.Session()), now)
    (asked,) = of(ToStandby, actions)
    assert isinstance(asked.event, openai.SessionUpdate)
    return call.receive_standby(
        openai.SessionUpdated(session=builders.session(kind=kind)), now
    )


def confirmed(call, now, items):
    """Let the standby session confirm so many items."""
    actions = []
    for _ in range(items):
        actions += call.receive_standby(openai.ItemAdded(), now)
    return actions


def words(actions):
    """The words of the items a standby session is told."""
    return [
        one.event.item.content[0].text
        for one in of(ToStandby, actions)
        if isinstance(one.event, openai.CreateItem)
    ]


def test_the_next_session_is_opened_beside_the_old_one_and_takes_its_place():
    call = old_call(turn_detection="gate")
    said(call, "i1", "Hello.", DUE - 1.0)
    assert of(OpenStandby, fire(call, DUE + 0.1)) == [
        OpenStandby("the session grows old")
    ]
    actions = configured(call, DUE + 0.3)
    assert words(actions) == ["Hello."]
    assert of(UseStandby, actions + fire(call, DUE + 0.5)) == []

    confirmed(call, DUE + 0.6, 1)
    actions = fire(call, DUE + 0.6)
    assert of(UseStandby, actions) == [UseStandby("the session grows old")]
    assert texts(actions) == [
        "[REALTIME] Session changed: the session grows old, items=0 at the last"
    ]
    assert call.counters.changed_sessions == 1
    assert call.is_session_ready


def test_words_of_a_cut_reply_that_come_late_are_told_in_their_place():
    call = old_call(turn_detection="gate")
    call.receive_openai(created(), DUE - 0.9)
    item = openai.Item(id="i1", type="message")
    added = openai.OutputItemAdded(response_id="r1", item=item)
    call.receive_openai(added, DUE - 0.9)
    call.receive_openai(audio_delta("i1", 800), DUE - 0.9)
    fire(call, DUE - 0.5)
    call.receive_twilio(builders.dtmf("1"), DUE - 0.5)
    fire(call, DUE + 2.5)  # the key is told, and the standby session opened
    assert words(configured(call, DUE + 2.6)) == []

    late = openai.TranscriptDone(
        response_id="r1", item_id="i1", transcript="At nine or at ten?"
    )
    call.receive_openai(late, DUE + 2.7)
    call.receive_openai(done("r1", "cancelled"), DUE + 2.8)
    said(call, "i2", "Nine it is.", DUE + 2.9, "r2")
    actions = fire(call, DUE + 4.5)

    assert of(UseStandby, actions)
    assert words(actions) == ["At nine", "Keypad: 1", "Nine it is."]


def test_what_was_said_meanwhile_is_told_before_the_change():
    call = old_call(turn_detection="gate")
    said(call, "i1", "Hello.", DUE - 1.0)
    fire(call, DUE)
    configured(call, DUE + 0.1)
    heard(call, "u1", "Tuesday?", DUE + 0.2)
    builders.begun(call, "r2", DUE + 0.2)
    confirmed(call, DUE + 0.3, 1)
    assert of(UseStandby, fire(call, DUE + 0.4)) == []
    call.receive_openai(done("r2"), DUE + 0.5)

    actions = fire(call, DUE + 0.7)
    assert words(actions) == ["Tuesday?"]
    assert [type(one) for one in actions][:2] == [ToStandby, UseStandby]


def test_what_may_still_change_is_not_told_until_it_is_settled():
    call = old_call(turn_detection="gate")
    fire(call, DUE)
    said(call, "i1", "On Tuesday I have nine and ten o'clock.", DUE + 0.1)
    call.receive_openai(openai.Committed(item_id="u1"), DUE + 0.1)

    assert words(configured(call, DUE + 0.2)) == []
    heard(call, "u1", "Nine.", DUE + 0.3)
    assert words(fire(call, DUE + 2.0)) == [
        "On Tuesday I have nine and ten o'clock.",
        "Nine.",
    ]


def test_a_turn_whose_words_are_still_to_come_is_waited_for_but_not_for_ever():
    for wait_s, is_changed in ((4.9, False), (5.2, True)):
        call = old_call(turn_detection="gate")
        call.receive_openai(openai.Committed(item_id="u1"), DUE)
        fire(call, DUE)
        configured(call, DUE)
        assert bool(of(UseStandby, fire(call, DUE + wait_s))) is is_changed

    call = old_call(turn_detection="gate")
    call.receive_openai(openai.Committed(item_id="u1"), DUE)
    call.receive_openai(openai.TranscriptionFailed(item_id="u1"), DUE)
    fire(call, DUE)
    configured(call, DUE)
    assert of(UseStandby, fire(call, DUE + 0.1))


def speech_started(call, now):
    call.receive_openai(openai.SpeechStarted(item_id="u", audio_start_ms=0), now)


def spoken_and_stopped(call, now):
    speech_started(call, now)
    call.receive_openai(openai.SpeechStopped(item_id="u", audio_end_ms=0), now)


def tool_asked(call, now):
    call.receive_openai(created(), now)
    call.receive_openai(builders.tool_item(), now)
    call.receive_openai(done(), now)


def answer_failed(call, now):
    call.receive_openai(created(), now)
    call.receive_openai(done(status="failed"), now)


def answer_playing(call, now):
    """All of an answer is sent, and the caller still hears its last part."""
    call.receive_openai(created(), now)
    call.receive_openai(audio_delta("i1", 300), now)
    call.receive_openai(audio_done("i1"), now)
    call.receive_openai(done(), now)


@pytest.mark.parametrize(
    "busy",
    [
        speech_started,
        spoken_and_stopped,
        tool_asked,
        answer_failed,
        answer_playing,
        lambda call, now: call.receive_openai(created(), now),
        lambda call, now: call.receive_openai(openai.Committed(item_id="u"), now),
        lambda call, now: call.receive_twilio(builders.dtmf("4"), now),
        lambda call, now: speak(call, QUIET * 60 + VOICE[:30], now),
    ],
)
def test_nothing_is_changed_while_anything_is_due(busy):
    call = old_call()
    fire(call, DUE)
    busy(call, DUE)
    now = call.now
    assert of(UseStandby, configured(call, now) + fire(call, now + 0.2)) == []
    assert call.sessions.standby.is_ready


def test_a_turn_that_the_server_never_ends_does_not_keep_the_old_session_for_ever():
    call = old_call()
    fire(call, DUE)
    speech_started(call, DUE)
    configured(call, DUE)
    quiet = session_rollover.COMMIT_WAIT_MS // 20
    actions, now = speak(call, QUIET * (quiet - 10), DUE)
    assert not of(UseStandby, actions)

    assert of(UseStandby, speak(call, QUIET * 20, now)[0])


def test_what_the_caller_says_goes_on_from_the_very_next_frame():
    call = old_call(turn_detection="gate")
    _, now = speak(call, QUIET * 30, call.now)
    fire(call, DUE)
    actions, now = speak(call, QUIET * 10 + VOICE[:4], DUE)
    configured(call, now)
    actions, now = speak(call, VOICE[4:40], now)

    given = builders.appended(actions)
    assert given[-20:] == VOICE[20:40]
    assert of(UseStandby, actions) == [] or actions.index(
        of(UseStandby, actions)[0]
    ) < actions.index(of(openai.AppendAudio, actions)[0])


def fails_late(call, now):
    return fire(call, DUE + standby_session.READY_S)


def fails_lost(call, now):
    return call.receive_disconnect(Leg.STANDBY, "HTTP 503", now)


def fails_refused(call, now):
    call.receive_standby(openai.SessionCreated(session=openai.Session()), now)
    return call.receive_standby(builders.error("unknown_parameter"), now)


def fails_format(call, now):
    return configured(call, now, kind="audio/pcm")


def fails_malformed(call, now):
    return call.receive_malformed(Leg.STANDBY, "malformed event from OpenAI", now)


@pytest.mark.parametrize(
    "fail", [fails_late, fails_lost, fails_refused, fails_format, fails_malformed]
)
def test_a_standby_session_that_cannot_be_had_leaves_the_old_session_alone(fail):
    call = old_call()
    fire(call, DUE)
    actions = fail(call, DUE + 0.1)
    now = call.now

    assert len(of(CloseStandby, actions)) == 1
    assert of(OpenModel, actions) == of(HangUp, actions) == []
    assert any("No second session" in text for text in texts(actions))
    assert call.counters.failed_standbys == 1
    assert call.counters.malformed_openai == 0
    assert call.is_session_ready
    assert of(OpenStandby, fire(call, now + standby_session.AGAIN_S - 0.1)) == []
    assert len(of(OpenStandby, fire(call, now + standby_session.AGAIN_S + 0.1))) == 1


def test_after_so_many_tries_the_session_serves_to_its_end():
    call = old_call()
    now = DUE
    for _ in range(standby_session.TRIES_MAX):
        assert len(of(OpenStandby, fire(call, now))) == 1
        actions = call.receive_disconnect(Leg.STANDBY, "HTTP 503", now)
        now += standby_session.AGAIN_S
    assert "HTTP 503: this one serves to its end" in texts(actions)[-1]
    assert of(OpenStandby, fire(call, now + 100)) == []

    actions = call.receive_openai(builders.error("session_expired"), now + 100)
    assert of(OpenModel, actions) == [OpenModel("session_expired")]


def test_harmless_errors_and_late_events_of_a_standby_session_change_nothing():
    call = old_call()
    fire(call, DUE)
    assert call.receive_standby(builders.error("response_cancel_not_active"), DUE) == []
    configured(call, DUE)
    assert (
        call.receive_standby(openai.SessionUpdated(session=builders.session()), DUE)
        == []
    )
    call.receive_disconnect(Leg.STANDBY, "1006", DUE + 0.1)
    assert call.receive_standby(openai.ItemAdded(), DUE + 0.2) == []
    assert call.receive_disconnect(Leg.STANDBY, "1006", DUE + 0.2) == []
    assert call.counters.failed_standbys == 1


def test_a_session_that_is_lost_has_its_successor_at_once():
    call = old_call()
    fire(call, DUE)
    call.receive_openai(created(), DUE + 0.1)
    call.receive_openai(audio_delta("i1", 2_000), DUE + 0.1)
    configured(call, DUE + 0.2)
    assert call.sessions.standby.is_ready
    actions = call.receive_disconnect(Leg.OPENAI, "1006", DUE + 0.3)

    assert of(UseStandby, actions) == [UseStandby("1006")]
    assert of(OpenModel, actions) == []
    # The answer that was cut off is asked for again, of the session that serves now.
    assert len(of(openai.ResponseCreate, actions)) == 1
    assert call.is_session_ready


def test_a_session_that_is_lost_before_the_next_is_ready_is_opened_again():
    call = old_call()
    fire(call, DUE)
    actions = call.receive_disconnect(Leg.OPENAI, "1006", DUE + 0.1)

    kinds = [type(one) for one in actions if type(one) in (CloseStandby, OpenModel)]
    assert kinds == [CloseStandby, OpenModel]
    call.receive_openai(openai.SessionCreated(session=openai.Session()), DUE + 0.2)
    call.receive_openai(openai.SessionUpdated(session=builders.session()), DUE + 0.3)
    assert call.sessions.standby.tries == 0
    assert of(OpenStandby, fire(call, DUE + 0.3 + DUE - 0.1)) == []
    assert len(of(OpenStandby, fire(call, DUE + 0.3 + DUE))) == 1


def test_the_new_sessions_age_counts_from_when_it_was_configured():
    call = old_call()
    fire(call, DUE)
    configured(call, DUE + 0.5)
    fire(call, DUE + 0.5)
    assert call.counters.changed_sessions == 1

    assert of(OpenStandby, fire(call, 2 * DUE + 0.4)) == []
    assert len(of(OpenStandby, fire(call, 2 * DUE + 0.5))) == 1


def test_a_call_that_ends_does_without():
    call = old_call()
    fire(call, DUE)
    actions = call.receive_hangup("drain", DUE + 0.1, politely=True)

    assert len(of(CloseStandby, actions)) == 1
    assert (
        of(
            ToStandby,
            call.receive_standby(
                openai.SessionCreated(session=openai.Session()), DUE + 0.2
            ),
        )
        == []
    )
    assert of(HangUp, call.receive_disconnect(Leg.STANDBY, "1006", DUE + 0.3)) == []


def test_no_session_is_prepared_before_the_caller_is_there():
    call = builders.Call(builders.plan(openai_session_seconds=20), 0.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.0)
    call.receive_openai(openai.SessionUpdated(session=builders.session()), 0.0)
    assert of(OpenStandby, fire(call, 19.0)) == []

    call.receive_twilio(builders.start(), 19.0)
    assert len(of(OpenStandby, fire(call, 19.2))) == 1
