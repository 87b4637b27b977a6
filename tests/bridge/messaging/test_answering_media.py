"""Pictures and voice notes: what the model is given of them."""

import asyncio

import pytest

from bridge.messaging.media import Fetched, MediaRefused
from bridge.messaging.media_input import TRIES_MAX, fetch_with
from bridge.messaging.twilio_messages import FateUnknown, NotSent
from bridge.sandbox.responses.server import Fault
from bridge.settings.message_options import MessageOptions
from tests.bridge.messaging.chat import story

# A picture of one pixel.
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002014400"
    "3b"
)


def test_picture_is_seen_and_what_cannot_be_had_is_named(embedded_url):
    media = [
        {"url": "https://api.example/1", "content_type": "image/gif"},
        {"url": "https://api.example/2", "content_type": "image/png"},
        {"url": "https://api.example/3", "content_type": "audio/ogg"},
        {"url": "https://api.example/4", "content_type": "application/pdf"},
    ]
    fetched = []

    async def fetch(conversation, medium):
        fetched.append(medium["url"][-1])
        return ("image/gif", PIXEL) if medium["url"].endswith("1") else None

    async def tell(chat):
        assert "picture" in (await chat.says("", media=media)).body
        text, image = chat.server.requests[0]["input"][0]["content"]
        assert image["image_url"].startswith("data:image/gif;base64,R0lGOD")
        assert text["text"] == (
            "[a picture, which could not be loaded]\n"
            "[a voice note, which cannot be heard here]\n"
            "[a file, which cannot be read here]"
        )
        assert fetched == ["1", "2"]

    story(embedded_url, tell, media=fetch)


def test_picture_that_the_vendor_refuses_is_left_out_and_the_rest_answered(
    embedded_url,
):
    async def fetch(conversation, medium):
        return "image/gif", PIXEL

    async def tell(chat):
        media = [{"url": "https://api.example/1", "content_type": "image/gif"}]
        await chat.says("Can I come at ten?", media=media)
        refused, answered = (one["input"] for one in chat.server.requests)
        assert refused[0]["content"][1]["type"] == "input_image"
        words = "Can I come at ten?\n[a picture, which could not be loaded]"
        assert answered == [{"role": "user", "content": words}]

    story(embedded_url, tell, Fault(400), media=fetch, pauses_s=(0.01, 0.01))


def test_voice_note_is_named_to_the_model(embedded_url):
    async def tell(chat):
        media = [{"url": "https://api.example/1", "content_type": "audio/ogg"}]
        await chat.says("", media=media)
        assert chat.server.requests[0]["input"] == [
            {"role": "user", "content": "[a voice note, which cannot be heard here]"}
        ]

    story(embedded_url, tell)


NOTE = [{"url": "https://api.example/1", "content_type": "audio/ogg; codecs=opus"}]
HEARS = {"message": MessageOptions(whatsapp_transcription_model="gpt-transcribe")}


async def fetch_note(conversation, medium):
    return "audio/ogg", b"OggS" + b"x" * 119_996


def test_voice_note_is_heard_once_and_costs_its_minutes(embedded_url):
    async def tell(chat):
        asked = await chat.says("", media=NOTE)
        assert asked.body == "With pleasure. What is your name?"
        await chat.says("Dana Levi")
        first = chat.server.requests[-1]["input"][0]["content"]
        assert first == "[a voice note, as it was heard:] I want an appointment"
        assert chat.server.transcribed == 1
        [turn, _] = await chat.rows(
            "select usage, cost from message_turns order by begun_at"
        )
        assert turn["usage"]["transcription.seconds"] == 60
        assert turn["cost"] > 0.0045

    story(embedded_url, tell, settings=HEARS, media=fetch_note)


def test_voice_note_counted_in_tokens_costs_its_minutes(embedded_url):
    async def tell(chat):
        chat.server.heard = {
            "type": "tokens",
            "total_tokens": 630,
            "input_tokens": 620,
            "output_tokens": 10,
            "input_token_details": {"text_tokens": 20, "audio_tokens": 600},
        }
        await chat.says("", media=NOTE)
        [turn] = await chat.rows("select usage, cost from message_turns")
        assert turn["usage"]["transcription.input_tokens"] == 620
        assert turn["usage"]["transcription.input_token_details.audio_tokens"] == 600
        assert turn["cost"] > 0.0045

    story(embedded_url, tell, settings=HEARS, media=fetch_note)


@pytest.mark.parametrize(
    "fetched", [None, ("audio/ogg", b""), ("audio/ogg", b"not a recording")]
)
def test_voice_note_that_cannot_be_heard_is_named(embedded_url, fetched):
    async def fetch(conversation, medium):
        return fetched

    async def tell(chat):
        await chat.says("", media=NOTE)
        [told] = chat.server.requests[0]["input"]
        assert told["content"] == "[a voice note, which cannot be heard here]"
        chat.server.problems.clear()

    story(embedded_url, tell, settings=HEARS, media=fetch)


@pytest.mark.parametrize("fails", ["twilio", "the model"])
def test_voice_note_that_fails_for_a_moment_is_heard_at_the_next_try(
    embedded_url, fails
):
    fetched = []

    async def fetch(conversation, medium):
        fetched.append(medium["url"])
        if fails == "twilio" and len(fetched) == 1:
            raise FateUnknown("HTTP 503 for a medium")
        return await fetch_note(conversation, medium)

    async def tell(chat):
        if fails == "the model":
            chat.server.spoken.append(Fault(503))
        await chat.says("", media=NOTE)
        [told] = chat.server.requests[0]["input"]
        assert told["content"].startswith("[a voice note, as it was heard:]")

    story(embedded_url, tell, settings=HEARS, media=fetch, pauses_s=(0.0, 0.0))


def test_voice_note_that_twilio_does_not_give_at_all_is_named(embedded_url):
    fetched = []

    async def fetch(conversation, medium):
        fetched.append(medium["url"])
        raise NotSent("away")

    async def tell(chat):
        await chat.says("", media=NOTE)
        [told] = chat.server.requests[0]["input"]
        assert told["content"] == "[a voice note, which cannot be heard here]"
        assert len(fetched) == TRIES_MAX

    story(embedded_url, tell, settings=HEARS, media=fetch, pauses_s=(0.0, 0.0))


def test_medium_that_twilio_refuses_is_not_there():
    class Twilio:
        async def fetch(self, account_sid, url):
            assert (account_sid, url) == ("AC1", "https://api.example/1")
            raise MediaRefused("size", "too much")

    async def main():
        return await fetch_with(Twilio())(
            Errand("AC1"), {"url": "https://api.example/1"}
        )

    assert asyncio.run(main()) is None


def test_medium_of_twilio_is_its_type_and_its_bytes():
    class Twilio:
        async def fetch(self, account_sid, url):
            return Fetched("image/gif", PIXEL)

    async def main():
        return await fetch_with(Twilio())(Errand("AC1"), {})

    assert asyncio.run(main()) == ("image/gif", PIXEL)


class Errand:
    """What is read of a conversation."""

    def __init__(self, account_sid):
        self.account_sid = account_sid
