"""When a turn has ended, by what the gate says and by the levels of the quiet."""

import pytest

from bridge.media import turn_end
from bridge.media.turn_end import (
    COVERED_FRAMES,
    SOFT_FRAMES_MAX,
    TAIL_FRAMES_MAX,
    TURN_FRAMES_MAX,
    TurnEnd,
)
from bridge.settings.options import CallOptions

SILENCE_FRAMES = 25
LOUD, SOFT, LINE = 2_000.0, 100.0, 10.0


def turn(mode="gate", loud=LOUD):
    """A turn of a second."""
    end = TurnEnd(CallOptions(turn_detection=mode, turn_silence_ms=500))
    end.note(loud, True, False)
    end.begin()
    for _ in range(50):
        end.note(loud, True, False)
    return end


def frames_until_over(end, levels, may_open=()):
    """How many quiet frames end the turn; these levels first, the last one goes on."""
    for at in range(200):
        level = levels[min(at, len(levels) - 1)]
        end.note(level, False, at in may_open)
        if end.is_over(False):
            return at + 1
    return None


def test_a_turn_ends_after_its_silence():
    assert frames_until_over(turn(), [LINE]) == SILENCE_FRAMES


def test_a_gate_that_is_open_ends_no_turn():
    end = turn()
    for _ in range(100):
        end.note(LINE, False, False)

    assert not end.is_over(True)
    assert end.is_over(False)


def test_a_soft_end_of_a_word_puts_the_silence_off():
    assert frames_until_over(turn(), [SOFT] * 3 + [LINE]) == SILENCE_FRAMES + 3
    soft = [SOFT] * (SOFT_FRAMES_MAX + 4) + [LINE]
    assert frames_until_over(turn(), soft) == SILENCE_FRAMES + SOFT_FRAMES_MAX


@pytest.mark.parametrize("frames", [1, 3])
def test_a_soft_onset_puts_the_end_off_until_it_is_decided(frames):
    levels = [LINE] * (SILENCE_FRAMES - 1) + [SOFT] * frames + [LINE]

    assert frames_until_over(turn(), levels) == SILENCE_FRAMES + frames + 2
    levels = [LINE] * (SILENCE_FRAMES - 1) + [SOFT]
    assert frames_until_over(turn(), levels) == SILENCE_FRAMES + SOFT_FRAMES_MAX


def test_a_gate_that_is_about_to_open_puts_the_end_off():
    opening = range(SILENCE_FRAMES - 1, SILENCE_FRAMES + 1)
    assert frames_until_over(turn(), [LINE], opening) == SILENCE_FRAMES + 2

    opening = range(SILENCE_FRAMES - 1, 200)
    ended = frames_until_over(turn(), [LINE], opening)
    assert ended == SILENCE_FRAMES + SOFT_FRAMES_MAX


def test_a_sound_below_a_quiet_line_is_no_soft_speech():
    assert frames_until_over(turn(), [40.0] * 12 + [0.0]) == SILENCE_FRAMES


def test_the_silence_is_longer_where_noise_covers_the_ends_of_words():
    covered = SILENCE_FRAMES + COVERED_FRAMES
    assert frames_until_over(turn(loud=500.0), [SOFT]) == covered
    assert frames_until_over(turn(loud=5_000.0), [SOFT]) == SILENCE_FRAMES


def test_sounds_that_do_not_rise_over_the_quiet_after_them_are_quiet():
    end = turn(loud=5_000.0)
    for _ in range(10):
        end.note(SOFT, True, False)

    assert frames_until_over(end, [SOFT]) == SILENCE_FRAMES - TAIL_FRAMES_MAX
    assert end.silence_frames() == SILENCE_FRAMES


def test_the_longest_turn_ends_whatever_the_gate_says_and_is_counted():
    end = turn()
    for _ in range(TURN_FRAMES_MAX - 50):
        end.note(LOUD, True, False)
    assert not end.is_over(True)
    end.close()
    assert end.long_turns == 0

    end.note(LOUD, True, False)
    assert end.is_over(True)
    end.close()
    assert end.long_turns == 1

    end.begin()
    end.note(LOUD, True, False)
    assert not end.is_over(True)


@pytest.mark.parametrize("mode", ["server_vad", "semantic_vad"])
def test_where_the_server_ends_turns_the_bridge_does_not(monkeypatch, mode):
    monkeypatch.setattr(turn_end, "TURN_FRAMES_MAX", 10)
    end = turn(mode)

    assert frames_until_over(end, [LINE]) is None
    assert end.quiet_frames == 200
    end.close()
    assert end.long_turns == 0
