"""A business's limits: what is refused, and how long running calls may go on."""

import pytest

from bridge.business import quotas
from bridge.business.quotas import AHEAD_S, CALL_S_MIN, Limit, Reached
from bridge.settings.options import CallOptions
from crm.admissions import Usage

NOTHING = Usage(running=0, by_caller=0, seconds_today=0.0, cost_today=0.0)
NONE = CallOptions(
    limit_concurrent_calls=0,
    limit_calls_per_caller_per_hour=0,
    limit_withheld_calls_per_hour=0,
    limit_minutes_per_day=0,
    limit_cost_per_day=0,
)


def options(**limits):
    given = {name: getattr(NONE, name) for name in NONE.__struct_fields__}
    return CallOptions(**(given | limits))


def refused(limits, is_withheld=False, **used):
    usage = NOTHING._replace(**used)
    return quotas.refusal(limits, usage, is_withheld=is_withheld)


@pytest.mark.parametrize("is_withheld", [False, True])
def test_first_call_of_a_day_is_let_in_by_every_default(is_withheld):
    assert refused(CallOptions(), is_withheld) is None


def test_where_there_is_no_limit_nothing_is_refused():
    much = {"running": 10**6, "by_caller": 10**6, "seconds_today": 1e9}

    assert refused(NONE, cost_today=1e9, **much) is None


def test_calls_at_once_are_counted():
    limits = options(limit_concurrent_calls=2)

    assert refused(limits, running=1) is None
    assert refused(limits, running=2) is Limit.CONCURRENT_CALLS


def test_callers_with_and_without_a_number_have_limits_of_their_own():
    limits = options(limit_calls_per_caller_per_hour=2, limit_withheld_calls_per_hour=3)

    assert refused(limits, by_caller=1) is None
    assert refused(limits, by_caller=2) is Limit.CALLS_PER_CALLER
    assert refused(limits, True, by_caller=2) is None
    assert refused(limits, True, by_caller=3) is Limit.WITHHELD_CALLS


def test_minutes_that_are_left_are_shared_by_the_calls_that_run():
    limits = options(limit_minutes_per_day=10)

    assert refused(limits, seconds_today=600.0 - CALL_S_MIN) is None
    assert refused(limits, seconds_today=601.0 - CALL_S_MIN) is Limit.MINUTES
    # With two more calls at once there are ten seconds for each.
    used = 600.0 - CALL_S_MIN
    assert refused(limits, seconds_today=used, running=2) is Limit.MINUTES


def test_money_that_is_left_goes_as_fast_as_it_went():
    limits = options(limit_cost_per_day=10)

    # A dollar a minute.
    assert refused(limits, seconds_today=300.0, cost_today=5.0) is None
    assert refused(limits, seconds_today=588.0, cost_today=9.8) is Limit.COST
    assert refused(limits, cost_today=10.0) is Limit.COST
    # What has cost nothing by now is not known to come to an end.
    assert refused(limits, seconds_today=1e6) is None


def test_answers_in_writing_cost_what_calls_may_cost():
    limits = options(limit_cost_per_day=10)

    assert refused(limits, cost_today=4.0, written_cost_today=6.0) is Limit.COST
    assert quotas.is_spent(limits, NOTHING._replace(written_cost_today=10.0))
    assert quotas.is_spent(
        limits, NOTHING._replace(cost_today=9.0, written_cost_today=1.0)
    )
    assert not quotas.is_spent(limits, NOTHING._replace(written_cost_today=9.9))
    assert not quotas.is_spent(NONE, NOTHING._replace(written_cost_today=1e9))


def test_what_writing_costs_says_nothing_about_the_cost_of_a_minute():
    limits = options(limit_cost_per_day=10)
    usage = NOTHING._replace(seconds_today=60.0, cost_today=1.0, written_cost_today=6.0)

    assert quotas.nearest(limits, usage, calls=1) == Reached(
        Limit.COST, pytest.approx(180.0)
    )


def test_running_calls_are_told_of_the_limit_that_comes_first():
    limits = options(limit_minutes_per_day=100, limit_cost_per_day=10)
    usage = Usage(running=2, by_caller=0, seconds_today=5_880.0, cost_today=9.9)

    assert quotas.nearest(limits, usage, calls=2) == Reached(
        Limit.COST, pytest.approx(0.1 / (9.9 / 5_880) / 2)
    )
    assert quotas.ending(limits, usage).limit is Limit.COST
    assert quotas.ending(limits, usage._replace(cost_today=0.0)) == Reached(
        Limit.MINUTES, 60.0
    )


def test_running_calls_are_not_told_of_what_is_far():
    limits = options(limit_minutes_per_day=100)
    far = Usage(running=1, by_caller=0, seconds_today=6_000.0 - AHEAD_S, cost_today=0.0)

    assert quotas.ending(limits, far) is None
    assert quotas.ending(limits, far._replace(running=2)) is not None
    assert quotas.ending(NONE, far) is None


def test_what_is_passed_leaves_nothing():
    limits = options(limit_minutes_per_day=1, limit_cost_per_day=1)
    usage = Usage(running=0, by_caller=0, seconds_today=90.0, cost_today=2.0)

    assert quotas.ending(limits, usage).left_s == 0.0


def test_limits_are_named_as_their_settings():
    assert {limit.value for limit in Limit} < set(CallOptions.__struct_fields__)
