"""TwiML documents, read back with an XML parser."""

from xml.etree.ElementTree import fromstring

import pytest

from bridge.sandbox.twiml import parse
from bridge.telephony import twiml

URLS = twiml.StreamUrls(
    media="wss://bridge.example/twilio/media",
    after="https://bridge.example/twilio/after-stream",
    status="https://bridge.example/twilio/stream-status",
)
SORRY = twiml.Sentence("Sorry & <goodbye>", "en")


def test_stream_is_followed_by_the_fallback():
    connect, say = fromstring(twiml.connect_stream(URLS, {"token": "t"}, SORRY))

    assert connect.tag == "Connect"
    assert connect.attrib == {"action": URLS.after, "method": "POST"}
    assert say.tag == "Say"
    assert say.text == SORRY.text
    assert say.attrib == {"language": "en-US"}


def test_stream_names_where_it_goes_and_who_calls():
    document = twiml.connect_stream(
        URLS, {"token": 'a"<b>', "from": "+15550000000"}, SORRY
    )
    stream = fromstring(document)[0][0]

    assert stream.tag == "Stream"
    assert stream.attrib == {
        "url": URLS.media,
        "statusCallback": URLS.status,
        "statusCallbackMethod": "POST",
    }
    assert [parameter.attrib for parameter in stream] == [
        {"name": "token", "value": 'a"<b>'},
        {"name": "from", "value": "+15550000000"},
    ]


def test_parameter_is_kept_under_twilios_limit():
    stream = fromstring(twiml.connect_stream(URLS, {"from": "x" * 900}, SORRY))[0][0]

    assert len("from" + stream[0].attrib["value"]) == 499


def test_what_no_document_can_hold_is_left_out():
    odd = "So\x1brry\x00\ufffe\ud83d."
    document = twiml.connect_stream(URLS, {"from": odd}, twiml.Sentence(odd, "en"))
    connect, say = fromstring(document)

    assert say.text == "Sorry."
    assert connect[0][0].attrib["value"] == "Sorry."


def test_hebrew_is_spoken_by_a_voice_that_knows_it():
    document = twiml.say_and_hang_up(twiml.Sentence("שלום", "he"))
    say, hangup = fromstring(document)

    assert say.text == "שלום"
    assert say.attrib == {"language": "he-IL", "voice": "Google.he-IL-Standard-A"}
    assert hangup.tag == "Hangup"


@pytest.mark.parametrize(
    ("language", "country", "locale"),
    [
        ("nl", "NL", "nl-NL"),
        ("nl", "BE", "nl-BE"),
        ("pt", "BR", "pt-BR"),
        ("pt", "PT", "pt-PT"),
        ("en", "GB", "en-GB"),
        ("en", "IL", "en-US"),
        ("no", "NO", "nb-NO"),
        ("zh", "HK", "yue-HK"),
    ],
)
def test_language_is_spoken_as_the_country_speaks_it(language, country, locale):
    sentence = twiml.Sentence("x", twiml.tag_of(language, country))
    say = fromstring(twiml.say_and_hang_up(sentence))[0]

    assert say.attrib["language"] == locale


def test_country_without_a_voice_of_its_own_has_the_languages():
    say = fromstring(twiml.say_and_hang_up(twiml.Sentence("x", "de-CH")))[0]

    assert say.attrib == {"language": "de-DE"}


def test_voice_is_of_the_language_it_stands_for():
    for locale, voice in twiml._LOCALES.values():
        if voice is not None and voice.startswith("Google."):
            assert voice.startswith(f"Google.{locale}-")


def test_language_without_a_locale_is_left_to_twilio():
    say = fromstring(twiml.say_and_hang_up(twiml.Sentence("x", "tlh")))[0]

    assert say.attrib == {}


@pytest.mark.parametrize(
    ("word", "language"),
    [("לפנות", "he"), ("call", "en"), ("kalla", "is"), ("我" * 9, "")],
)
@pytest.mark.parametrize("words", [10, 3_000, 30_000])
def test_a_long_sentence_is_said_as_far_as_twilio_says_it(word, language, words):
    text = " ".join([word] * words)
    document = twiml.say_and_hang_up(twiml.Sentence(text, language))
    said, _ = parse(document, "text/xml").verbs

    assert parse(document, "text/xml").problems == []
    assert set(said.text.split(" ")) == {word}
    assert said.text == text or len(said.text) > 400


def test_number_not_in_service_is_said_so():
    say, hangup = fromstring(twiml.not_in_service())

    assert "not in service" in say.text
    assert hangup.tag == "Hangup"


def test_call_that_ended_well_is_hung_up():
    (hangup,) = fromstring(twiml.hang_up())

    assert hangup.tag == "Hangup"


def test_document_declares_its_encoding():
    assert twiml.hang_up().startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
