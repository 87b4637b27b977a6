"""A session that cannot be had is tried again for as long as a caller waits."""

import pytest

from bridge.call import handshake
from bridge.call.handshake import (
    PAUSES_S,
    RETRY_AFTER_S_MAX,
    STEP_S,
    Handshake,
    State,
    is_final,
)
from bridge.call.plan import (
    CloseStandby,
    HangUp,
    Leg,
    OpenModel,
    OpenStandby,
    Phase,
    Refusal,
)
from bridge.call.sessions import OPEN_S, REOPEN_S
from bridge.call.timers import Timer
from bridge.realtime import openai
from tests.bridge import builders, tables
from tests.bridge.builders import answered_call, fire, of

CREATED = openai.SessionCreated(session=openai.Session())
UPDATED = openai.SessionUpdated(session=builders.session())
GONE = [HangUp("model_unreachable", failed=True)]


def ringing():
    return builders.Call(builders.plan("Hello."), 0.0)


def refused(call, now, reason="closed", **more):
    refusal = Refusal(reason=reason, **more)
    return call.receive_disconnect(Leg.OPENAI, refusal, now)


# --- the table ---


STEPS = {
    State.OPENING: lambda shake: shake.begin(2.0, OPEN_S),
    State.CONFIGURING: lambda shake: shake.note_created(2.0),
    State.PAUSING: lambda shake: shake.pause(2.0),
    State.READY: Handshake.note_ready,
    State.CLOSED: lambda shake: shake._to(State.CLOSED),
}


def handshake_in(state):
    shake = Handshake(0.0, OPEN_S)
    if state is not State.OPENING:
        STEPS[state](shake)
    assert shake.state is state
    return shake


def test_every_state_is_in_the_table():
    assert handshake._NEXT.keys() == set(State)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("other", State)
def test_an_illegal_step_raises_and_changes_nothing(state, other):
    shake = handshake_in(state)
    if other in handshake._NEXT[state]:
        STEPS[other](shake)
        assert shake.state is other
    else:
        tables.refuses(shake, lambda: STEPS[other](shake))


def test_only_what_pauses_is_tried_again():
    for state in set(State) - {State.PAUSING, State.READY}:
        shake = handshake_in(state)
        tables.refuses(shake, lambda shake=shake: shake.try_again(2.0))


def test_each_step_has_its_own_time_within_that_of_the_whole():
    shake = Handshake(0.0, 2.5 * STEP_S)
    assert shake.deadline == STEP_S
    shake.note_created(0.5 * STEP_S)
    assert shake.deadline == 1.5 * STEP_S
    assert shake.pause(1.5 * STEP_S)
    shake.try_again(shake.deadline)

    assert shake.deadline == 2.5 * STEP_S


def test_pauses_grow_to_the_last_and_end_with_the_time_of_the_whole():
    shake, now, pauses = Handshake(0.0, OPEN_S), 0.0, []
    while shake.pause(now):
        pauses.append(shake.deadline - now)
        now = shake.deadline
        shake.try_again(now)

    assert pauses == [*PAUSES_S, 2.0, 2.0, 2.0]
    assert now + 2.0 >= OPEN_S


def test_what_is_closed_stays_closed():
    shake = Handshake(0.0, OPEN_S)
    shake.close()
    shake.close()
    assert (shake.state, shake.deadline) == (State.CLOSED, None)


@pytest.mark.parametrize(("asked_s", "waited_s"), [(0, 0.25), (1, 1.0), (60, 5.0)])
def test_a_servers_own_pause_is_kept_within_bounds(asked_s, waited_s):
    shake = Handshake(0.0, OPEN_S)
    assert shake.pause(1.0, asked_s)

    assert shake.deadline == 1.0 + waited_s <= 1.0 + RETRY_AFTER_S_MAX


@pytest.mark.parametrize(
    ("refusal", "final"),
    [
        (Refusal(reason="", status=401), True),
        (Refusal(reason="", status=403), True),
        (Refusal(reason="", status=429), False),
        (Refusal(reason="", status=429, names=("insufficient_quota",)), True),
        (Refusal(reason="", status=500), False),
        (Refusal(reason="", status=302), False),
        (Refusal(reason="closed"), False),
    ],
)
def test_only_what_no_try_can_change_is_final(refusal, final):
    assert is_final(refusal) == final


# --- a call that rings ---


def test_a_first_session_that_is_refused_is_tried_again_and_then_greets():
    call = ringing()
    actions = refused(call, 0.1, "HTTP 503", status=503)
    assert of(HangUp, actions) == []
    assert of(OpenModel, fire(call, 0.34)) == []
    assert of(OpenModel, fire(call, 0.36)) == [OpenModel("again")]
    call.receive_openai(CREATED, 0.5)
    actions = call.receive_openai(UPDATED, 0.6)

    assert len(of(openai.ResponseCreate, actions)) == 1
    assert call.counters.retried_handshakes == 1


def test_a_key_that_is_wrong_is_not_tried_again():
    call = ringing()
    assert of(HangUp, refused(call, 0.1, "HTTP 401", status=401)) == GONE


@pytest.mark.parametrize("is_created", [False, True])
def test_a_step_that_is_late_is_a_try_that_failed(is_created):
    call = ringing()
    if is_created:
        call.receive_openai(CREATED, 0.0)
    assert of(OpenModel, fire(call, STEP_S + 0.24)) == []

    assert of(OpenModel, fire(call, STEP_S + 0.26)) == [OpenModel("again")]


def test_a_session_that_was_only_late_is_taken():
    call = ringing()
    fire(call, STEP_S + 0.1)
    assert of(openai.SessionUpdate, call.receive_openai(CREATED, STEP_S + 0.2))
    call.receive_openai(UPDATED, STEP_S + 0.3)

    assert call.is_session_ready
    assert of(OpenModel, fire(call, STEP_S + 9.0)) == []


def test_a_first_session_is_not_tried_for_ever():
    call = ringing()
    now, tries = 0.1, 0
    actions = refused(call, now)
    while not of(HangUp, actions):
        now = call.deadline
        tries += len(of(OpenModel, call.receive_timeout(now)))
        actions = refused(call, now + 0.01)

    assert of(HangUp, actions) == GONE
    assert tries == 7
    assert OPEN_S - 2.1 < now < OPEN_S


def test_an_error_of_the_servers_own_before_the_session_is_ready_is_tried_again():
    call = ringing()
    call.receive_openai(CREATED, 0.1)
    assert of(HangUp, call.receive_openai(builders.error("server_error"), 0.2)) == []
    # The server closes next, which is not another failure.
    assert call.receive_disconnect(Leg.OPENAI, "closed with 1011", 0.21) == []

    assert of(OpenModel, fire(call, 0.46)) == [OpenModel("again")]
    assert call.counters.retried_handshakes == 1


def test_an_announcement_that_comes_twice_is_answered_once():
    call = ringing()
    assert of(openai.SessionUpdate, call.receive_openai(CREATED, 0.1))
    assert call.receive_openai(CREATED, 0.2) == []
    call.receive_openai(UPDATED, 0.3)
    assert call.receive_openai(CREATED, 0.4) == []
    assert call.receive_openai(UPDATED, 0.5) == []


# --- a call in its midst ---


def test_a_lost_session_is_tried_again_for_as_long_as_a_caller_waits():
    call = answered_call()
    call.receive_disconnect(Leg.OPENAI, "1006", 1.0)
    now = 1.0
    actions = []
    while not of(HangUp, actions):
        actions = refused(call, now + 0.05, "HTTP 429", status=429)
        if not of(HangUp, actions):
            now = call.timers._at[Timer.SESSION]
            fire(call, now)

    assert of(HangUp, actions) == [HangUp("model_lost", failed=True)]
    assert now > 1.0 + REOPEN_S - 2.1


def test_a_goodbye_waits_for_a_session_that_is_being_tried():
    call = answered_call()
    call.receive_disconnect(Leg.OPENAI, "1006", 1.0)
    refused(call, 1.1)
    call.receive_hangup("drain", 1.2, politely=True)
    assert of(OpenModel, fire(call, 1.4)) == [OpenModel("again")]
    call.receive_openai(CREATED, 1.5)
    actions = call.receive_openai(UPDATED, 1.6)

    assert call.phase is Phase.ENDING
    assert "goodbye" in of(openai.ResponseCreate, actions)[0].response.instructions


def test_a_goodbye_does_not_wait_for_a_session_that_cannot_be_had():
    call = answered_call()
    call.receive_disconnect(Leg.OPENAI, "1006", 1.0)
    call.receive_hangup("drain", 1.2, politely=True)
    actions = refused(call, 1.3)

    assert of(HangUp, actions) == [HangUp("drain", failed=False)]


def test_a_standby_session_that_is_refused_is_given_up_like_one_that_is_lost():
    call = answered_call(openai_session_seconds=10)
    assert of(OpenStandby, fire(call, 9.1))
    refusal = Refusal(reason="HTTP 503", status=503)
    actions = call.receive_disconnect(Leg.STANDBY, refusal, 9.2)

    assert of(CloseStandby, actions) == [CloseStandby("HTTP 503")]
    assert call.is_session_ready


def test_what_is_refused_after_the_end_says_nothing():
    call = ringing()
    call.receive_hangup("caller_hung_up", 1.0)
    assert refused(call, 1.1) == []
