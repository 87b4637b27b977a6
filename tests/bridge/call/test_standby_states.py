"""A standby session by itself: its table, and what it says of a loss."""

import pytest

from bridge.call import standby_session
from bridge.call.history_seed import Entry
from bridge.call.plan import (
    ERROR_CHARS_MAX,
    CloseStandby,
    Counters,
)
from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.realtime import openai
from tests.bridge import builders, tables

ITEM = openai.CreateItem(item=openai.MessageItem(role="user", content=()))


def told():
    return [Entry("u1", 1.0, (ITEM,), True)]


STEPS = {
    "open": (standby_session.State.OPENING, lambda one: one.open(9.0)),
    "serve": (standby_session.State.NONE, lambda one: one.serve([])),
    "tell": (
        standby_session.State.TELLING,
        lambda one: one._to(standby_session.State.TELLING),
    ),
    "ready": (
        standby_session.State.READY,
        lambda one: one._to(standby_session.State.READY),
    ),
    "leave": (standby_session.State.NONE, lambda one: one._leave()),
}


def standby_in(state):
    """A standby session by itself, in that state."""
    timers = OwnTimers(Timers(), Timer.RENEW, Timer.STANDBY)
    one = standby_session.StandbySession(builders.plan(), Counters(), timers)
    if state is not standby_session.State.NONE:
        one.open(1.0)
    if state in (standby_session.State.TELLING, standby_session.State.READY):
        updated = openai.SessionUpdated(session=builders.session())
        one.receive(updated, 2.0, told)
    if state is standby_session.State.READY:
        one.receive(openai.ItemAdded(), 3.0, list)
    assert one.state is state
    return one


def test_every_state_of_a_standby_session_is_in_the_table():
    assert standby_session._NEXT.keys() == set(standby_session.State)


@pytest.mark.parametrize("state", standby_session.State)
@pytest.mark.parametrize("step", STEPS)
def test_an_illegal_step_of_a_standby_session_raises_and_changes_nothing(state, step):
    one = standby_in(state)
    wanted, take = STEPS[step]
    is_legal = (
        one.is_ready if step == "serve" else wanted in standby_session._NEXT[state]
    )
    if is_legal:
        take(one)
        assert one.state is wanted
    else:
        tables.refuses(one, lambda: take(one))


@pytest.mark.parametrize("state", standby_session.State)
def test_what_is_not_there_says_nothing_and_cannot_be_lost(state):
    one = standby_in(state)
    is_there = state is not standby_session.State.NONE
    assert bool(one.receive(builders.error("server_error"), 4.0, list)) is is_there

    one = standby_in(state)
    assert bool(one.on_late(4.0)) is bool(one._counters.failed_standbys) is is_there
    assert one.state is standby_session.State.NONE


def test_the_tries_are_counted_anew_for_each_session_that_serves():
    one = standby_in(standby_session.State.READY)
    assert one.tries == 1
    one.serve([])
    assert one.tries == 0

    one.open(9.0)
    one.close("1006")
    one.forget()
    assert one.tries == 0


def test_what_is_told_of_a_loss_is_no_longer_than_the_log_takes():
    close, line = standby_in(standby_session.State.OPENING).on_lost("x" * 9_999, 4.0)

    assert close == CloseStandby("x" * ERROR_CHARS_MAX)
    assert line.text.endswith(": " + "x" * ERROR_CHARS_MAX)
