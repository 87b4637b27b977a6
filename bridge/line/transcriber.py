"""Transcriber: what an operator says in a call, as text, by the API at OPENAI_API_URL.

https://developers.openai.com/api/docs/api-reference/audio/createTranscription. It is
asked beside the calls: nothing of a call waits for it. A request that fails in passing
is made once more. Nobody's voice is sent to a host that the call itself does not use.
"""

import asyncio
import io
import wave
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from bridge.call.plan import CallPlan, OperatorWords, Transcribe
from bridge.realtime.languages import transcribed
from bridge.settings.addresses import is_loopback
from bridge.settings.process import Settings
from bridge.settings.proxy import proxy_of
from bridge.telemetry.log import CallLogger
from bridge.wire.body import read_body
from dsp import g711

# For both tries of a portion, which is at most 15 s long.
TRANSCRIPTION_WAIT_S = 10.0
TRY_WAIT_S = 6.0
AGAIN_S = 0.5
ANSWER_BYTES_MAX = 65_536
# Operators of one process who speak at once, with two portions each.
CONNECTIONS_MAX = 20
RATE_HZ = 8_000
_SAMPLE_BYTES = 2
# Whatever else the API refuses, it refuses again.
_PASSING = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
)


class _Answer(msgspec.Struct, frozen=True):
    text: str
    usage: dict[str, Any] = {}


class _Failed(Exception):
    """The API gave no transcript; `is_passing`: another try may be answered."""

    def __init__(self, why: str, *, is_passing: bool) -> None:
        super().__init__(why)
        self.is_passing = is_passing


class Transcriber:
    """The transcriptions of one process, from the first request to `close`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = f"{settings.openai_api_url.rstrip('/')}/audio/transcriptions"
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def close(self) -> None:
        """Close every connection: what is not transcribed yet will not be."""
        self._is_closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def words(
        self, portion: Transcribe, plan: CallPlan, log: CallLogger
    ) -> OperatorWords:
        """Return what is said in a portion; what fails is logged, without any words."""
        try:
            async with asyncio.timeout(TRANSCRIPTION_WAIT_S):
                answer = await self._answer(portion.audio, plan)
        except _Failed as failed:
            log.warning("[OPERATOR] not transcribed: %s", failed)
        except TimeoutError:
            log.warning("[OPERATOR] not transcribed in %g s", TRANSCRIPTION_WAIT_S)
        else:
            return OperatorWords(
                item_id=portion.item_id, text=answer.text, usage=answer.usage
            )
        return OperatorWords(item_id=portion.item_id, failed=True)

    async def _answer(self, audio: bytes, plan: CallPlan) -> _Answer:
        if not _is_same_place(self._settings):
            raise _Failed(
                "OPENAI_API_URL is at another host than OPENAI_REALTIME_URL",
                is_passing=False,
            )
        file = wav_of(audio)
        try:
            return await self._ask(file, plan)
        except _Failed as failed:
            if not failed.is_passing:
                raise
        await asyncio.sleep(AGAIN_S)
        return await self._ask(file, plan)

    async def _ask(self, file: bytes, plan: CallPlan) -> _Answer:
        form = aiohttp.FormData()
        form.add_field("file", file, filename="voice.wav", content_type="audio/wav")
        form.add_field("model", plan.options.openai_transcription_model)
        form.add_field("response_format", "json")
        language = transcribed(plan.language)
        if language is not None:
            form.add_field("language", language)
        if self._is_closed:
            raise _Failed("the service stops", is_passing=False)
        key = self._settings.openai_api_key
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        try:
            async with self._own_session().post(
                self._url,
                data=form,
                headers=headers,
                proxy=proxy_of(self._settings, self._url),
                allow_redirects=False,
            ) as answer:
                status = answer.status
                body = await read_body(answer.content, ANSWER_BYTES_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _Failed(type(error).__name__, is_passing=True) from None
        if status != HTTPStatus.OK:
            is_passing = status >= HTTPStatus.INTERNAL_SERVER_ERROR or (
                status in _PASSING
            )
            raise _Failed(f"status {status}", is_passing=is_passing)
        return _read(body)

    def _own_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TRY_WAIT_S),
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            )
        return self._session


def wav_of(mulaw: bytes) -> bytes:
    """Return mu-law audio as a WAV file of 16-bit samples, which every model reads."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(_SAMPLE_BYTES)
        file.setframerate(RATE_HZ)
        file.writeframes(g711.decode(mulaw))
    return made.getvalue()


def _is_same_place(settings: Settings) -> bool:
    """Tell whether both APIs are at one host, or both on this machine."""
    voice = urlsplit(settings.openai_realtime_url).hostname or ""
    words = urlsplit(settings.openai_api_url).hostname or ""
    return voice == words or (is_loopback(voice) and is_loopback(words))


def _read(body: bytes | None) -> _Answer:
    if body is None:
        raise _Failed(f"more than {ANSWER_BYTES_MAX} bytes", is_passing=False)
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _Failed("an answer of an unknown shape", is_passing=False) from None
