"""What is done about an answer that is none."""

import pytest

from bridge.call import recovery
from bridge.call.recovery import (
    ERROR_LOOK_S,
    ERROR_WAIT_S,
    FAILURES_MAX,
    RETRY_WAIT_LATER_S,
    RETRY_WAIT_S,
    UNANNOUNCED_WAIT_S,
    Mute,
    Outcome,
    Recovery,
    Remedy,
)
from bridge.call.timers import Timer, Timers
from tests.bridge import builders, tables

SOUND, SILENCE = b"\x20" * 160, b"\xff\x7f" * 80
GROWS = {
    Outcome.NOTHING: lambda made: None,
    Outcome.SILENCE: lambda made: made.note_audio(SILENCE),
    Outcome.NAMELESS: Recovery.note_nameless,
    Outcome.ANSWER: Recovery.note_tool,
}


def recovery_with(outcome, timers=None):
    made = Recovery(timers or Timers())
    GROWS[outcome](made)
    assert made.outcome is outcome
    return made


def failed(made, now=1.0, *, is_ending=False, is_limited=False):
    return made.note_failed(
        now, RETRY_WAIT_S, is_ending=is_ending, is_limited=is_limited
    )


def mute(made, now=1.0, *, is_ending=False, is_announced=True):
    return made.note_mute(now, is_ending=is_ending, is_announced=is_announced)


# --- the table ---


def test_every_outcome_is_in_the_table():
    assert recovery._NEXT.keys() == GROWS.keys() == set(Outcome)


@pytest.mark.parametrize("old", Outcome)
@pytest.mark.parametrize("new", Outcome)
def test_an_illegal_step_raises_and_changes_nothing(old, new):
    made = recovery_with(old)
    if new in recovery._NEXT[old]:
        made._to(new)
        assert made.outcome is new
    else:
        tables.refuses(made, lambda: made._to(new))


@pytest.mark.parametrize("old", Outcome)
@pytest.mark.parametrize("new", Outcome)
def test_what_comes_of_an_answer_only_grows(old, new):
    made = recovery_with(old)
    GROWS[new](made)

    order = list(Outcome)
    assert made.outcome is max(old, new, key=order.index)
    made.note_audio(SOUND)
    assert made.outcome is Outcome.ANSWER
    made.begin(is_announced=False)
    assert made.outcome is Outcome.NOTHING


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome.NOTHING, Mute.EMPTY),
        (Outcome.SILENCE, Mute.SILENT),
        (Outcome.NAMELESS, Mute.NAMELESS),
        (Outcome.ANSWER, None),
    ],
)
def test_why_nothing_is_heard_is_what_has_come(outcome, kind):
    made = recovery_with(outcome)
    assert made.mute_kind(builders.response(status="completed")) is kind
    by_status = made.mute_kind(builders.response(status="incomplete"))
    assert by_status is (None if kind is None else Mute.TOKENS)


# --- bad ones in a row ---


def test_failed_answers_are_asked_for_again_and_of_other_sessions_in_turn():
    timers = Timers()
    made = Recovery(timers)
    assert failed(made) is Remedy.WAIT
    assert timers.deadline == 1.0 + RETRY_WAIT_S
    timers.clear()
    assert failed(made) is Remedy.OTHER_SESSION
    assert timers.deadline is None
    assert failed(made, 2.0) is Remedy.WAIT
    assert timers.deadline == 2.0 + RETRY_WAIT_LATER_S
    assert failed(made) is Remedy.OTHER_SESSION

    assert failed(made) is Remedy.FAIL
    assert made.failures == FAILURES_MAX + 1


def test_no_other_session_has_more_of_what_an_account_has_no_more_of():
    made = Recovery(Timers())
    remedies = [failed(made, is_limited=True) for _ in range(FAILURES_MAX + 1)]
    assert remedies == [Remedy.WAIT] * FAILURES_MAX + [Remedy.FAIL]


def test_an_answer_without_sound_is_replaced_by_words_of_ours():
    made = Recovery(Timers())
    assert mute(made) is Remedy.ASK
    assert not made.is_own_due
    assert mute(made) is Remedy.ASK
    assert made.is_own_due
    assert mute(made) is mute(made) is Remedy.OTHER_SESSION
    assert mute(made) is Remedy.FAIL

    made.note_good()
    assert mute(made) is Remedy.ASK
    assert failed(made) is Remedy.OTHER_SESSION
    assert not made.is_own_due


def test_what_was_never_announced_may_still_be_on_its_way():
    timers = Timers()
    made = Recovery(timers)
    assert mute(made, is_announced=False) is Remedy.WAIT
    assert timers.deadline == 1.0 + UNANNOUNCED_WAIT_S
    assert timers.due(1.0 + UNANNOUNCED_WAIT_S) == [Timer.RETRY]
    made.begin(is_announced=False)
    assert timers.deadline is not None
    made.begin(is_announced=True)
    assert timers.deadline is None


@pytest.mark.parametrize("bad", [failed, mute])
def test_in_the_last_words_there_is_one_more_try(bad):
    made = Recovery(Timers())
    assert bad(made, is_ending=True) in (Remedy.WAIT, Remedy.ASK)
    assert bad(made, is_ending=True) is Remedy.HANG_UP


# --- an error that no end follows ---


def test_an_answer_that_does_not_go_on_after_an_error_is_given_up():
    timers = Timers()
    made = Recovery(timers)
    made.watch("r1", None, "no", 1.0)
    assert timers.deadline == 1.0 + ERROR_LOOK_S
    made.watch("r1", None, "once more", 1.2)
    assert timers.deadline == 1.0 + ERROR_LOOK_S
    assert made.look("r1", None, 1.5) is None
    assert timers.deadline == 1.5 + ERROR_LOOK_S
    timers.clear()

    assert made.look("r1", None, 1.0 + ERROR_WAIT_S) == "once more"
    assert timers.deadline is None


@pytest.mark.parametrize(("runs", "asked"), [("r2", None), ("r1", "response-1")])
def test_what_goes_on_is_waited_for_anew(runs, asked):
    made = Recovery(Timers())
    made.watch("r1", None, "no", 1.0)
    assert made.look(runs, asked, 2.0) is None
    made.note_audio(SOUND)
    assert made.look(runs, asked, 3.0) is None

    assert made.look(runs, asked, 3.0 + ERROR_WAIT_S - 0.1) is None
    assert made.look(runs, asked, 3.0 + ERROR_WAIT_S) == "no"


def test_an_error_that_cost_nothing_is_forgotten():
    timers = Timers()
    made = Recovery(timers)
    made.watch("r1", None, "no", 1.0)
    made.forget()
    made.watch("r1", None, "no", 2.0)
    assert timers.deadline == 2.0 + ERROR_LOOK_S
    failed(made, 2.0)

    made.leave_session()
    assert timers.deadline is None
    assert made.failures == 1
