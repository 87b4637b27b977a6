"""How long a call that ends is kept for what is still to be heard."""

from bridge.call.last_words import ENDING_S_MAX, LAST_MARK_S, LAST_WORDS_S, LastWords
from bridge.call.timers import Timer, Timers


def test_a_goodbye_that_never_comes_is_not_waited_for():
    timers = Timers()
    made = LastWords(timers)
    made.begin(10.0)
    assert timers.due(10.0 + LAST_WORDS_S) == [Timer.LAST_WORDS]
    timers.clear()

    assert made.are_over(25.0, is_speaking=False)
    assert timers.deadline is None


def test_what_is_being_heard_is_heard_to_its_end_but_not_for_ever():
    timers = Timers()
    made = LastWords(timers)
    made.begin(10.0)
    assert not made.are_over(25.0, is_speaking=True)
    assert timers.deadline == 25.0 + LAST_WORDS_S
    assert not made.are_over(60.0, is_speaking=True)
    assert timers.deadline == made.ends_at == 10.0 + ENDING_S_MAX

    assert made.are_over(10.0 + ENDING_S_MAX, is_speaking=True)


def test_the_last_mark_has_a_moment_to_come():
    timers = Timers()
    LastWords(timers).await_mark(20.0)
    assert timers.deadline == 20.0 + LAST_MARK_S


def test_a_goodbye_is_asked_for_once():
    made = LastWords(Timers())
    assert not made.is_asked
    made.note_asked()
    assert made.is_asked
