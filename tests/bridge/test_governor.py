"""The governor: when new calls are shut out, and when they are let in again."""

from bridge.governor import LATE_TICKS_MAX, WINDOW_TICKS, Change, Governor

BUDGET_MS = 10


def fed(governor, lag_ms, ticks):
    return [change for _ in range(ticks) if (change := governor.note(lag_ms))]


def test_a_loop_that_is_on_time_keeps_the_door_open():
    governor = Governor(BUDGET_MS)
    assert fed(governor, 9.9, 3 * WINDOW_TICKS) == []
    assert not governor.is_closed


def test_a_hiccup_is_no_overload():
    governor = Governor(BUDGET_MS)
    fed(governor, 0.1, WINDOW_TICKS)
    assert fed(governor, 300.0, LATE_TICKS_MAX) == []
    # One more within the same ten seconds is.
    fed(governor, 0.1, WINDOW_TICKS - LATE_TICKS_MAX - 1)
    assert governor.note(300.0) is Change.CLOSED


def test_late_ticks_that_have_left_the_window_count_no_more():
    governor = Governor(BUDGET_MS)
    fed(governor, 300.0, LATE_TICKS_MAX)
    fed(governor, 0.1, WINDOW_TICKS)
    assert fed(governor, 300.0, LATE_TICKS_MAX) == []


def test_the_door_closes_before_the_window_is_full():
    governor = Governor(BUDGET_MS)
    assert fed(governor, 50.0, LATE_TICKS_MAX + 1) == [Change.CLOSED]


def test_a_closed_door_opens_at_half_of_the_budget_and_not_before():
    governor = Governor(BUDGET_MS)
    fed(governor, 50.0, WINDOW_TICKS)
    assert fed(governor, 6.0, 2 * WINDOW_TICKS) == []
    assert governor.is_closed
    changes = fed(governor, 4.0, WINDOW_TICKS)
    assert changes == [Change.REOPENED]
    assert not governor.is_closed


def test_each_change_is_told_once():
    governor = Governor(BUDGET_MS)
    told = []
    for _ in range(3):
        told += fed(governor, 50.0, WINDOW_TICKS)
        told += fed(governor, 0.1, WINDOW_TICKS)
    assert told == [Change.CLOSED, Change.REOPENED] * 3


def test_the_percentile_is_what_one_tick_in_a_hundred_passes():
    governor = Governor(BUDGET_MS)
    assert governor.lag_ms_p99 == 0.0
    for lag_ms in range(WINDOW_TICKS):
        governor.note(lag_ms / WINDOW_TICKS)
    above = sum(
        lag_ms / WINDOW_TICKS > governor.lag_ms_p99 for lag_ms in range(WINDOW_TICKS)
    )
    assert above == LATE_TICKS_MAX


def test_memory_is_bounded_and_counts_match_the_window():
    governor = Governor(BUDGET_MS)
    for tick in range(5 * WINDOW_TICKS):
        governor.note(tick * 7919 % 23)
    kept = list(governor._lags_ms)
    assert len(kept) == WINDOW_TICKS
    assert governor._late == sum(lag_ms > BUDGET_MS for lag_ms in kept)
    assert governor._slow == sum(lag_ms > BUDGET_MS / 2 for lag_ms in kept)
