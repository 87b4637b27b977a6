"""A loop is corrected once; if it goes on it ends the call. Another gets its own."""

import pytest

from bridge.call.loop_correction import LoopCorrection, Verdict
from bridge.call.loops import LOOP_TURNS
from bridge.call.transcript import TURNS_MAX, Transcript

DAY = "Which day would you like to come?"
NAME = "May I have your name for that, please?"


@pytest.fixture
def transcript():
    return Transcript()


def say(transcript, text, times=1):
    """Let the AI say it so often, and nobody else say anything."""
    for _ in range(times):
        number = transcript.changes
        transcript.set_text("ai", f"i{number}", text, float(number))


def test_what_is_said_twice_is_no_loop(transcript):
    say(transcript, DAY, LOOP_TURNS - 1)
    assert LoopCorrection(transcript).judge() is Verdict.NOTHING


def test_a_loop_is_corrected_once_and_ends_the_call_when_it_goes_on(transcript):
    made = LoopCorrection(transcript)
    say(transcript, DAY, LOOP_TURNS)
    assert made.judge() is Verdict.CORRECT
    assert made.judge() is Verdict.NOTHING  # nothing was said since

    say(transcript, DAY)
    assert made.judge() is Verdict.END


def test_another_loop_is_corrected_anew(transcript):
    made = LoopCorrection(transcript)
    say(transcript, DAY, LOOP_TURNS)
    assert made.judge() is Verdict.CORRECT

    say(transcript, NAME, LOOP_TURNS)
    assert made.judge() is Verdict.CORRECT


def test_a_loop_whose_correction_is_no_longer_kept_is_corrected_anew(transcript):
    made = LoopCorrection(transcript)
    say(transcript, DAY, LOOP_TURNS)
    assert made.judge() is Verdict.CORRECT
    for number in range(TURNS_MAX):
        transcript.set_text("caller", f"c{number}", f"Number {number}.", 1.0)

    say(transcript, DAY, LOOP_TURNS)
    assert made.judge() is Verdict.CORRECT
