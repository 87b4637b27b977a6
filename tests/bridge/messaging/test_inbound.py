"""What is read from the form of a message that came in."""

import pytest

from bridge.messaging.inbound import (
    BODY_CHARS_MAX,
    CHOICE_CHARS_MAX,
    MEDIA_MAX,
    Inbound,
    InboundError,
    Medium,
    Wish,
    read_inbound,
    wish_of,
)

SID = "SM" + "0123456789abcdef" * 2
MEDIA_URL = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1"


def form(**fields):
    return {
        "MessageSid": SID,
        "AccountSid": "AC1",
        "From": "whatsapp:+12025550123",
        "To": "whatsapp:+12025550199",
        "Body": "Hello",
        "NumMedia": "0",
        **fields,
    }


def test_a_message_is_read_without_the_channels_prefix():
    assert read_inbound(form(ProfileName="Dana", WaId="12025550123")) == Inbound(
        sid=SID,
        account_sid="AC1",
        writer="+12025550123",
        own_number="+12025550199",
        profile_name="Dana",
        body="Hello",
    )


@pytest.mark.parametrize("sid", ["MM" + "a" * 32, "SM" + "0" * 32])
def test_both_kinds_of_ids_are_taken(sid):
    assert read_inbound(form(MessageSid=sid)).sid == sid


@pytest.mark.parametrize(
    ("fields", "reason", "told"),
    [
        ({"MessageSid": ""}, "sid", "expected SM or MM and 32 digits"),
        ({"MessageSid": "CA" + "0" * 32}, "sid", "SM or MM and 32 digits: CA000"),
        ({"MessageSid": SID + "\n"}, "sid", "expected SM or MM"),
        ({"From": "+12025550123"}, "channel", "From: expected whatsapp:"),
        ({"From": "messenger:12345"}, "channel", "got 'messenger'"),
        ({"To": "+12025550199"}, "channel", "To: expected whatsapp:"),
        ({"From": "whatsapp:dana"}, "number", "expected whatsapp: and a number"),
        ({"From": "whatsapp:"}, "number", "got 9 characters"),
        ({"From": "whatsapp:12025550123"}, "number", "in E.164"),
        ({"NumMedia": "many"}, "media", "NumMedia: expected a number, got 'many'"),
        ({"NumMedia": "-1"}, "media", "got '-1'"),
        ({"NumMedia": "1"}, "media", "MediaUrl0: expected a URL, got 0 characters"),
        ({"NumMedia": "1", "MediaUrl0": "x" * 1_025}, "media", "got 1025 characters"),
    ],
)
def test_a_form_that_is_no_message_says_what_was_expected(fields, reason, told):
    with pytest.raises(InboundError) as raised:
        read_inbound(form(**fields))

    assert raised.value.reason == reason
    assert told in str(raised.value)


@pytest.mark.parametrize("field", ["From", "To"])
def test_an_error_shows_no_number(field):
    with pytest.raises(InboundError) as raised:
        read_inbound(form(**{field: "whatsapp:+12025550123x7"}))

    assert "2025550123" not in str(raised.value)


def test_a_voice_note_has_no_body():
    fields = {"MediaUrl0": MEDIA_URL, "MediaContentType0": "audio/ogg; codecs=opus"}

    found = read_inbound(form(Body="", NumMedia="1", **fields))

    assert found.body == ""
    assert found.media == (Medium(MEDIA_URL, "audio/ogg; codecs=opus"),)


def test_no_more_media_are_read_than_twilio_sends():
    fields = {f"MediaUrl{index}": MEDIA_URL for index in range(20)}

    assert len(read_inbound(form(NumMedia="20", **fields)).media) == MEDIA_MAX


@pytest.mark.parametrize("field", ["ListId", "ButtonPayload"])
def test_a_row_or_a_button_that_was_taken_has_its_id(field):
    found = read_inbound(form(Body="Monday, 9:00", **{field: "slot:3"}))

    assert (found.choice, found.body) == ("slot:3", "Monday, 9:00")


def test_a_button_whose_word_is_stop_may_be_a_templates_own():
    found = read_inbound(form(Body="Stop", ButtonPayload="b:1"))

    assert (found.wish, found.choice) == (Wish.STOP, "b:1")


def test_an_id_that_is_too_long_is_none_of_ours():
    found = read_inbound(form(ListId="x" * (CHOICE_CHARS_MAX + 1)))

    assert (found.choice, found.is_cut) == ("", True)


def test_long_texts_are_cut_and_that_is_said():
    found = read_inbound(form(Body="x" * (BODY_CHARS_MAX + 1), ProfileName="y" * 500))

    assert (len(found.body), len(found.profile_name)) == (BODY_CHARS_MAX, 128)
    assert found.is_cut
    assert not read_inbound(form(Body="x" * BODY_CHARS_MAX)).is_cut


def test_what_a_database_cannot_hold_is_replaced():
    found = read_inbound(form(Body="a\0b\ud800", ProfileName="D\0\nana"))

    assert found.body == "a\N{REPLACEMENT CHARACTER}b?"
    assert found.profile_name == "D\N{REPLACEMENT CHARACTER} ana"


def test_a_shared_place_is_text_with_a_geo_uri():
    place = {"Latitude": "32.08", "Longitude": "34.78", "Label": "Home"}

    assert read_inbound(form(Body="", **place)).body == "Home\ngeo:32.08,34.78"
    assert read_inbound(form(Body="here", **place)).body == "here"


@pytest.mark.parametrize(
    "text",
    [
        *("STOP", "stop", " Stop! ", "Stop.", "*STOP*", "unsubscribe", "Stop all"),
        *("הסר", "הסר אותי", "„הסר”", "توقف", "إلغاء الاشتراك", "أوقف"),
        *("Arrêt", "ARRET", "стоп", "darme de baja"),
    ],
)
def test_words_that_stop_a_conversation(text):
    assert wish_of(text) is Wish.STOP


@pytest.mark.parametrize("text", ["baja", "Dur!", "parar", "הסרה", "afmelden"])
def test_words_of_stop_that_may_be_answers(text):
    found = read_inbound(form(Body=text))
    assert (found.wish, found.may_answer) == (Wish.STOP, True)


@pytest.mark.parametrize("text", ["STOP", "unsubscribe", "הסר", "стоп", "alta", "yes"])
def test_words_of_stop_that_are_nothing_else(text):
    assert not read_inbound(form(Body=text)).may_answer


@pytest.mark.parametrize("text", ["START", "unstop", "התחל", "ابدأ", "Старт"])
def test_words_that_start_it_again(text):
    assert wish_of(text) is Wish.START


@pytest.mark.parametrize(
    "text",
    [
        *("", "cancel", "end", "quit", "yes", "no", "stop by at nine", "I will stop"),
        *("לבטל", "תבטל", "do not stop", "!", "\N{OCTAGONAL SIGN}", "stop " * 100),
    ],
)
def test_other_texts_are_for_the_assistant(text):
    assert wish_of(text) is None
