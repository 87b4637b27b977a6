"""OperatorVoice: where portions begin and end, and what is dropped."""

import pytest

from bridge.call.operator_voice import (
    IN_FLIGHT_MAX,
    PORTION_FRAMES_MAX,
    PREROLL_FRAMES,
    WAITING_FRAMES_MAX,
    Known,
    OperatorVoice,
)

from ..builders import FRAME_S, SILENCE, clip

SPEECH = clip("ai-en-greeting")
PAUSE = [SILENCE] * 40
ENDLESS = clip("human-en-reader-1")[20:300]


def hear(voice, frames, now=10.0):
    for number, frame in enumerate(frames):
        voice.hear(frame, now + number * FRAME_S)


def begun():
    voice = OperatorVoice()
    voice.begin()
    return voice


def portions(voice):
    found = []
    while (portion := voice.due()) is not None:
        found.append(portion)
    return found


def test_a_portion_ends_with_a_pause_and_holds_what_was_heard():
    voice = begun()

    hear(voice, PAUSE + SPEECH + PAUSE)
    [portion] = portions(voice)

    heard = b"".join(PAUSE + SPEECH + PAUSE)
    assert portion.audio in heard
    assert len(SPEECH) - 30 < len(portion.audio) / 160 < len(SPEECH) + 40
    # It begins a little before the voice was certain.
    first = heard.index(portion.audio) / 160
    assert portion.began_at == pytest.approx(
        10.0 + (first + PREROLL_FRAMES - 1) * FRAME_S
    )


def test_a_short_gap_ends_no_portion():
    voice = begun()

    hear(voice, SPEECH[:100] + [SILENCE] * 10 + SPEECH[:100])
    assert portions(voice) == []
    voice.end()

    assert len(portions(voice)) == 1


def test_endless_speech_is_cut_at_the_longest_portion():
    voice = begun()

    hear(voice, ENDLESS * 4)
    [portion] = portions(voice)

    assert len(portion.audio) // 160 <= PORTION_FRAMES_MAX


def test_silence_and_knocks_are_not_transcribed():
    voice = begun()

    hear(voice, [SILENCE] * 500 + SPEECH[8:14] + PAUSE)
    voice.end()

    assert portions(voice) == []
    assert not voice.is_awaited


def test_nobody_is_heard_before_and_after_a_takeover():
    voice = OperatorVoice()
    hear(voice, SPEECH + PAUSE)
    voice.begin()
    voice.end()
    hear(voice, SPEECH + PAUSE)

    assert portions(voice) == []


def test_few_portions_are_transcribed_at_a_time():
    voice = begun()
    hear(voice, (SPEECH + PAUSE) * 4)
    for number in range(IN_FLIGHT_MAX):
        assert voice.due() is not None
        voice.note_asked(f"o{number}")

    assert voice.due() is None
    voice.note_answered("o0", is_heard=True, failed=False)
    assert voice.due() is not None


def test_the_oldest_voice_is_dropped_and_counted_where_nothing_answers():
    voice = begun()

    hear(voice, (SPEECH + PAUSE) * 20)
    voice.end()
    rest = voice.rest()

    frames = sum(len(one.audio) for one in rest) // 160
    assert WAITING_FRAMES_MAX - 350 < frames <= WAITING_FRAMES_MAX
    assert voice.dropped_frames > 0
    assert rest[-1].began_at > rest[0].began_at > 11.0
    assert not voice.is_awaited


def test_how_much_is_known_is_said_of_one_takeover():
    voice = begun()
    assert voice.known is Known.NOTHING
    voice.note_asked("o1")
    voice.note_asked("o2")
    voice.note_answered("o1", is_heard=True, failed=False)
    assert voice.known is Known.PART
    voice.note_answered("o2", is_heard=False, failed=False)
    assert voice.known is Known.ALL
    voice.note_asked("o3")
    voice.note_answered("o3", is_heard=False, failed=True)
    assert voice.known is Known.PART

    voice.end()
    voice.go_on()
    assert voice.known is Known.PART
    voice.end()
    voice.begin()
    assert voice.known is Known.NOTHING
