"""Both sides' words, in the conversation's order."""

import pytest

from bridge.call.transcript import TURN_CHARS_MAX, TURN_PARTS_MAX, Transcript
from bridge.media.playout import Cut


def said(transcript):
    return [(turn.role, turn.text) for turn in transcript.turns()]


def test_deltas_are_merged_into_one_turn_and_the_whole_replaces_them():
    transcript = Transcript()
    transcript.add_text("ai", "i1", "Good ", 1.0)
    transcript.add_text("ai", "i1", "mornin", 1.1)
    transcript.set_text("ai", "i1", " Good morning. ", 1.2)

    assert said(transcript) == [("ai", "Good morning.")]
    assert transcript.turns()[0].at_s == 1.0


def test_words_that_come_late_stand_where_they_were_said():
    transcript = Transcript()
    transcript.place("ai", "a1", 1.0)
    transcript.place("caller", "u1", 2.0, "a1")
    transcript.set_text("ai", "a2", "At nine?", 3.0)
    transcript.place("caller", "u0", 4.0, "a1")
    transcript.set_text("caller", "u1", "Tuesday.", 5.0)
    transcript.set_text("caller", "u0", "Hello.", 5.1)
    transcript.set_text("ai", "a1", "Hi.", 5.2)

    assert [text for _, text in said(transcript)] == [
        "Hi.",
        "Hello.",
        "Tuesday.",
        "At nine?",
    ]


def test_an_item_nobody_knows_of_goes_to_the_end():
    transcript = Transcript()
    transcript.set_text("ai", "a1", "Hi.", 1.0)
    transcript.place("caller", "u1", 2.0, "nobody")
    transcript.set_text("caller", "u1", "Hello.", 3.0)

    assert said(transcript)[-1] == ("caller", "Hello.")


def test_turns_without_words_are_left_out():
    transcript = Transcript()
    transcript.place("caller", "u1", 1.0)

    assert transcript.turns() == []


def test_a_turn_whose_words_nobody_knows_was_spoken_all_the_same():
    transcript = Transcript()
    for item_id in ("u1", "u2", "u3"):
        transcript.place("caller", item_id, 1.0)
    transcript.place("ai", "a1", 1.0)
    transcript.close("u1")
    transcript.set_text("caller", "u2", "", 2.0)  # a noise: there were no words

    assert [turn.item_id for turn in transcript.spoken()] == ["u1", "u3"]
    assert transcript.turns() == []


def test_an_interrupted_turn_keeps_the_words_that_were_heard():
    transcript = Transcript()
    transcript.set_text("ai", "a1", "On Tuesday I have nine, ten and eleven.", 1.0)
    transcript.cut(Cut("a1", 0, 1_000, 3_000))
    (turn,) = transcript.turns()
    assert (turn.text, turn.heard_ms, turn.interrupted) == ("On Tuesday I", 1_000, True)

    transcript.add_text("ai", "a1", " More.", 2.0)
    transcript.set_text("ai", "a1", "All of it.", 2.0)
    assert turn.text == "On Tuesday I"


@pytest.mark.parametrize(("heard_ms", "total_ms"), [(0, 0), (0, 500)])
def test_a_turn_of_which_nothing_was_heard_is_still_there(heard_ms, total_ms):
    transcript = Transcript()
    transcript.set_text("ai", "a1", "Well.", 1.0)
    transcript.cut(Cut("a1", 0, heard_ms, total_ms))

    assert said(transcript) == [("ai", "")]


def test_words_that_come_after_the_cut_are_cut_as_well():
    transcript = Transcript()
    transcript.place("ai", "a1", 1.0)
    transcript.cut(Cut("a1", 0, 2_000, 4_000))
    transcript.set_text("ai", "a1", "One two three four five six.", 2.0)
    transcript.set_text("ai", "a1", "One two three four five six.", 3.0)

    (turn,) = transcript.turns()
    assert (turn.text, turn.interrupted) == ("One two three", True)


def test_what_has_no_sound_is_cut_wholly_before_its_words_and_after_them():
    transcript = Transcript()
    transcript.set_text("ai", "a1", "Hello.", 1.0)
    transcript.set_text("caller", "u1", "Hi.", 2.0)
    transcript.place("caller", "u2", 3.0)
    for item_id in ("a2", "a3", "a4"):
        transcript.place("ai", item_id, 4.0)
    transcript.note_sound("a2")
    transcript.note_sound("nobody")
    transcript.add_text("ai", "a3", "You are", 4.0)

    transcript.cut_soundless()
    for item_id in ("a2", "a3", "a4"):
        transcript.set_text("ai", item_id, "You are booked.", 5.0)

    assert said(transcript) == [
        ("ai", "Hello."),
        ("caller", "Hi."),
        ("ai", "You are booked."),
        ("ai", ""),
        ("ai", ""),
    ]
    assert [turn.heard_ms for turn in transcript.turns()[2:]] == [None, 0, 0]


def test_cutting_what_nobody_knows_of_changes_nothing():
    transcript = Transcript()
    transcript.cut(Cut("nobody", 0, 1, 2))

    assert transcript.turns() == []


def two_parts():
    transcript = Transcript()
    transcript.add_text("ai", "a1", "On Tues", 1.0)
    transcript.set_text("ai", "a1", "On Tuesday.", 1.0, 0)
    transcript.add_text("ai", "a1", "At nine", 1.0, 1)
    transcript.set_text("ai", "a1", "At nine or ten.", 1.0, 1)
    return transcript


def test_an_item_of_two_parts_is_one_turn():
    assert said(two_parts()) == [("ai", "On Tuesday. At nine or ten.")]


@pytest.mark.parametrize(
    ("cuts", "text", "heard_ms"),
    [
        ([Cut("a1", 0, 500, 1_000), Cut("a1", 1, 0, 1_000, 1_000)], "On", 500),
        ([Cut("a1", 1, 500, 1_000, 1_000)], "On Tuesday. At nine", 1_500),
        ([Cut("a1", 0, 0, 1_000)], "", 0),
    ],
)
def test_a_turn_is_cut_in_the_part_that_was_heard(cuts, text, heard_ms):
    transcript = two_parts()
    for cut in cuts:
        transcript.cut(cut)
    transcript.set_text("ai", "a1", "At nine or ten.", 2.0, 1)

    (turn,) = transcript.turns()
    assert (turn.text, turn.heard_ms) == (text, heard_ms)


def test_a_turn_has_so_many_parts_and_no_more():
    transcript = Transcript()
    for part in range(TURN_PARTS_MAX + 2):
        transcript.add_text("ai", "a1", "x", 1.0, part)

    assert len(transcript.turns()[0].parts) == TURN_PARTS_MAX
    assert transcript.dropped_chars == 2


def test_words_over_the_limit_count_once_in_pieces_and_in_the_whole():
    transcript = Transcript()
    text = "x" * (TURN_CHARS_MAX + 7)
    transcript.add_text("ai", "a1", text[:-10], 1.0)
    transcript.add_text("ai", "a1", text[-10:], 1.0)
    transcript.set_text("ai", "a1", text, 2.0)
    assert transcript.dropped_chars == 7

    transcript.set_text("caller", "u1", text, 3.0)
    assert transcript.dropped_chars == 14
