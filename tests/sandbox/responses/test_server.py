"""The Responses API of the sandbox: what it takes, refuses and answers.

Its answers are judged by the types of the vendor's own package.
"""

import asyncio
import io
import wave
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import ClientConnectionError, ClientSession, ClientTimeout, FormData
from openai.types.audio import Transcription
from openai.types.responses import Response
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
)
from pydantic import TypeAdapter

from bridge.sandbox.responses.model import Say, Use
from bridge.sandbox.responses.server import Ended, Fault, ResponsesServer

FIND = {
    "type": "function",
    "name": "calendar_find_slots",
    "description": "Find free times.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"service": {"type": ["string", "null"]}},
        "required": ["service"],
        "additionalProperties": False,
    },
}
CALL = {
    "type": "function_call",
    "call_id": "call_1",
    "name": "calendar_find_slots",
    "arguments": "{}",
}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "{}"}
# A picture of one pixel.
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def user(words):
    return {"role": "user", "content": [{"type": "input_text", "text": words}]}


def request(*items, **more):
    return {
        "model": "gpt-6-luna",
        "instructions": "You answer.",
        "input": list(items) or [user("hello")],
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "tools": [FIND],
        **more,
    }


@asynccontextmanager
async def serving(*planned, **options):
    async with ResponsesServer(planned, **options) as server, ClientSession() as http:

        async def ask(body, key=server.api_key):
            async with http.post(
                f"{server.url}/responses",
                data=msgspec.json.encode(body),
                headers={
                    "authorization": f"Bearer {key}",
                    "content-type": "application/json",
                },
            ) as answer:
                return answer.status, await answer.json()

        yield server, ask


def refusal_of(body):
    """Return why the server refuses a request, None where it takes it."""

    async def story():
        async with serving() as (server, ask):
            status, answer = await ask(body)
            assert (status == 200) == (not server.problems)
            return None if status == 200 else answer["error"]["message"]

    return asyncio.run(story())


def judged(answer):
    """Return an answer that the vendor's type takes without a change."""
    return Response.model_validate(answer, strict=False)


def test_request_that_it_takes_is_one_of_the_vendors_types():
    body = request(
        user("hello"),
        {
            "role": "user",
            "content": [{"type": "input_image", "image_url": PIXEL, "detail": "auto"}],
        },
        {"role": "assistant", "content": "A picture."},
        CALL,
        OUTPUT,
        reasoning={"effort": "low"},
        parallel_tool_calls=True,
        max_output_tokens=1000,
    )

    TypeAdapter(ResponseCreateParamsNonStreaming).validate_python(body)
    assert refusal_of(body) is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (request(tempreature=1), "Unknown parameter: 'tempreature'"),
        (request(temperature=0.2), "Unknown parameter: 'temperature'"),
        (request(model="gpt-4"), "The requested model 'gpt-4' does not exist"),
        (request(stream=True), "Unknown parameter: 'stream'"),
        (request(OUTPUT), "No tool call found for function call output"),
        (request(CALL), "No tool output found for function call call_1"),
        (request(CALL, CALL, OUTPUT), "Duplicate function call call_1"),
        (request(CALL, OUTPUT, OUTPUT), "Duplicate output for function call call_1"),
        (request({**CALL, "id": "msg_1"}, OUTPUT), "begins with 'fc_'"),
        (request({**CALL, "name": "a b"}, OUTPUT), "does not match pattern"),
        (
            request(
                {**CALL, "id": "fc_1"},
                OUTPUT,
                {**CALL, "id": "fc_1", "call_id": "call_2"},
                {**OUTPUT, "call_id": "call_2"},
            ),
            "Duplicate item found with id fc_1",
        ),
        (
            request({"role": "assistant", "content": [{"type": "output_text"}]}),
            "Missing required parameter: 'input[0].type'",
        ),
        (
            request(
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "input_image",
                            "image_url": "https://example.org/a",
                            "detail": "low",
                        }
                    ],
                }
            ),
            "Expected a base64-encoded data URL",
        ),
        (request(tools=[FIND, FIND]), "Duplicate tool name"),
        (
            request({"type": "reasoning", "id": "rs_1", "summary": []}),
            "without its required following item",
        ),
        (
            request({"type": "reasoning", "id": "rs_1", "summary": []}, CALL, OUTPUT),
            "Items are not persisted",
        ),
        (
            request(
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [],
                    "encrypted_content": "of somebody else",
                },
                CALL,
                OUTPUT,
            ),
            "could not be verified",
        ),
        ([], "must be a JSON object"),
    ],
)
def test_request_is_refused_as_the_api_refuses_it(body, why):
    assert why in refusal_of(body)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"additionalProperties": True}, "'additionalProperties' is required"),
        ({"required": []}, "every key in properties"),
        ({"properties": {"service": {"type": "string", "maxLength": 9}}}, "maxLength"),
        ({"properties": {"service": {}}}, "must have a 'type' key"),
    ],
)
def test_schema_of_a_strict_tool_must_be_strict(change, why):
    tool = {**FIND, "parameters": {**FIND["parameters"], **change}}

    assert why in refusal_of(request(tools=[tool]))
    assert refusal_of(request(tools=[{**tool, "strict": False}])) is None


def test_instructions_must_be_there_and_the_key_right():
    async def story():
        async with serving() as (server, ask):
            assert (await ask(request(), "sk-guess"))[0] == 401
            assert (await ask(request(instructions=None)))[0] == 200
            assert server.problems == [
                "wrong API key",
                "a request without instructions",
            ]
            assert (server.asked, server.answered) == (2, 1)

    asyncio.run(story())


def test_answers_are_of_the_vendors_type_and_go_back_in():
    async def story():
        planned = [[Use("calendar_find_slots", {}), Use("calendar_find_slots", "{")]]
        async with serving(*planned) as (server, ask):
            _, first = await ask(request(user("book me in")))
            thought, *calls = judged(first).output
            assert [one.type for one in calls] == ["function_call"] * 2
            assert calls[1].arguments == "{"
            assert thought.encrypted_content
            assert first["usage"]["input_tokens"] > 0

            outputs = [{**OUTPUT, "call_id": one.call_id} for one in calls]
            again = request(user("book me in"), *first["output"], *outputs)
            status, second = await ask(again)
            assert status == 200
            assert judged(second).output_text
            assert not server.problems

    asyncio.run(story())


def test_faults_on_demand():
    async def story():
        async with serving(
            Fault(500),
            Fault(429, retry_after_s=2),
            Fault(status=200, body=b'{"id": "resp_1", "outp'),
            Ended("incomplete", "max_output_tokens"),
            Ended("failed"),
            Fault(status=0),
            Fault(hangs=True),
        ) as (server, ask):
            assert (await ask(request()))[0] == 500
            status, busy = await ask(request())
            assert (status, busy["error"]["code"]) == (429, "rate_limit_exceeded")
            with pytest.raises(ValueError):
                await ask(request())
            assert judged((await ask(request()))[1]).status == "incomplete"
            assert judged((await ask(request()))[1]).error.code == "server_error"
            with pytest.raises(ClientConnectionError):
                await ask(request())
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ask(request()), 0.05)
            assert judged((await ask(request()))[1]).status == "completed"
            assert (server.asked, server.answered) == (8, 3)

    asyncio.run(story())


def test_pause_before_a_busy_server_is_asked_again_is_in_its_header():
    async def story():
        async with (
            ResponsesServer([Fault(429, retry_after_s=2)]) as server,
            ClientSession(timeout=ClientTimeout(5)) as http,
        ):
            answer = await http.post(
                f"{server.url}/responses",
                json=request(),
                headers={"authorization": f"Bearer {server.api_key}"},
            )
            assert answer.headers["retry-after"] == "2"

    asyncio.run(story())


def form(content=b"OggS...", name="note.ogg", **fields):
    made = FormData()
    made.add_field("file", content, filename=name, content_type="audio/ogg")
    for field, value in {"model": "gpt-transcribe", **fields}.items():
        made.add_field(field, value)
    return made


def test_recording_is_transcribed_and_what_is_none_is_refused():
    async def story():
        async with ResponsesServer(words="hello") as server, ClientSession() as http:

            async def ask(data, key=server.api_key):
                async with http.post(
                    f"{server.url}/audio/transcriptions",
                    data=data,
                    headers={"authorization": f"Bearer {key}"},
                ) as answer:
                    return answer.status, await answer.json()

            status, answer = await ask(form())
            assert status == 200
            assert Transcription.model_validate(answer).text == "hello"
            assert answer["usage"]["seconds"] == 1
            for data, why in (
                (form(b"MThd"), "Invalid file format"),
                (form(name="note.exe"), "Invalid file format"),
                (form(model="gpt-6-luna"), "does not exist"),
                (form(tone="kind"), "Unknown parameter: 'tone'"),
                (form(response_format="srt"), "answers as json"),
                ({"model": "gpt-transcribe"}, "Expected multipart/form-data"),
                (form(language="Hebrew"), "Expected ISO-639-1 format"),
                (form(b"RIFF....", name="voice.wav"), "might be corrupted"),
                (form(wav(8_000)[:-2], name="voice.wav"), "might be corrupted"),
                (form(wav(799), name="voice.wav"), "too short"),
            ):
                status, answer = await ask(data)
                assert (status, why in answer["error"]["message"]) == (400, True), why
            assert (await ask(form(), "sk-guess"))[0] == 401
            assert len(server.problems) == 11
            assert len(server.recordings) == 1

    asyncio.run(story())


def wav(samples):
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(bytes(2 * samples))
    return made.getvalue()


def test_a_wav_file_is_as_long_as_it_says_and_fails_where_that_is_planned():
    async def story():
        async with (
            ResponsesServer(spoken=[Fault(503), "at four"]) as server,
            ClientSession() as http,
        ):
            answers = []
            for _ in range(2):
                async with http.post(
                    f"{server.url}/audio/transcriptions",
                    data=form(wav(24_000), name="voice.wav", language="he"),
                    headers={"authorization": f"Bearer {server.api_key}"},
                ) as answer:
                    answers.append((answer.status, await answer.json()))
            assert [status for status, _ in answers] == [503, 200]
            assert answers[1][1] == {
                "text": "at four",
                "usage": {"type": "duration", "seconds": 3},
            }
            assert [one["language"] for one in server.recordings] == ["he", "he"]

    asyncio.run(story())


def test_planned_answers_come_before_those_of_the_model():
    async def story():
        async with serving([Say("planned")]) as (_, ask):
            assert judged((await ask(request()))[1]).output_text == "planned"
            assert "How can I help" in judged((await ask(request()))[1]).output_text

    asyncio.run(story())
