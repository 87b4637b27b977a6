"""A call's streams by themselves; `test_resumption.py`: what the call makes of it."""

import pytest

from bridge.call import streams
from bridge.call.plan import Counters, End, Fail, Log
from bridge.call.streams import (
    ASK_S,
    LOSSES_MAX,
    RETURN_S,
    STREAM_WAIT_S,
    Notice,
    State,
    Streams,
)
from bridge.call.timers import Timer, Timers
from tests.bridge import tables

STEPS = {
    State.HERE: lambda its: its.on_start("MZ2", 9.0),
    State.LOST: lambda its: its._to(State.LOST),
    State.WANTED: lambda its: its._to(State.WANTED),
    State.AWAITED: lambda its: its._to(State.AWAITED),
}


class Owner:
    """Streams with the timers they share with nobody here."""

    def __init__(self, state=State.HERE):
        self.timers = Timers()
        self.counters = Counters()
        self.its = Streams(self.counters, self.timers, 0.0)
        self.timer = self.timers._at
        if state is not State.AWAITED:
            self.its.on_start("MZ1", 1.0)
        if state in (State.LOST, State.WANTED):
            self.gone(2.0)
        if state is State.WANTED:
            self.wanted(2.0)
        assert self.its.state is state

    def gone(self, now, *, is_ending=False):
        return self.its.on_gone(now, is_ending=is_ending)

    def wanted(self, now, *, is_ending=False):
        return self.its.on_wanted(now, is_ending=is_ending)


def test_every_state_is_in_the_table():
    assert streams._NEXT.keys() == set(State)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("other", STEPS)
def test_an_illegal_step_raises_and_changes_nothing(state, other):
    owner = Owner(state)
    if other in streams._NEXT[state]:
        STEPS[other](owner.its)
        assert owner.its.state is other
    else:
        tables.refuses(owner.its, lambda: STEPS[other](owner.its))


def test_a_first_stream_is_awaited_for_so_long():
    owner = Owner(State.AWAITED)
    assert (owner.its.sid, owner.timer) == ("", {Timer.STREAM: STREAM_WAIT_S})
    assert owner.its.on_late() == [End("no_stream")]

    assert owner.its.on_start("MZ1", 1.0) == [Notice.BEGAN]
    assert (owner.its.sid, owner.timer) == ("MZ1", {})


def test_a_stream_that_is_lost_is_followed_by_another():
    owner = Owner()
    assert owner.gone(2.0) == [Notice.LOST]
    assert (owner.its.sid, owner.timer) == ("", {Timer.STREAM: 2.0 + ASK_S})
    assert owner.gone(2.1) == []
    assert owner.wanted(3.0) == []
    assert owner.timer == {Timer.STREAM: 3.0 + RETURN_S}
    assert owner.wanted(4.0) == []
    assert owner.timer == {Timer.STREAM: 4.0 + RETURN_S}

    line = Log("info", "[STREAM] Resumed after 3.0 s")
    assert owner.its.on_start("MZ2", 5.0) == [line, Notice.RESUMED]
    assert (owner.its.sid, owner.timer) == ("MZ2", {})
    assert (owner.counters.lost_streams, owner.counters.resumed_streams) == (1, 1)


def test_twilio_may_ask_before_the_loss_is_known():
    owner = Owner()
    assert owner.wanted(2.0) == [Notice.LOST]
    assert owner.its.state is State.WANTED
    assert owner.timer == {Timer.STREAM: 2.0 + RETURN_S}


def test_who_is_not_asked_for_has_left_and_who_is_was_lost_by_us():
    assert Owner(State.LOST).its.on_late() == [End("caller_leg_lost")]
    text = "the caller's stream did not come back"
    assert Owner(State.WANTED).its.on_late() == [Fail("transport_lost", text)]


@pytest.mark.parametrize("take", [Owner.gone, Owner.wanted])
def test_a_stream_that_is_lost_in_the_last_words_ends_the_call(take):
    owner = Owner()
    before = tables.snapshot(owner.its)
    assert take(owner, 2.0, is_ending=True) == [End("caller_leg_lost")]
    assert tables.snapshot(owner.its) == before


@pytest.mark.parametrize("take", [Owner.gone, Owner.wanted])
def test_a_stream_that_nobody_had_is_not_lost(take):
    owner = Owner(State.AWAITED)
    before = tables.snapshot(owner.its)
    assert take(owner, 2.0) == []
    assert tables.snapshot(owner.its) == before


def test_losing_it_too_often_fails_the_call():
    owner = Owner()
    for number in range(LOSSES_MAX):
        owner.gone(2.0 + number)
        owner.its.on_start("MZ2", 2.5 + number)
    (fail,) = owner.wanted(9.0)

    assert (type(fail), fail.reason) == (Fail, "transport_lost")
    assert owner.timer == {}
