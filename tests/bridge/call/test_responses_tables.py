"""The tables of what the place for a response holds, and of what is owed to a turn."""

import pytest

from bridge.call import responses
from bridge.call.responses import (
    ANSWER_WAIT_AFTER_S,
    BEGIN_S,
    STALL_S,
    Place,
    Repeat,
    Responses,
    Turn,
)
from bridge.call.timers import Timer, Timers
from tests.bridge import tables


def responses_in(place, timers=None):
    """One place for a response, as `place` says; what runs is r1."""
    made = Responses(timers or Timers())
    if place in (Place.ASKED, Place.CALLED_OFF):
        made.request(1.0)
    if place in (Place.RUNNING, Place.STOPPED):
        made.note_created("r1", 1.0)
    if place in (Place.CALLED_OFF, Place.STOPPED):
        made.cancel(1.0)
    if place is Place.SUSPENDED:
        made.suspend()
    assert made.place is place
    return made


CREATED = {
    Place.FREE: Place.RUNNING,
    Place.ASKED: Place.RUNNING,
    Place.CALLED_OFF: Place.STOPPED,
    Place.RUNNING: Place.RUNNING,
    Place.STOPPED: Place.RUNNING,
    Place.SUSPENDED: Place.SUSPENDED,
}
FREED = {place: Place.FREE for place in Place} | {Place.SUSPENDED: Place.SUSPENDED}
STAYS = {place: place for place in Place}
# What each fact makes of each place.
FACTS = {
    "another begins": (lambda made: made.note_created("r2", 2.0), CREATED),
    "it ends": (lambda made: made.note_done("r1", 2.0), FREED),
    "another ends": (
        lambda made: made.note_done("r2", 2.0),
        FREED | {place: place for place in (Place.RUNNING, Place.STOPPED)},
    ),
    "it is given up": (lambda made: made.give_up(2.0), FREED),
    "we ask": (
        lambda made: made.request(2.0),
        STAYS | {Place.FREE: Place.ASKED},
    ),
    "we cancel": (
        lambda made: made.cancel(1.0),
        STAYS | {Place.ASKED: Place.CALLED_OFF, Place.RUNNING: Place.STOPPED},
    ),
    "the request fails": (
        lambda made: made.note_refused("response-1", 2.0, try_again=False),
        STAYS | {Place.ASKED: Place.FREE, Place.CALLED_OFF: Place.FREE},
    ),
    "the request collides": (
        lambda made: made.note_refused("response-1", 2.0, try_again=True),
        STAYS | {Place.ASKED: Place.FREE, Place.CALLED_OFF: Place.FREE},
    ),
    "a turn is heard": (Responses.note_speech, STAYS),
    "a turn is complete": (lambda made: made.note_committed(2.0), STAYS),
    "no answer has begun": (lambda made: made.ask_for_unanswered(2.0), STAYS),
    "we begin anew": (Responses.begin_anew, dict.fromkeys(Place, Place.FREE)),
}


def test_every_state_is_in_its_table():
    assert responses._NEXT_PLACE.keys() == FACTS["it ends"][1].keys() == set(Place)
    assert responses._NEXT_TURN.keys() == set(Turn)
    assert responses._NEXT_REPEAT.keys() == set(Repeat)


@pytest.mark.parametrize("place", Place)
@pytest.mark.parametrize("fact", FACTS)
def test_each_fact_leads_where_the_table_says(place, fact):
    made = responses_in(place)
    tell, leads_to = FACTS[fact]
    tell(made)

    assert made.place is leads_to[place]
    assert (made.active_id is not None) == (
        made.place in (Place.RUNNING, Place.STOPPED)
    )
    assert made.is_asked == (made.place in (Place.ASKED, Place.CALLED_OFF))


@pytest.mark.parametrize("old", Place)
@pytest.mark.parametrize("new", Place)
def test_an_illegal_place_raises_and_changes_nothing(old, new):
    made = responses_in(old)
    if new in responses._NEXT_PLACE[old]:
        made._to(new)
        assert made.place is new
    else:
        tables.refuses(made, lambda: made._to(new))


@pytest.mark.parametrize("place", Place)
def test_a_session_is_left_once_and_followed_once(place):
    left = responses_in(place)
    steps = [lambda: left.suspend(is_asked_later=True), lambda: left.resume(2.0)]
    if place is Place.SUSPENDED:
        steps.reverse()
    tables.refuses(left, steps[1])
    steps[0]()
    tables.refuses(left, steps[0])


def turn_in(turn, timers=None):
    made = Responses(timers or Timers())
    if turn is not Turn.ANSWERED:
        made.note_committed(1.0)
    if turn is Turn.LATER:
        made.note_created("r1", 1.0)
        made.note_committed(1.0)
        made.ask_for_unanswered(2.0)
    assert made.turn is turn
    return made


@pytest.mark.parametrize("old", Turn)
@pytest.mark.parametrize("new", Turn)
def test_an_illegal_turn_raises_and_changes_nothing(old, new):
    made = turn_in(old)
    if new in responses._NEXT_TURN[old]:
        made._turn_to(new)
        assert made.turn is new
    else:
        tables.refuses(made, lambda: made._turn_to(new))


@pytest.mark.parametrize(
    ("turn", "created", "done", "committed", "asked", "left"),
    [
        # created, another has ended, committed, no answer has begun, session left
        (Turn.ANSWERED, "ANSWERED", "ANSWERED", "AWAITED", "ANSWERED", "ANSWERED"),
        (Turn.AWAITED, "ANSWERED", "AWAITED", "AWAITED", "ANSWERED", "ANSWERED"),
        (Turn.LATER, "ANSWERED", "AWAITED", "AWAITED", "LATER", "ANSWERED"),
    ],
)
def test_each_fact_makes_of_a_turn_what_the_table_says(
    turn, created, done, committed, asked, left
):
    def after(step):
        timers = Timers()
        made = turn_in(turn, timers)
        step(made)
        timers.set(Timer.STALL, None)
        assert timers.deadline == made.answer_by
        assert (made.answer_by is not None) == (made.turn is Turn.AWAITED)
        return made.turn.name

    assert after(lambda made: made.note_created("r2", 3.0)) == created
    assert after(lambda made: made.note_done("r9", 3.0)) == done
    assert after(lambda made: made.note_committed(3.0)) == committed
    assert after(lambda made: made.ask_for_unanswered(3.0)) == asked
    assert after(Responses.suspend) == left
    assert after(Responses.begin_anew) == "ANSWERED"


@pytest.mark.parametrize("old", Repeat)
@pytest.mark.parametrize("new", Repeat)
def test_an_illegal_repeat_raises_and_changes_nothing(old, new):
    made = responses_in(Place.ASKED)
    if old is not made._repeat:
        made._repeat_to(old)
    if new in responses._NEXT_REPEAT[old]:
        made._repeat_to(new)
        assert made._repeat is new
    else:
        tables.refuses(made, lambda: made._repeat_to(new))


# --- what is owed is not waited for without end ---


def test_what_is_asked_for_or_begins_may_stall():
    timers = Timers()
    made = responses_in(Place.ASKED, timers)
    assert timers.deadline == 1.0 + BEGIN_S
    assert not made.is_stalled(11.0, audible_until=2.0)
    assert timers.deadline == 2.0 + BEGIN_S
    made.note_created("r1", 3.0)
    assert timers.deadline == 3.0 + STALL_S
    timers.clear()
    assert made.is_stalled(18.0, audible_until=3.0)
    assert timers.deadline is None

    assert not made.is_stalled(18.0, audible_until=4.0)
    assert timers.deadline == 4.0 + STALL_S
    made.suspend()
    assert timers.deadline is None


@pytest.mark.parametrize("place", [Place.CALLED_OFF, Place.STOPPED])
def test_the_end_of_what_is_cancelled_is_awaited_whatever_the_caller_hears(place):
    timers = Timers()
    made = responses_in(place, timers)
    timers.clear()

    assert made.is_stalled(18.0, audible_until=17.0)
    assert timers.deadline is None


def test_the_end_of_what_is_cancelled_is_awaited_from_then_on():
    timers = Timers()
    made = responses_in(Place.RUNNING, timers)

    made.cancel(9.0)

    assert timers.deadline == 9.0 + STALL_S


def test_nothing_stalls_where_nothing_is_owed():
    timers = Timers()
    made = responses_in(Place.FREE, timers)
    assert not made.is_stalled(99.0, audible_until=0.0)
    assert timers.deadline is None


def test_a_beginning_told_after_its_end_leaves_an_unanswered_turn_awaited():
    timers = Timers()
    made = Responses(timers)
    made.note_created("r1", 1.0)
    made.note_committed(1.5)
    made.note_done("r1", 2.0)
    made.note_created("r1", 2.1)

    assert timers.due(2.0 + ANSWER_WAIT_AFTER_S) == [Timer.ANSWER]
    assert len(made.ask_for_unanswered(2.0 + ANSWER_WAIT_AFTER_S)) == 1


def test_what_a_session_says_before_it_is_confirmed_moves_nothing():
    made = responses_in(Place.SUSPENDED)
    made.note_created("r1", 1.0)
    made.note_committed(1.0)

    assert not made.is_unannounced("r1")
    assert not made.is_its_end("r1")
    assert made.place is Place.SUSPENDED
