"""Long answers become messages that are cut where a reader pauses."""

import random

import pytest

from bridge.messaging.splitting import UNITS_MAX, split, units_of

RIGHT, LEFT = "\N{RIGHT-TO-LEFT MARK}", "\N{LEFT-TO-RIGHT MARK}"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


def test_a_text_within_the_limit_is_one_message():
    assert split(" Hello there. ") == ["Hello there."]
    assert split("x" * UNITS_MAX) == ["x" * UNITS_MAX]


@pytest.mark.parametrize("text", ["", "  \n\n "])
def test_a_text_without_a_character_is_no_message(text):
    assert split(text) == []


def test_a_text_is_cut_between_paragraphs_first():
    text = "One. Two.\n\nThree. Four, five, six."

    assert split(text, 25) == ["One. Two.", "Three. Four, five, six."]


def test_a_text_is_cut_after_a_sentence():
    text = "We open at nine. We close at five. On Friday we are closed."

    assert split(text, 40) == [
        "We open at nine. We close at five.",
        "On Friday we are closed.",
    ]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("האם זה טוב? כן, זה טוב מאוד", "האם זה טוב?"),
        ("هل هذا جيد؟ نعم هذا جيد جدا", "هل هذا جيد؟"),
        ("क्या यह ठीक है। हाँ यह ठीक है", "क्या यह ठीक है।"),
        ("我们九点开门。星期五我们不开门,请星期天来", "我们九点开门。"),
        ("He said “come.” Then he left at once", "He said “come.”"),
        ("Wait … what about the other day", "Wait …"),
    ],
)
def test_sentences_end_as_each_script_ends_them(text, first):
    assert split(text, len(first) + 8)[0] == first


def test_a_short_sentence_before_a_long_one_is_no_message_of_its_own():
    text = "Yes. " + "word " * 20

    assert split(text, 60)[0].startswith("Yes. word word")


def test_neither_a_lists_number_nor_an_abbreviation_ends_a_sentence():
    text = "These times are free:\n1. Monday at nine\n2. Tuesday at ten"

    assert split(text, 48) == [
        "These times are free:\n1. Monday at nine",
        "2. Tuesday at ten",
    ]
    assert (
        split("bring your papers, e.g. the card", 26)[0]
        == ("bring your papers, e.g. the"[:26].rpartition(" ")[0])
    )


def test_a_text_without_sentences_is_cut_at_lines_and_then_at_spaces():
    assert split("alpha beta\ngamma delta", 18) == ["alpha beta", "gamma delta"]
    assert split("alpha beta gamma", 12) == ["alpha beta", "gamma"]


def test_an_address_is_not_cut_while_there_is_a_space():
    text = "See https://example.com/a/long/way for it"

    assert "https://example.com/a/long/way" in split(text, 36)[0]


def test_a_limit_is_counted_in_utf_16():
    """Twilio's page says characters; units are never fewer."""
    text = "\N{GRINNING FACE}" * 10

    assert units_of(text) == 20
    assert [units_of(part) for part in split(text, 8)] == [8, 8, 4]


@pytest.mark.parametrize("seen", [FAMILY, "e\u0301", "\U0001f1ee\U0001f1f1", "👍🏽"])
def test_what_is_seen_as_one_character_is_not_cut(seen):
    """But where one alone is longer than the limit."""
    text = "x" * 11 + seen

    assert split(text, 12) == ["x" * 11, seen] or seen == "\U0001f1ee\U0001f1f1"
    assert seen in split(text, 12)[1]


def test_a_mark_alone_that_fills_a_message_is_cut_all_the_same():
    parts = split("e" + "\u0301" * 30, 10)

    assert max(map(units_of, parts)) <= 10


def test_a_part_of_a_hebrew_paragraph_stays_right_to_left():
    """It begins with a Latin name, by which a telephone would set the part."""
    text = "שלום וברוכים הבאים למרפאה שלנו. Dr. Cohen מקבלת בימי שני."

    first, second = split(text, 40)

    assert first == "שלום וברוכים הבאים למרפאה שלנו."
    assert second == RIGHT + "Dr. Cohen מקבלת בימי שני."


def test_a_part_of_an_english_paragraph_stays_left_to_right():
    text = "The name of the clinic is as follows. שלום is how it is written."

    assert split(text, 45)[1].startswith(LEFT + "שלום")


def test_a_paragraph_of_its_own_has_its_own_direction():
    text = "שלום וברוכים הבאים למרפאה.\n\nWelcome to the clinic."

    assert split(text, 30) == ["שלום וברוכים הבאים למרפאה.", "Welcome to the clinic."]


@pytest.mark.parametrize("seed", range(200))
def test_any_text_is_cut_into_parts_that_fit_and_hold_all_of_it(seed):
    chance = random.Random(seed)
    letters = "ab. !?\n\n אבג. ,1 é\u0301中。" + FAMILY + RIGHT + "👍🏽"
    text = "".join(chance.choice(letters) for _ in range(chance.randrange(400)))
    units_max = chance.randrange(12, 80)

    parts = split(text, units_max)

    def visible(one):
        marks = (RIGHT, LEFT)
        return [char for char in one if not char.isspace() and char not in marks]

    assert all(0 < units_of(part) <= units_max for part in parts)
    assert visible("".join(parts)) == visible(text)
