"""A call's sessions by themselves: facts go in, orders come out, no call is known."""

import pytest

from bridge.call import sessions
from bridge.call.handshake import STEP_S, State
from bridge.call.history_seed import Entry
from bridge.call.plan import (
    CloseStandby,
    Counters,
    Fail,
    Log,
    OpenModel,
    OpenStandby,
    Refusal,
    ToStandby,
    UseStandby,
)
from bridge.call.sessions import LOSSES_MAX, REOPEN_S, Notice, Sessions, Stage
from bridge.call.standby_session import RENEW_AT
from bridge.call.timers import Timer, Timers
from bridge.realtime import openai
from tests.bridge import builders, tables

AGE_S = 100
DUE = AGE_S * RENEW_AT
ITEM = openai.CreateItem(item=openai.MessageItem(role="user", content=()))
ECHOED = builders.session()


def nothing():
    return []


def told():
    return [Entry("u1", 1.0, (ITEM,), True)]


class Owner:
    """Sessions with the timers they share with nobody here."""

    def __init__(self, stage=Stage.FIRST, *, is_ready=True, **options):
        self.timers = Timers()
        self.counters = Counters()
        plan = builders.plan(openai_session_seconds=AGE_S, **options)
        self.its = Sessions(plan, self.counters, self.timers, 0.0)
        self.timer = self.timers._at
        if is_ready or stage is not Stage.FIRST:
            self.ready(0.0)
        if stage is Stage.LATER:
            self.its.on_lost("1006", 1.0, nothing)
            if is_ready:
                self.ready(1.0)
        if stage is Stage.LAST:
            self.its.let_go("the call ends")

    def ready(self, now, seed=nothing):
        self.its.on_created(now)
        return self.its.on_updated(ECHOED, now, seed)

    def with_standby(self, now=DUE, seed=told):
        """Let a standby session come to where it is ready."""
        self.due(now)
        self.its.standby.receive(openai.SessionCreated(openai.Session()), now, seed)
        self.its.standby.receive(openai.SessionUpdated(ECHOED), now, seed)
        for _ in seed():
            self.its.standby.receive(openai.ItemAdded(), now, seed)
        assert self.its.standby.is_ready
        return self

    def due(self, now, *, is_between_turns=False):
        return self.its.on_rollover_due(
            now, told, is_talking=True, is_between_turns=is_between_turns
        )


def lines(orders):
    return [order.text for order in orders if isinstance(order, Log)]


def others(orders):
    return [order for order in orders if not isinstance(order, Log)]


# --- the table ---


def test_every_stage_is_in_the_table():
    assert sessions._NEXT.keys() == set(Stage)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("other", Stage)
def test_an_illegal_step_raises_and_changes_nothing(stage, other):
    owner = Owner(stage)
    assert owner.its.stage is stage
    if other in sessions._NEXT[stage]:
        owner.its._to(other)
        assert owner.its.stage is other
    else:
        tables.refuses(owner.its, lambda: owner.its._to(other))


def test_a_call_that_has_ended_does_not_end_again():
    owner = Owner(Stage.LAST)
    tables.refuses(owner.its, lambda: owner.its.let_go("the call ends"))


# --- the first one ---


def test_the_first_session_is_configured_and_then_ready():
    owner = Owner(is_ready=False)
    assert owner.timer == {Timer.SESSION: STEP_S}
    configure = owner.its.on_created(0.1)
    assert [type(one) for one in configure] == [Log, openai.SessionUpdate]
    assert owner.its.on_created(0.2) == []
    assert not owner.its.is_ready

    orders = owner.its.on_updated(ECHOED, 0.3, told)
    assert others(orders) == [Notice.READY]
    assert owner.its.is_ready
    assert owner.timer == {Timer.RENEW: 0.3 + DUE}
    assert owner.its.on_updated(ECHOED, 0.4, told) == []


def test_the_log_says_how_the_model_speaks():
    owner = Owner(is_ready=False, openai_output_format="audio/pcm")
    owner.its.on_created(0.1)
    orders = owner.its.on_updated(builders.session(kind="audio/pcm"), 0.2, told)

    rate = "24kHz, resampled and encoded here"
    assert lines(orders)[0].endswith(f"format=audio/pcm ({rate})")


def test_a_session_in_another_format_fails_the_call():
    owner = Owner(is_ready=False)
    owner.its.on_created(0.1)
    before = tables.snapshot(owner.its)
    (fail,) = owner.its.on_updated(builders.session(kind="audio/pcm"), 0.2, told)

    assert (type(fail), fail.reason) == (Fail, "session_refused")
    assert tables.snapshot(owner.its) == before


@pytest.mark.parametrize(
    ("stage", "reason"),
    [(Stage.FIRST, "model_unreachable"), (Stage.LATER, "model_lost")],
)
def test_what_no_try_can_change_fails_the_call(stage, reason):
    owner = Owner(stage, is_ready=False)
    refusal = Refusal(reason="HTTP 401", status=401)

    assert owner.its.on_refused(refusal, 1.1) == [Fail(reason, "HTTP 401")]


def test_a_try_that_fails_is_followed_by_another_after_a_pause():
    owner = Owner(is_ready=False)
    orders = owner.its.on_lost("closed", 0.1, nothing)
    assert lines(orders) == ["[REALTIME] No session, to be tried again: closed"]
    assert others(orders) == []
    assert owner.counters.retried_handshakes == 1
    assert owner.its.on_refused(Refusal(reason="late, too"), 0.2) == []

    due = owner.timer[Timer.SESSION]
    assert owner.its.on_handshake_due(due) == [OpenModel("again")]
    assert owner.timer[Timer.SESSION] > due
    late = owner.its.on_handshake_due(owner.timer[Timer.SESSION])
    assert "no session in time" in lines(late)[0]


# --- its loss ---


def test_a_lost_session_is_opened_again_and_told_the_conversation():
    owner = Owner()
    orders = owner.its.on_lost("1006", 5.0, told)
    assert lines(orders) == ["[REALTIME] Model lost: 1006"]
    assert others(orders) == [OpenModel("1006"), Notice.LEFT]
    assert owner.its.stage is Stage.LATER
    assert owner.timer.keys() == {Timer.SESSION}

    orders = owner.ready(5.5, told)
    assert others(orders) == [ITEM, Notice.RENEWED]
    assert lines(orders)[-1] == "[REALTIME] Session renewed: items=1"
    assert owner.timer == {Timer.RENEW: 5.5 + DUE}
    assert owner.counters.reopened_sessions == 1


def test_a_session_that_stays_away_is_tried_for_as_long_as_a_caller_waits():
    owner = Owner()
    owner.its.on_lost("1006", 5.0, told)
    now, orders = 5.0, []
    while not any(isinstance(order, Fail) for order in orders):
        assert owner.its.is_ready is False
        now = owner.timer[Timer.SESSION]
        orders = owner.its.on_handshake_due(now)

    assert orders == [Fail("model_lost", "no session in time")]
    assert now == 5.0 + REOPEN_S


def test_losing_it_too_often_fails_the_call():
    owner = Owner()
    for number in range(LOSSES_MAX):
        owner.its.on_lost("1006", 1.0 + number, told)
        owner.ready(1.5 + number)

    assert owner.its.on_lost("1006", 20.0, told) == [Fail("model_lost", "1006")]


def test_what_the_next_session_has_never_heard_of_is_kept():
    owner = Owner()
    owner.its.note_left({"i1"}, {"t1"})
    owner.its.note_left({"i2"}, set())

    assert (owner.its.old_items, owner.its.old_tools) == ({"i2"}, set())


# --- its errors ---


def error_of(code, event_id=None, kind="invalid_request_error"):
    return openai.ErrorBody(code=code, type=kind, message="text", event_id=event_id)


@pytest.mark.parametrize(
    ("error", "orders"),
    [
        (error_of("server_error"), None),
        (error_of("invalid_value"), None),
        (error_of("invalid_value", "configure"), [Fail("session_refused", "text")]),
        (error_of("insufficient_quota"), [Fail("model_failed", "text")]),
        (error_of("session_expired"), [OpenModel("session_expired"), Notice.LEFT]),
    ],
)
def test_an_error_in_a_session_that_serves(error, orders):
    owner = Owner()
    found = owner.its.on_error(error, 1.0, told)
    if orders and isinstance(orders[0], Fail):
        orders = [Fail(orders[0].reason, f"{error.code}: text")]
    assert (found if found is None else others(found)) == orders


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (error_of("server_error", kind="server_error"), State.PAUSING),
        (error_of("session_expired"), State.PAUSING),
        (error_of("rate_limit_exceeded"), State.PAUSING),
        (error_of("rate_limit_exceeded", "configure"), State.PAUSING),
        (error_of("too_many_sessions"), State.PAUSING),
        (error_of("not_for_this_model", "configure"), State.CONFIGURING),
        (error_of("invalid_value"), State.CONFIGURING),
        (error_of("invalid_api_key"), State.CONFIGURING),
    ],
)
def test_an_error_before_a_session_is_ready_is_a_try_that_failed(error, state):
    owner = Owner(is_ready=False)
    owner.its.on_created(0.1)
    (order,) = owner.its.on_error(error, 0.2, told)

    assert owner.its.handshake.state is state
    is_tried_again = state is State.PAUSING
    wanted = Fail("session_refused", f"{error.code}: text")
    assert isinstance(order, Log) if is_tried_again else order == wanted


# --- its age ---


def test_a_standby_session_is_opened_in_time_and_changed_to_between_turns():
    owner = Owner()
    assert owner.due(DUE) == [OpenStandby("the session grows old")]
    assert owner.due(DUE) == []

    owner = Owner().with_standby()
    assert owner.due(DUE + 1.0) == []
    assert owner.timer == {Timer.RENEW: DUE + 1.1}
    orders = owner.due(DUE + 1.1, is_between_turns=True)
    assert others(orders) == [UseStandby("the session grows old"), Notice.CHANGED]
    assert owner.timer == {Timer.RENEW: 2 * DUE}
    assert owner.counters.changed_sessions == 1
    assert owner.its.stage is Stage.FIRST


def test_a_standby_session_takes_the_place_of_a_lost_session_at_once():
    owner = Owner().with_standby(seed=nothing)
    orders = owner.its.on_lost("1006", DUE + 1.0, told)

    assert others(orders) == [ToStandby(ITEM), UseStandby("1006"), Notice.CHANGED]
    assert owner.its.is_ready
    assert owner.its.losses == 1


def test_a_standby_session_that_is_not_ready_goes_with_the_session_that_is_lost():
    owner = Owner()
    owner.due(DUE)
    orders = owner.its.on_lost("1006", DUE + 0.1, told)

    assert others(orders) == [CloseStandby("1006"), OpenModel("1006"), Notice.LEFT]
    assert owner.timer.keys() == {Timer.SESSION}


# --- the end ---


def test_a_call_that_ends_opens_no_other_session():
    owner = Owner()
    owner.due(DUE)
    assert owner.its.let_go("the call ends") == [CloseStandby("the call ends")]
    assert owner.timer == {}

    for _ in range(2):
        assert owner.its.on_lost("1006", DUE + 1.0, told) == [Notice.GONE]
    assert owner.its.handshake.state is State.CLOSED
    assert owner.ready(DUE + 2.0) == []


def test_a_session_that_is_being_had_is_awaited_though_the_call_ends():
    owner = Owner(Stage.LATER, is_ready=False)
    owner.timers.clear()
    assert owner.its.let_go("the call ends") == []
    assert owner.timer == {Timer.SESSION: owner.its.handshake.deadline}
    assert Notice.RENEWED in owner.ready(1.5)

    owner = Owner(Stage.LATER, is_ready=False)
    owner.its.let_go("the call ends")
    assert owner.its.on_refused(Refusal(reason="closed"), 1.5) == [Notice.GONE]
    assert owner.timer == {}
