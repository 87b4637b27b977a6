"""The admission: when new calls are turned away, and when they are let in again."""

import pytest

from bridge.switchboard.admission import (
    BUSY_S,
    LATE_TICKS_MAX,
    OPENING_COST_S,
    OPENING_S,
    SHUT_TOLD_S,
    TICK_S,
    WINDOW_TICKS,
    Admission,
    Change,
    Shut,
    few_max,
)

BUDGET_MS = 10
BUSY_MAX = 0.8


class Loop:
    """A loop as its admission sees it: every tick has a time, a lag and a load."""

    def __init__(self, few_max=0.0):
        self.admission = Admission(BUDGET_MS, BUSY_MAX, few_max)
        self.now = 100.0

    def go_on(self, ticks, lag_ms=0.1, busy=0.1, waited_ms=0.0):
        """Return what the admission told in so many ticks."""
        told = []
        for _ in range(ticks):
            passed_s = TICK_S + lag_ms / 1e3
            self.now += passed_s
            busy_s = busy * passed_s
            told.append(
                self.admission.note(self.now, passed_s, busy_s, lag_ms, waited_ms / 1e3)
            )
        return [change for change in told if change]

    @property
    def shut(self):
        return self.admission.shut(self.now)


@pytest.fixture
def loop():
    return Loop()


def ticks(seconds):
    return round(seconds / TICK_S)


# --- busy ---


def test_a_loop_with_time_to_spare_takes_calls(loop):
    assert loop.go_on(ticks(60), busy=0.79) == []
    assert loop.shut is None
    assert loop.admission.busy == pytest.approx(0.79)


def test_a_busy_loop_takes_none_within_a_second_or_two(loop):
    loop.go_on(ticks(60), busy=0.5)
    assert loop.go_on(ticks(2 * BUSY_S), busy=0.95) == [Change.CLOSED]
    assert loop.shut is Shut.BUSY


def test_a_moment_of_work_shuts_nothing(loop):
    loop.go_on(ticks(60), busy=0.5)
    assert loop.go_on(ticks(0.2), busy=1.0) == []
    assert loop.shut is None


def test_the_share_is_of_the_time_that_passed_however_late_the_tick():
    admission = Admission(BUDGET_MS, BUSY_MAX)
    admission.note(100.0, 2 * BUSY_S, BUSY_S, 0.0)
    assert admission.busy == 0.5
    # A clock that does not move says nothing; two clocks may differ a little.
    admission.note(100.0, 0.0, 0.001, 0.0)
    assert admission.busy == 0.5
    admission.note(110.0, 10 * BUSY_S, 10.1 * BUSY_S, 0.0)
    assert admission.busy == 1.0


def test_calls_that_open_count_before_they_are_seen(loop):
    loop.go_on(ticks(60), busy=0.7)
    let_in = 0
    while loop.shut is None:
        loop.admission.let_in(loop.now)
        let_in += 1
    # Whatever fits into the tenth of a second that is left, and the one that passes it.
    assert let_in == int((BUSY_MAX - 0.7) / OPENING_COST_S) + 1
    assert loop.admission.busy_expected(loop.now) > BUSY_MAX

    loop.go_on(ticks(OPENING_S) + 1, busy=0.7)
    assert loop.shut is None
    assert not loop.admission._opened_at


def test_an_idle_loop_takes_a_hundred_calls_at_once_and_not_all_that_come(loop):
    loop.go_on(ticks(60), busy=0.0)
    let_in = 0
    while loop.shut is None and let_in < 1_000:
        loop.admission.let_in(loop.now)
        let_in += 1
    assert let_in == BUSY_MAX / OPENING_COST_S + 1


def test_with_a_limit_of_all_its_time_a_loop_is_never_too_busy():
    admission = Admission(BUDGET_MS, 1.0)
    admission.note(100.0, BUSY_S, BUSY_S, 0.0)
    for _ in range(1_000):
        admission.let_in(100.0)
    assert admission.busy_expected(100.0) == 1.0
    assert admission.shut(100.0) is None


def test_a_crowd_fills_the_loop_to_its_limit_and_not_beyond(loop):
    """Calls of a minute each ring ten times a second: twice what the loop carries."""
    share, ending_at, calls, seen = 0.0025, [], [], []
    for tick in range(ticks(240)):
        ending_at = [at for at in ending_at if at > loop.now]
        opened = 0
        if tick % 5 == 0 and loop.shut is None:
            loop.admission.let_in(loop.now)
            ending_at.append(loop.now + 60.0)
            opened = 1
        busy = len(ending_at) * share + opened * OPENING_COST_S / TICK_S
        loop.go_on(1, busy=busy)
        if tick > ticks(120):
            calls.append(len(ending_at))
            seen.append(loop.admission.busy)
    # What is missing is work too: ten calls a second that open, and seem to for longer.
    assert min(calls) * share > 0.85 * BUSY_MAX
    assert max(seen) < BUSY_MAX + 0.01


# --- late ---


def test_a_loop_that_is_on_time_admits_calls(loop):
    assert loop.go_on(3 * WINDOW_TICKS, lag_ms=9.9) == []
    assert loop.shut is None


def test_a_hiccup_is_no_overload(loop):
    loop.go_on(WINDOW_TICKS)
    assert loop.go_on(LATE_TICKS_MAX, lag_ms=300.0) == []
    # One more within the same ten seconds is.
    loop.go_on(WINDOW_TICKS - LATE_TICKS_MAX - 1)
    assert loop.go_on(1, lag_ms=300.0) == [Change.CLOSED]
    assert loop.shut is Shut.LATE


def test_late_ticks_that_have_left_the_window_count_no_more(loop):
    loop.go_on(LATE_TICKS_MAX, lag_ms=300.0)
    loop.go_on(WINDOW_TICKS)
    assert loop.go_on(LATE_TICKS_MAX, lag_ms=300.0) == []


def test_admission_stops_before_the_window_is_full(loop):
    assert loop.go_on(LATE_TICKS_MAX + 1, lag_ms=50.0) == [Change.CLOSED]


def test_a_late_loop_is_on_time_at_half_of_the_budget_and_not_before(loop):
    loop.go_on(WINDOW_TICKS, lag_ms=50.0)
    loop.go_on(2 * WINDOW_TICKS, lag_ms=6.0)
    assert loop.shut is Shut.LATE
    loop.go_on(WINDOW_TICKS, lag_ms=4.0)
    assert loop.shut is None


def test_the_percentile_is_what_one_tick_in_a_hundred_passes(loop):
    assert loop.admission.lag_ms_p99 == 0.0
    lags_ms = [lag / WINDOW_TICKS for lag in range(WINDOW_TICKS)]
    for lag_ms in lags_ms:
        loop.go_on(1, lag_ms=lag_ms)
    above = sum(lag_ms > loop.admission.lag_ms_p99 for lag_ms in lags_ms)
    assert above == LATE_TICKS_MAX


def test_memory_is_bounded_and_counts_match_the_window(loop):
    for tick in range(5 * WINDOW_TICKS):
        loop.go_on(1, lag_ms=tick * 7919 % 23)
    kept = list(loop.admission._lags_ms)
    assert len(kept) == WINDOW_TICKS
    assert loop.admission._late == sum(lag_ms > BUDGET_MS for lag_ms in kept)
    assert loop.admission._slow == sum(lag_ms > BUDGET_MS / 2 for lag_ms in kept)


# --- whose doing it is ---


@pytest.fixture
def shared():
    """A loop that has neighbours; with few calls it is never shut for their sake."""
    return Loop(few_max=few_max(BUSY_MAX, workers=1, processors=2))


def test_a_loop_with_few_calls_takes_one_however_late_neighbours_make_it(shared):
    told = shared.go_on(ticks(60), lag_ms=200.0, busy=0.95, waited_ms=200.0)

    assert told == []
    assert shared.shut is None
    # It is seen all the same.
    assert shared.admission.lag_ms_p99 == 200.0
    assert shared.admission.busy > BUSY_MAX


def test_a_loop_with_many_calls_is_shut_whoever_makes_it_late(shared):
    shared.go_on(ticks(10), busy=0.5)
    shared.go_on(WINDOW_TICKS, lag_ms=50.0, busy=0.9, waited_ms=40.0)

    assert shared.admission.own > shared.admission.few_max
    assert shared.shut is Shut.LATE


def test_a_loop_that_is_blocked_is_late_by_its_own_doing(shared):
    """A call into something slow neither works nor waits for a processor."""
    shared.go_on(WINDOW_TICKS, lag_ms=50.0, busy=0.05)

    assert shared.shut is Shut.LATE


def test_calls_that_open_at_once_are_not_few(shared):
    shared.go_on(WINDOW_TICKS, lag_ms=50.0, busy=0.75, waited_ms=50.0)
    let_in = 0
    while shared.shut is None:
        shared.admission.let_in(shared.now)
        let_in += 1

    room = shared.admission.few_max - shared.admission.own
    assert let_in == int(room / OPENING_COST_S) + 1


def test_workers_that_share_a_processor_have_fewer_calls_before_they_mind():
    assert few_max(0.8, workers=1, processors=2) == pytest.approx(0.2)
    assert few_max(0.8, workers=2, processors=2) == pytest.approx(0.2)
    assert few_max(0.8, workers=8, processors=2) == pytest.approx(0.05)
    # All of them together stay below the machine's capacity.
    assert 8 * few_max(0.8, workers=8, processors=2) < 2 * 0.8


# --- what is told ---


def test_that_calls_are_admitted_again_is_told_after_a_while(loop):
    told = loop.go_on(ticks(3), busy=0.95)
    # As a loop at its limit does: shut and open, many times.
    for _ in range(20):
        told += loop.go_on(ticks(1), busy=0.5)
        told += loop.go_on(ticks(2), busy=0.95)
    assert told == [Change.CLOSED]
    assert loop.admission.is_closed

    assert loop.go_on(ticks(SHUT_TOLD_S), busy=0.1) == []
    assert loop.go_on(ticks(1), busy=0.1) == [Change.REOPENED]
    assert not loop.admission.is_closed


def test_each_change_is_told_once(loop):
    told = []
    for _ in range(3):
        told += loop.go_on(WINDOW_TICKS, lag_ms=50.0)
        told += loop.go_on(WINDOW_TICKS + ticks(SHUT_TOLD_S), lag_ms=0.1)
    assert told == [Change.CLOSED, Change.REOPENED] * 3
