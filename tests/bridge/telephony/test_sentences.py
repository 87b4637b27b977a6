"""What we say in the caller's language: every one that Twilio can speak."""

import string

import pytest

from bridge.agent.spoken import language_name
from bridge.telephony import sentences, twiml

ALL = (
    sentences.SORRY,
    sentences.SORRY_IN,
    sentences.GREETINGS,
    sentences.GREETINGS_IN,
)


def test_every_language_that_twilio_speaks_has_both_sentences():
    spoken = {tag for tag in twiml._LOCALES if "-" not in tag}

    assert spoken == set(sentences.SORRY) <= set(sentences.GREETINGS)
    assert set(sentences.SORRY_IN) == set(sentences.GREETINGS_IN)
    assert set(sentences.SORRY_IN) < set(twiml._LOCALES)
    assert all(language_name(language) for language in spoken)


def test_no_two_languages_say_the_same():
    for table in ALL:
        assert len(set(table.values())) == len(table)


def test_sentences_are_one_line_of_plain_text():
    for table in ALL:
        for text in table.values():
            assert text.isprintable()
            assert text == text.strip()


@pytest.mark.parametrize("table", [sentences.GREETINGS, sentences.GREETINGS_IN])
def test_greetings_name_the_business_once(table):
    for text in table.values():
        fields = [name for _, name, _, _ in string.Formatter().parse(text) if name]
        assert fields == ["name"]


def test_country_has_its_own_words_where_it_says_it_otherwise():
    assert sentences.sorry_in("pt", "PT").startswith("Lamentamos")
    assert sentences.sorry_in("pt", "BR").startswith("Desculpe")
    assert sentences.sorry_in("pt") == sentences.sorry_in("pt", "BR")
    assert sentences.greeting_in("zh", "HK") != sentences.greeting_in("zh", "CN")


def test_language_of_two_names_is_one():
    assert sentences.sorry_in("no", "NO") == sentences.sorry_in("nb")
    assert sentences.greeting_in("iw") == sentences.greeting_in("he")


def test_language_that_twilio_cannot_speak_has_none():
    assert sentences.sorry_in("ka", "GE") is None
    # Better English that is heard than Slovene that is not.
    assert sentences.sorry_in("sl", "SI") is None
    assert sentences.greeting_in("sl", "SI").startswith("Pozdravljeni")
    assert sentences.greeting_in("ka") is None
