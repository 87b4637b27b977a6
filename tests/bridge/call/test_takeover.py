"""Takeover: who speaks with the caller, and when an operator is gone."""

import pytest

from bridge.call.takeover import PAUSE_S, WORDS_WAIT_S, Takeover
from bridge.call.timers import Timer, Timers


def taken_over(now=10.0):
    timers = Timers()
    takeover = Takeover(timers)
    takeover.begin(now)
    return takeover, timers


def test_a_takeover_waits_for_audio_and_says_how_long_it_was():
    takeover, timers = taken_over()

    assert takeover.is_on
    assert timers.deadline == 10.0 + PAUSE_S
    assert takeover.end(52.0) == 42.0
    assert not takeover.is_on
    assert timers.deadline is None


def test_audio_puts_the_end_off_and_its_absence_is_the_end():
    takeover, timers = taken_over()
    takeover.note_audio(13.0)

    assert not takeover.is_lost(13.4)
    assert timers.deadline == 13.0 + PAUSE_S
    assert not takeover.is_lost(15.0)
    assert timers.due(18.0) == [Timer.OPERATOR]
    assert takeover.is_lost(18.0)


def test_nobody_is_lost_who_has_left():
    takeover, _ = taken_over()
    takeover.end(12.0)

    assert not takeover.is_lost(20.0)


def test_frames_are_those_of_one_takeover():
    takeover, _ = taken_over()
    takeover.note_sent(3)
    takeover.end(12.0)
    takeover.begin(20.0)

    assert takeover.frames == 0


def test_a_hand_back_waits_so_long_for_words_and_counts_as_no_speech():
    takeover, timers = taken_over()

    takeover.hand_back("Ten percent.", 15.0)

    assert takeover.is_on
    assert takeover.is_handing_back
    assert not takeover.is_speaking
    assert takeover.note == "Ten percent."
    assert timers.deadline == 15.0 + WORDS_WAIT_S
    assert not takeover.is_lost(15.0 + WORDS_WAIT_S)
    assert takeover.end(15.8) == 5.0


def test_a_takeover_that_goes_on_lasts_from_its_beginning():
    takeover, timers = taken_over()
    takeover.note_sent(3)
    takeover.hand_back("Ten percent.", 15.0)

    takeover.go_on(15.5)
    takeover.note_sent(2)

    assert takeover.is_speaking
    assert takeover.frames == 5
    assert timers.deadline == 15.5 + PAUSE_S
    assert takeover.end(20.0) == 10.0


def test_a_call_has_one_operator():
    takeover, _ = taken_over()

    with pytest.raises(AssertionError):
        takeover.begin(11.0)
    takeover.end(12.0)
    with pytest.raises(AssertionError):
        takeover.end(13.0)
