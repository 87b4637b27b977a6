"""Transcriber: an operator's voice as text, from a server as strict as the API."""

import asyncio
import io
import logging
import wave
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from bridge.call.plan import Transcribe
from bridge.line import transcriber as transcribing
from bridge.line.transcriber import Transcriber, wav_of
from bridge.sandbox.clips import clip
from bridge.sandbox.responses.server import Fault, ResponsesServer
from bridge.settings.process import Settings
from bridge.telemetry.log import CallLogger
from tests.bridge import builders

VOICE = clip("ai-en-greeting").audio
PORTION = Transcribe("operator-2", VOICE)
LOG = CallLogger(builders.CALL_SID, "b1")
PLAN = msgspec.structs.replace(builders.plan(), language="he")


@asynccontextmanager
async def transcriber(url, key="sk-sandbox", voice="ws://127.0.0.1:1/v1/realtime"):
    settings = Settings(
        openai_realtime_url=voice, openai_api_url=url, openai_api_key=key
    )
    made = Transcriber(settings)
    try:
        yield made
    finally:
        await made.close()


def words(*spoken, key="sk-sandbox", **options):
    """Return what a portion is heard to say, and the server."""

    async def story():
        async with (
            ResponsesServer(spoken=spoken, **options) as server,
            transcriber(server.url, key) as made,
        ):
            return await made.words(PORTION, PLAN, LOG), server

    return asyncio.run(story())


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(transcribing, "AGAIN_S", 0.01)


def test_a_portion_is_sent_as_a_file_and_comes_back_as_words():
    heard, server = words("Ten percent.")

    [sent] = server.recordings
    assert server.problems == []
    assert (heard.item_id, heard.text, heard.failed) == (
        "operator-2",
        "Ten percent.",
        False,
    )
    assert heard.usage == {"type": "duration", "seconds": sent["seconds"]}
    assert sent["seconds"] == round(len(VOICE) / 8_000)
    assert (sent["model"], sent["language"]) == ("gpt-transcribe", "he")


def test_the_file_is_the_voice_as_the_caller_heard_it():
    with wave.open(io.BytesIO(wav_of(b"\xff\x00\x80"))) as file:
        assert file.getparams()[:4] == (1, 2, 8_000, 3)
        assert file.readframes(3) == b"\x00\x00\x84\x82\x7c\x7d"


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_what_fails_in_passing_is_asked_for_once_more(status):
    heard, server = words(Fault(status), "Ten percent.")

    assert heard.text == "Ten percent."
    assert len(server.recordings) == 2


def test_two_failures_leave_no_words_and_one_line(caplog):
    with caplog.at_level(logging.WARNING):
        heard, server = words(Fault(500), Fault(500), "Never.")

    assert heard.failed
    assert heard.text == ""
    assert len(server.recordings) == 2
    assert caplog.messages == ["[OPERATOR] not transcribed: status 500"]


def test_what_is_refused_is_not_asked_again(caplog):
    heard, server = words("Never.", key="sk-guess")

    assert heard.failed
    assert server.transcribed == 1
    assert "status 401" in caplog.text
    assert "sk-guess" not in caplog.text


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>", "unknown shape"),
        (b'{"text": 5}', "unknown shape"),
        (b'{"text": "' + b"x" * 70_000 + b'"}', "more than 65536 bytes"),
    ],
)
def test_an_answer_that_is_none_is_a_failure(body, why, caplog):
    heard, server = words(Fault(200, body=body))

    assert heard.failed
    assert why in caplog.text
    assert len(server.recordings) == 1


def test_an_api_that_never_answers_is_given_up_in_time(monkeypatch, caplog):
    monkeypatch.setattr(transcribing, "TRANSCRIPTION_WAIT_S", 0.05)

    heard, _ = words(Fault(hangs=True))

    assert heard.failed
    assert "not transcribed in 0.05 s" in caplog.text


def test_a_voice_is_sent_to_no_host_that_the_call_does_not_use(caplog):
    asked = []

    async def note(request):
        asked.append(request)
        return web.json_response({"text": "Never."})

    async def story():
        app = web.Application()
        app.router.add_post("/v1/audio/transcriptions", note)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        elsewhere = "wss://eu.api.openai.com/v1/realtime"
        async with transcriber(url, voice=elsewhere) as made:
            heard = await made.words(PORTION, PLAN, LOG)
        await runner.cleanup()
        return heard

    assert asyncio.run(story()).failed
    assert asked == []
    assert "another host than OPENAI_REALTIME_URL" in caplog.text


def test_a_service_that_stops_waits_for_no_words():
    async def story():
        async with (
            ResponsesServer(spoken=[Fault(hangs=True)]) as server,
            transcriber(server.url) as made,
        ):
            task = asyncio.ensure_future(made.words(PORTION, PLAN, LOG))
            while not server.recordings:  # noqa: ASYNC110 (no event)
                await asyncio.sleep(0.005)
            await made.close()
            heard = await asyncio.wait_for(task, 30)
            later = await made.words(PORTION, PLAN, LOG)
            return heard, later, len(server.recordings)

    heard, later, asked = asyncio.run(story())

    assert heard.failed
    assert later.failed
    assert asked == 1
