"""A call outlives the loss of its session; its old age: `test_standby_session.py`."""

import pytest

from bridge.call.greeting import GREETING_WAIT_S
from bridge.call.history_seed import ENTRIES_MAX
from bridge.call.plan import HangUp, Leg, OpenModel, Phase, ToolResult
from bridge.call.sessions import LOSSES_MAX, REOPEN_S
from bridge.realtime import openai
from bridge.telephony import twilio
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

QUIET = [SILENCE[:-1] + b"\x7e"]
VOICE = clip("human-en-reader-1")[20:]


def lose(call, now, reason="1006"):
    return call.receive_disconnect(Leg.OPENAI, reason, now)


def ready(call, now):
    """Let the new session be opened and confirmed."""
    actions = call.receive_openai(openai.SessionCreated(session=openai.Session()), now)
    assert len(of(openai.SessionUpdate, actions)) == 1
    return call.receive_openai(openai.SessionUpdated(session=builders.session()), now)


def items(actions):
    """The items a session is told, in short."""
    told = []
    for one in of(openai.CreateItem, actions):
        item = one.item
        if isinstance(item, openai.MessageItem):
            told.append((item.role, item.content[0].text))
        else:
            told.append((type(item).__name__, item.call_id))
    return told


def told_call():
    """A call with a conversation behind it."""
    call = answered_call(greeting="Hello.")
    call.receive_openai(created(), 1.0)
    call.receive_openai(audio_delta("i1", 500), 1.0)
    call.receive_openai(audio_done("i1"), 1.0)
    call.receive_openai(
        openai.TranscriptDone(response_id="r1", item_id="i1", transcript="Hello."), 1.0
    )
    call.receive_openai(done(), 1.1)
    fire(call, 2.0)
    call.receive_openai(openai.Committed(item_id="u1"), 3.0)
    call.receive_openai(
        openai.TranscriptionCompleted(item_id="u1", transcript="Tuesday?"), 3.1
    )
    call.receive_openai(created("r2"), 3.1)
    return call


def run_tool(call, now):
    call.receive_openai(
        openai.OutputItemDone(
            response_id="r2",
            item=openai.Item(
                id="f1",
                type="function_call",
                name="leads_upsert",
                call_id="t1",
                arguments="{}",
            ),
        ),
        now,
    )


def result():
    return ToolResult(
        tool_call_id="t1",
        name="leads_upsert",
        arguments="{}",
        output='{"ok":true}',
        ok=True,
        duration_ms=3.0,
    )


def test_the_new_session_knows_the_conversation_and_speaks_only_when_it_must():
    call = told_call()
    run_tool(call, 3.2)
    call.receive_tool_result(result(), 3.3)
    call.receive_openai(done("r2"), 3.4)
    builders.begun(call, "r3", 3.5)
    call.receive_openai(done("r3"), 3.6)
    assert of(OpenModel, lose(call, 4.0)) == [OpenModel("1006")]
    actions = ready(call, 4.5)

    assert items(actions) == [
        ("assistant", "Hello."),
        ("user", "Tuesday?"),
        ("FunctionCall", "t1"),
        ("FunctionCallOutput", "t1"),
    ]
    assert of(openai.ResponseCreate, actions) == []
    assert "[REALTIME] Session renewed: items=4" in texts(actions)


def test_an_answer_that_was_cut_off_is_asked_for_again():
    call = told_call()
    lose(call, 3.5)

    assert len(of(openai.ResponseCreate, ready(call, 4.0))) == 1


def test_a_second_try_that_was_due_is_made_in_the_new_session():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(done(status="failed"), 1.1)
    call.receive_disconnect(Leg.OPENAI, "1006", 1.2)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 1.5)
    actions = call.receive_openai(
        openai.SessionUpdated(session=builders.session()), 1.6
    )

    assert len(of(openai.ResponseCreate, actions + fire(call, 5.0))) == 1


def test_a_turn_nobody_answered_is_answered_by_the_new_session():
    call = answered_call()
    call.receive_openai(openai.Committed(item_id="u1"), 1.0)
    lose(call, 1.1)

    assert len(of(openai.ResponseCreate, ready(call, 1.5))) == 1
    assert of(openai.ResponseCreate, fire(call, 3.0)) == []


def test_a_tool_of_the_old_session_is_answered_in_the_new_one():
    call = told_call()
    run_tool(call, 3.2)
    call.receive_openai(done("r2"), 3.3)
    lose(call, 3.4)
    assert of(openai.ResponseCreate, ready(call, 3.9)) == []
    actions = call.receive_tool_result(result(), 5.0)

    assert items(actions) == [("FunctionCall", "t1"), ("FunctionCallOutput", "t1")]
    assert len(of(openai.ResponseCreate, actions)) == 1


def test_a_tool_that_answers_meanwhile_is_told_once_and_answered_once():
    call = told_call()
    run_tool(call, 3.2)
    lose(call, 3.4)
    assert call.receive_tool_result(result(), 3.5) == []
    actions = ready(call, 4.0)
    assert items(actions)[-2:] == [("FunctionCall", "t1"), ("FunctionCallOutput", "t1")]
    assert len(of(openai.ResponseCreate, actions)) == 1

    builders.begun(call, "r9", 4.1)
    assert of(openai.ResponseCreate, call.receive_openai(done("r9"), 4.2)) == []


def test_what_the_caller_says_meanwhile_reaches_the_new_session_whole():
    call = answered_call()
    _, now = speak(call, QUIET * 60, 0.0)
    lose(call, now)
    actions, now = speak(call, VOICE[:25], now)
    assert of(openai.AppendAudio, actions) == []
    ready(call, now)
    actions, now = speak(call, VOICE[25:40], now)

    given = [one.audio for one in of(openai.AppendAudio, actions)]
    assert given[-25:] == VOICE[15:40]


def test_audio_the_caller_has_yet_to_hear_plays_on():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(audio_delta("i1", 1_010), 1.0)
    lose(call, 1.1)
    fire(call, 3.0)

    assert call.playout.frames_sent == 51
    assert not call.playout.has_unsent


def test_a_greeting_that_was_not_heard_is_spoken_by_the_new_session():
    call = answered_call(greeting="Hello.")
    lose(call, 0.5)
    (request,) = of(openai.ResponseCreate, ready(call, 1.0))

    assert request.response.instructions.endswith("Hello.")


def test_a_greeting_lost_before_the_caller_is_there_is_said_again_from_its_beginning():
    call = builders.Call(builders.plan("Hello."), 0.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.1)
    call.receive_openai(openai.SessionUpdated(session=builders.session()), 0.2)
    call.receive_openai(created(), 0.2)
    call.receive_openai(audio_delta("i1", 500), 0.3)
    lose(call, 0.3)
    assert call.receive_twilio(builders.start(), 0.5) == []

    (request,) = of(openai.ResponseCreate, ready(call, 0.8))
    assert request.response.instructions.endswith("Hello.")
    call.receive_openai(created("r2"), 0.9)
    actions = call.receive_openai(audio_delta("i2", 200, "r2"), 1.0)
    assert len(of(twilio.OutboundMedia, actions)) == 10
    assert call.call_record.greeting_ms == pytest.approx(500)


def test_an_expired_session_is_one_more_loss():
    call = answered_call()
    actions = call.receive_openai(builders.error("session_expired"), 5.0)

    assert of(OpenModel, actions) == [OpenModel("session_expired")]


def test_a_model_that_stays_away_ends_the_call_with_the_fallback():
    call = answered_call()
    lose(call, 1.0)
    assert of(OpenModel, lose(call, 1.1, "refused")) == []
    assert of(OpenModel, fire(call, 1.4)) == [OpenModel("again")]
    actions = fire(call, 1.0 + REOPEN_S)

    assert of(HangUp, actions) == [HangUp("model_lost", failed=True)]


def test_losing_it_again_and_again_ends_the_call():
    call = answered_call()
    for number in range(LOSSES_MAX):
        assert of(OpenModel, lose(call, 1.0 + number))
        ready(call, 1.5 + number)

    assert of(HangUp, lose(call, 20.0)) == [HangUp("model_lost", failed=True)]


def test_a_model_lost_during_the_goodbye_lets_it_be_heard():
    call = answered_call()
    call.receive_hangup("drain", 1.0, politely=True)
    call.receive_openai(created(), 1.1)
    call.receive_openai(audio_delta("i1", 1_000), 1.1)
    assert of(HangUp, lose(call, 1.2)) == []
    actions = fire(call, 4.0)

    assert of(HangUp, actions) == [HangUp("drain", failed=False)]
    assert call.playout.frames_sent == 50


def test_a_turn_that_ends_after_the_model_is_gone_is_nobodys():
    call = answered_call(turn_detection="gate")
    _, now = speak(call, QUIET * 60 + VOICE[:60], 0.0)
    call.receive_hangup("drain", now, politely=True)
    call.receive_openai(created(), now)
    call.receive_openai(audio_delta("i1", 3_000), now)
    lose(call, now)
    actions, _ = speak(call, QUIET * 60, now)

    assert not of(openai.CommitAudio, actions)
    assert not of(openai.ResponseCreate, actions)


def test_a_goodbye_that_nobody_can_speak_ends_the_call_at_once():
    call = answered_call()
    call.receive_hangup("drain", 1.0, politely=True)

    assert of(HangUp, lose(call, 1.2)) == [HangUp("drain", failed=False)]


@pytest.mark.parametrize("turns", [3, ENTRIES_MAX + 20])
def test_only_the_newest_items_are_told(turns):
    call = answered_call()
    for number in range(turns):
        call.receive_openai(
            openai.TranscriptDone(
                response_id="r", item_id=f"i{number}", transcript=f"Number {number}."
            ),
            1.0 + number,
        )
    lose(call, 500.0)
    told = items(ready(call, 500.5))

    assert len(told) == min(turns, ENTRIES_MAX)
    assert told[-1] == ("assistant", f"Number {turns - 1}.")


def test_requests_made_meanwhile_wait_for_the_new_session():
    call = answered_call()
    lose(call, 1.0)
    call.receive_twilio(builders.dtmf("#"), 1.1)
    assert of(openai.ClientEvent, fire(call, 1.2)) == []
    actions = ready(call, 1.5)

    assert items(actions) == [("user", "Keypad: #")]
    assert len(of(openai.ResponseCreate, actions)) == 1
    assert call.phase is Phase.TALKING


def test_what_a_session_does_not_know_is_forgotten_with_the_item_and_the_tool():
    call = told_call()
    run_tool(call, 3.2)
    lose(call, 3.3)
    assert call.sessions.old_tools == {"t1"}
    ready(call, 3.5)
    call.receive_tool_result(result(), 3.6)
    call.receive_openai(created("r3"), 3.7)
    call.receive_openai(audio_delta("i3", 500, "r3"), 3.7)
    lose(call, 3.8)
    assert (call.sessions.old_tools, call.sessions.old_items) == (set(), {"i3"})


def test_a_greeting_is_not_late_while_no_session_serves():
    call = answered_call(greeting="Hello.")
    lose(call, GREETING_WAIT_S - 1.0)
    told = fire(call, GREETING_WAIT_S + 1.0)

    assert call.greeting.is_due
    assert "[REALTIME] No greeting came: listening" not in texts(told)
