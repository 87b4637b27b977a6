"""What of the withheld audio is the caller's."""

import pytest

from bridge.media.withheld_sound import (
    FIRST_FRAMES_MAX,
    OWN_FRAMES_MIN,
    OWN_GAP_FRAMES,
    TAIL_FRAMES_MAX,
    WithheldSound,
)
from bridge.settings.options import CallOptions

PREROLL, LATE = 10, 75


def made():
    return WithheldSound(CallOptions(audio_preroll_ms=200, late_answer_ms=1_500))


def heard(sound, kinds, is_audible=True, is_echoless=False):
    """Own sounds, an open gate on what may be an echo, a gate that would be open on a
    line without one, and quiet frames."""
    for kind in kinds:
        is_open = kind in "so"
        sound.note(kind == "s", is_open, kind in "sou", is_audible, is_echoless)
    return sound


def test_a_gate_that_is_open_on_an_echo_is_no_sound():
    sound = heard(made(), "o" * 100)
    assert sound.frames == 0 and not sound.is_answer


def test_a_sound_begins_with_its_first_frame_and_its_preroll():
    sound = heard(made(), "q" * 20 + "s")
    assert sound.frames == PREROLL + 1 and not sound.is_answer

    heard(sound, "s" * (OWN_FRAMES_MIN - 1))
    assert sound.frames == PREROLL + OWN_FRAMES_MIN and sound.is_answer


@pytest.mark.parametrize("frames", [5, 40])
def test_what_opened_the_gate_before_a_sound_belongs_to_it(frames):
    sound = heard(made(), "o" * frames + "s")
    assert sound.frames == PREROLL + 1 + min(frames, FIRST_FRAMES_MAX)


def test_a_frame_that_was_louder_by_chance_is_forgotten():
    sound = heard(made(), "s" + "o" * (OWN_GAP_FRAMES + 1) + "s")
    assert not sound.is_answer
    assert sound.frames < PREROLL + OWN_GAP_FRAMES + FIRST_FRAMES_MAX

    assert heard(sound, "s").is_answer


def test_where_there_proves_to_be_no_echo_a_sound_begins_with_the_first_open_gate():
    sound = heard(made(), "o" * 30 + "q" * 20 + "o" * 30)
    assert sound.frames == 0 and sound.possible_frames == PREROLL + 81

    heard(sound, "s", is_echoless=True)
    assert sound.frames == PREROLL + 81


def test_what_would_have_opened_the_gate_without_an_echo_counts_once_there_is_none():
    sound = heard(made(), "u" * 60 + "s")
    assert sound.frames == PREROLL + 1

    sound = heard(made(), "u" * 60)
    heard(sound, "s", is_echoless=True)
    assert sound.frames == PREROLL + 61


def test_what_began_in_doubt_is_longer_where_there_proves_to_be_no_echo():
    sound = heard(made(), "o" * 60 + "ss")
    assert sound.frames == PREROLL + FIRST_FRAMES_MAX + 2

    heard(sound, "s", is_echoless=True)
    assert sound.frames == PREROLL + 63


def test_lost_audio_is_part_of_what_began_in_doubt():
    sound = heard(made(), "o" * 30)
    sound.note_gap(5)
    heard(sound, "oos", is_echoless=True)
    assert sound.frames == PREROLL + 38


def test_what_the_gate_heard_long_before_a_sound_is_none_of_it():
    sound = heard(made(), "o" * 30 + "q" * (LATE + 1))
    heard(sound, "s", is_echoless=True)
    assert sound.frames == PREROLL + 1


def test_a_sound_goes_on_while_the_gate_is_open_and_a_little_longer():
    sound = heard(made(), "ss" + "o" * 200)
    assert sound.is_answer and sound.frames == PREROLL + 202

    assert heard(sound, "q" * LATE).is_answer
    assert not heard(sound, "q").is_answer
    assert heard(sound, "ss").frames == PREROLL + 2


def test_an_open_turn_is_the_callers():
    sound = made()
    sound.begin_in_turn(3)
    assert sound.is_answer and sound.frames == 3

    sound.note_gap(LATE)
    assert sound.is_answer and sound.frames == 3 + LATE
    sound.note_gap(1)
    assert not sound.is_answer
    sound.forget()
    assert sound.frames == 0


def test_the_tail_of_the_echo_is_as_long_as_the_longest_echo():
    sound = heard(made(), "q")
    assert sound.tail_frames == TAIL_FRAMES_MAX
    heard(sound, "q" * TAIL_FRAMES_MAX, is_audible=False)
    assert sound.tail_frames == 0
