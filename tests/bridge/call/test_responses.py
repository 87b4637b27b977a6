"""Which answer runs, which waits, and which is owed."""

import pytest

from bridge.call.responses import (
    ANSWER_WAIT_AFTER_S,
    ANSWER_WAIT_S,
    CANCELLED_KEPT,
    Responses,
)
from bridge.call.timers import Timers
from bridge.realtime import openai

GOODBYE = openai.ResponseParams(instructions="Goodbye.")


def test_a_request_goes_out_at_once_when_nothing_runs():
    responses = Responses(Timers())
    (event,) = responses.request(0.0)

    assert responses.is_busy
    responses.note_created("r1", 0.0)
    assert responses.note_done("r1", 1.0) == []
    assert not responses.is_busy
    assert event.event_id == "response-1"


def test_requests_that_wait_are_merged_into_one():
    responses = Responses(Timers())
    responses.request(0.0)
    responses.note_created("r1", 0.0)
    assert responses.request(0.0) == responses.request(0.0) == []
    assert responses.is_waiting

    assert len(responses.note_done("r1", 1.0)) == 1
    responses.note_created("r2", 0.0)
    assert responses.note_done("r2", 2.0) == []


def test_words_of_our_own_outrank_a_plain_answer():
    responses = Responses(Timers())
    responses.request(0.0)
    responses.request(0.0)
    responses.request(0.0, GOODBYE)
    responses.request(0.0)
    responses.note_created("r1", 0.0)

    (event,) = responses.note_done("r1", 1.0)
    assert event.response == GOODBYE


def test_only_what_runs_is_cancelled_and_once():
    responses = Responses(Timers())
    assert responses.cancel(0.0) == []
    responses.note_created("r1", 0.0)

    assert responses.cancel(0.0) == [openai.ResponseCancel()]
    assert responses.cancel(0.0) == []
    assert responses.is_cancelled("r1")
    assert not responses.is_cancelled("r2")


def test_what_was_asked_for_and_has_not_begun_is_cancelled_too():
    responses = Responses(Timers())
    responses.request(0.0)
    assert len(responses.cancel(0.0)) == 1
    assert responses.cancel(0.0) == []
    responses.note_created("r1", 0.0)

    assert responses.is_cancelled("r1")
    assert responses.cancel(0.0) == []
    responses.note_done("r1", 1.0)
    responses.request(0.0)
    responses.note_created("r2", 0.0)
    assert not responses.is_cancelled("r2")


def test_a_cancelled_request_is_neither_repeated_nor_owed():
    responses = Responses(Timers())
    (event,) = responses.request(0.0)
    responses.cancel(0.0)
    responses.note_refused(event.event_id, 1.0, try_again=True)
    assert responses.note_done("theirs", 1.0) == []
    responses.request(0.0)
    responses.cancel(0.0)
    responses.suspend()

    assert responses.resume(9.0) == []


def test_the_cancelled_are_remembered_for_a_while():
    responses = Responses(Timers())
    for number in range(CANCELLED_KEPT + 1):
        responses.note_created(f"r{number}", 0.0)
        responses.cancel(0.0)

    assert not responses.is_cancelled("r0")
    assert responses.is_cancelled("r1")


def test_a_response_that_ends_without_having_begun_changes_nothing():
    responses = Responses(Timers())
    responses.note_created("r1", 0.0)
    responses.note_done("nobody", 1.0)

    assert responses.active_id == "r1"


def test_a_turn_is_asked_for_when_the_server_has_not_begun():
    responses = Responses(Timers())
    responses.note_committed(1.0)
    assert responses.answer_by == 1.0 + ANSWER_WAIT_S
    assert responses.ask_for_unanswered(1.5) == []

    assert len(responses.ask_for_unanswered(2.0)) == 1
    assert responses.ask_for_unanswered(9.0) == []


def test_a_stray_end_is_not_the_end_of_a_later_request_when_it_comes_again():
    responses = Responses(Timers())
    responses.note_done("stray", 0.0)
    responses.request(1.0)
    assert not responses.is_its_end("stray")

    responses.note_done("stray", 1.5)
    assert responses.is_busy


def test_a_turn_that_ended_under_a_response_is_asked_for_soon_after_it():
    responses = Responses(Timers())
    responses.note_created("r1", 0.0)
    responses.note_committed(1.0)
    assert responses.ask_for_unanswered(2.0) == []
    responses.note_done("r1", 5.0)

    assert responses.answer_by == 5.0 + ANSWER_WAIT_AFTER_S
    assert len(responses.ask_for_unanswered(5.3)) == 1


@pytest.mark.parametrize(("try_again", "repeated"), [(True, 1), (False, 0)])
def test_a_refused_request_is_repeated_only_where_that_makes_sense(try_again, repeated):
    responses = Responses(Timers())
    (event,) = responses.request(0.0)
    responses.note_created("theirs", 0.0)
    responses.note_refused("another", 1.0, try_again=True)
    responses.note_refused(event.event_id, 1.0, try_again=try_again)

    assert len(responses.note_done("theirs", 1.0)) == repeated


@pytest.mark.parametrize("is_named", [True, False])
def test_a_collision_is_known_without_its_name_and_however_late(is_named):
    responses = Responses(Timers())
    (event,) = responses.request(0.0)
    name = event.event_id if is_named else None
    responses.note_created("theirs", 0.0)
    assert responses.note_done("theirs", 1.0) == []

    assert responses.note_refused(name, 1.0, try_again=True) == [event]
    assert responses.note_refused("another", 1.0, try_again=True) == []
    responses.note_created("ours", 0.0)
    assert responses.note_done("ours", 2.0) == []


def test_a_nameless_refusal_of_another_kind_is_nobodys():
    responses = Responses(Timers())
    responses.request(0.0)
    responses.note_refused(None, 1.0, try_again=False)

    assert responses.is_asked


def test_what_waits_for_an_answer_nobody_heard_of_goes_out_with_the_next_request():
    responses = Responses(Timers())
    (event,) = responses.request(0.0)
    assert responses.note_refused(event.event_id, 1.0, try_again=True) == []
    assert responses.is_waiting and not responses.is_busy

    assert responses.request(0.0) == [event]
    assert not responses.is_waiting


def test_a_standby_session_request_is_never_repeated():
    responses = Responses(Timers())
    responses.note_committed(1.0)
    (event,) = responses.ask_for_unanswered(2.0)
    responses.note_created("theirs", 0.0)
    responses.note_refused(event.event_id, 1.0, try_again=True)

    assert responses.note_done("theirs", 3.0) == []


def test_a_lost_session_owes_what_it_was_asked_for():
    responses = Responses(Timers())
    responses.request(0.0, GOODBYE)
    responses.suspend()
    assert responses.is_busy
    assert responses.request(0.0) == []

    (event,) = responses.resume(9.0)
    assert event.response == GOODBYE
    assert responses.is_busy


def test_while_tools_run_a_lost_session_owes_nothing_plain():
    responses = Responses(Timers())
    responses.note_created("r1", 0.0)
    responses.suspend(is_asked_later=True)
    assert responses.resume(9.0) == []

    responses.request(0.0, GOODBYE)
    responses.suspend(is_asked_later=True)
    (event,) = responses.resume(9.0)
    assert event.response == GOODBYE


def test_a_cancelled_response_is_not_owed():
    responses = Responses(Timers())
    responses.note_created("r1", 0.0)
    responses.cancel(0.0)
    responses.suspend()

    assert responses.resume(9.0) == []
    assert not responses.is_busy


def test_a_response_cut_off_and_a_turn_unanswered_are_owed_once():
    responses = Responses(Timers())
    responses.note_created("r1", 0.0)
    responses.note_committed(1.0)
    responses.suspend()

    assert len(responses.resume(9.0)) == 1
    assert responses.answer_by is None


def test_something_else_can_be_asked_for_instead():
    responses = Responses(Timers())
    responses.suspend()

    (event,) = responses.resume(9.0, GOODBYE)
    assert event.response == GOODBYE


def test_what_sounds_runs_though_a_stray_end_has_taken_its_place():
    responses = Responses(Timers())
    responses.request(0.0)
    responses.note_done("nobody", 1.0)

    assert responses.is_unannounced("r1")
    responses.note_created("r1", 0.0)
    assert responses.cancel(0.0) == [openai.ResponseCancel()]
    responses.note_done("r1", 2.0)
    assert not responses.is_unannounced("r1")


def test_a_turn_that_a_lost_session_heard_begin_does_not_end_in_the_next():
    responses = Responses(Timers())
    responses.note_speech()
    assert responses.is_turn_heard
    responses.suspend(is_asked_later=False)

    assert not responses.is_turn_heard
