"""What each client event does, and what each refusal says."""

import base64
from copy import deepcopy
from typing import Any

import pytest

from bridge.sandbox.clips import clip
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.script import Reply, Script, Stall
from tests.sandbox.client import (
    AT_ONCE,
    SERVER_VAD,
    connected,
    run,
    silence,
    talking,
    telephone,
)

WORDS = Script([[Reply(clip("ai-en-booked").audio[:8000], "One second of speech.")]])
TOOL = {"type": "function", "name": "find", "parameters": {"type": "object"}}


# --- frames that are no events ---


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"input_audio_buffer.clear"}',
        *("{", "[]", '"x"', "{}", '{"type":1}'),
        "[" * 100_000,
    ],
)
def test_what_is_no_event_is_an_invalid_event(frame: str | bytes):
    async def story() -> None:
        async with talking() as client:
            await client.socket.send(frame)
            assert (await client.expect("error"))["error"]["code"] == "invalid_event"
            assert len(client.session.violations) == 1
            assert await client.caught_up() == []  # the session goes on

    run(story())


def test_the_event_id_of_a_refused_event_comes_back():
    async def story() -> None:
        async with talking() as client:
            error = await client.refusal("response.interrupt")
            assert (error["code"], error["param"]) == ("invalid_value", "type")
            await client.send("response.interrupt")
            assert (await client.expect("error"))["error"]["event_id"] is None

    run(story())


# --- session.update ---


def test_an_update_changes_only_what_it_names():
    async def story() -> None:
        async with talking() as client:
            await client.configure({"type": "realtime", "tools": [TOOL]})
            echo = await client.configure(
                {
                    "type": "realtime",
                    "audio": {"input": {"turn_detection": {"type": "server_vad"}}},
                }
            )
            session = echo["session"]
            assert session["tools"] == [TOOL]
            assert session["instructions"] == "Be brief."
            assert session["audio"]["output"]["voice"] == "shimmer"
            vad = session["audio"]["input"]["turn_detection"]
            assert vad["silence_duration_ms"] == 500
            echo = await client.configure({"type": "realtime", "tools": []})
            assert echo["session"]["tools"] == []

    run(story())


def test_an_unknown_field_refuses_the_whole_update():
    async def story() -> None:
        async with talking() as client:
            error = await client.refusal(
                "session.update",
                session={"type": "realtime", "instructions": "New.", "voice": "ash"},
            )
            assert error == {
                "type": "invalid_request_error",
                "code": "unknown_parameter",
                "message": "Unknown parameter: 'session.voice'.",
                "param": "session.voice",
                "event_id": "evt-1",
            }
            assert client.session.instructions == "Be brief."

    run(story())


def test_another_voice_after_audio_refuses_the_whole_update():
    def voiced(voice: str) -> dict[str, Any]:
        return {
            "type": "realtime",
            "instructions": "New.",
            "audio": {"output": {"voice": voice}},
        }

    async def story() -> None:
        async with talking(WORDS) as client:
            await client.configure(voiced("cedar") | {"instructions": "Be brief."})
            await client.send("response.create")
            await client.expect("response.done")
            error = await client.refusal("session.update", session=voiced("marin"))
            assert error["code"] == "cannot_update_voice"
            assert client.session.instructions == "Be brief."
            error = await client.refusal(
                "response.create", response={"audio": {"output": {"voice": "marin"}}}
            )
            assert error["code"] == "cannot_update_voice"
            await client.configure(voiced("cedar"))
            assert client.session.instructions == "New."

    run(story())


def test_another_voice_is_refused_even_if_speech_began_meanwhile():
    async def story() -> None:
        async with talking(WORDS, configure_ms=50) as client:
            voice = {"type": "realtime", "audio": {"output": {"voice": "marin"}}}
            await client.send("session.update", event_id="late", session=voice)
            await client.send("response.create")
            error = (await client.expect("error"))["error"]
            assert (error["code"], error["event_id"]) == ("cannot_update_voice", "late")

    run(story())


def test_noise_reduction_keeps_its_strength():
    def reduction(**fields: Any) -> dict[str, Any]:
        audio = {"input": {"noise_reduction": fields}}
        return {"type": "realtime", "audio": audio}

    async def story() -> None:
        async with talking() as client:
            for given, strength in (({}, 1), ({"strength": 0.3}, 0.3), ({}, 0.3)):
                update = reduction(type="near_field", **given)
                session = (await client.configure(update))["session"]
                kept = session["audio"]["input"]["noise_reduction"]
                assert kept == {"type": "near_field", "strength": strength}

    run(story())


def test_tracing_cannot_be_changed_once_it_is_on():
    async def story() -> None:
        async with talking() as client:
            await client.configure({"type": "realtime", "tracing": "auto"})
            error = await client.refusal(
                "session.update", session={"type": "realtime", "tracing": None}
            )
            assert error["param"] == "session.tracing"

    run(story())


def test_the_model_of_a_session_is_fixed():
    async def story() -> None:
        async with talking() as client:
            model = {"type": "realtime", "model": "gpt-realtime-2.1"}
            await client.configure(model)
            error = await client.refusal(
                "session.update", session=model | {"model": "gpt-realtime-2"}
            )
            assert error["param"] == "session.model"

    run(story())


def test_reasoning_is_refused_by_models_without_it():
    async def story() -> None:
        reasoning = {"type": "realtime", "reasoning": {"effort": "low"}}
        async with talking() as client:
            await client.configure(reasoning)
        server = RealtimeServer(**AT_ONCE)
        async with server, connected(server, "gpt-realtime-2025-08-28") as client:
            error = await client.refusal("session.update", session=reasoning)
            assert error["param"] == "session.reasoning"

    run(story())


# --- audio before the session is configured ---


def test_audio_before_session_updated_is_answered_by_a_default_session():
    async def story() -> None:
        server = RealtimeServer(WORDS, **AT_ONCE)
        async with server, connected(server) as client:
            # Six times the bytes: the default session takes them for 24 kHz PCM.
            await client.append(clip("caller-en-1").audio * 3, 4800)
            await client.append(bytes(48 * 400), 4800)
            done = await client.expect("response.done")
            assert done["response"]["audio"]["output"]["format"]["type"] == "audio/pcm"
            assert client.session.violations == [
                "audio was sent before session.updated"
            ]

    run(story())


def test_a_response_before_session_updated_is_a_violation():
    async def story() -> None:
        server = RealtimeServer(WORDS, **AT_ONCE)
        async with server, connected(server) as client:
            await client.send("response.create")
            await client.expect("response.done")
            assert len(client.session.violations) == 1

    run(story())


# --- the input buffer ---


def test_a_commit_under_100_ms_since_the_last_is_refused():
    async def story() -> None:
        async with talking(session=telephone(None)) as client:
            for ms in (0, 99):
                await client.append(silence(ms), 8)
                error = await client.refusal("input_audio_buffer.commit")
                assert error["code"] == "input_audio_buffer_commit_empty"
            await client.append(silence(1))
            await client.send("input_audio_buffer.commit")
            await client.expect("input_audio_buffer.committed")
            await client.append(silence(99))
            error = await client.refusal("input_audio_buffer.commit")
            assert "99.00ms" in error["message"]
            assert client.session.violations == []  # a race, harmless

    run(story())


def test_audio_must_be_base64_of_at_most_15_mib():
    async def story() -> None:
        async with talking() as client:
            for audio in ("****", "AAA", "", "AAAA\n", "AA==AAAA"):
                error = await client.refusal("input_audio_buffer.append", audio=audio)
                assert (error["code"], error["param"]) == ("invalid_value", "audio")
            large = base64.b64encode(bytes(15 * 1024 * 1024 + 1)).decode()
            error = await client.refusal("input_audio_buffer.append", audio=large)
            assert error["code"] == "string_above_max_length"
            assert client.session.heard == b""

    run(story())


# --- responses ---


def user_item(text: str = "Keypad: 4 2", **more: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **more}


def test_a_second_response_in_the_conversation_is_refused():
    async def story() -> None:
        async with talking(Script([[Stall()]])) as client:
            await client.send("response.create")
            await client.expect("response.created")
            error = await client.refusal("response.create")
            assert error["code"] == "conversation_already_has_active_response"
            assert client.session.violations == []

    run(story())


def test_an_out_of_band_response_runs_beside_and_leaves_no_item():
    async def story() -> None:
        async with talking(Script([[Stall()]])) as client:
            await client.send("response.create")
            await client.expect("response.created")
            await client.send(
                "response.create",
                response={
                    "conversation": "none",
                    "output_modalities": ["text"],
                    "metadata": {"purpose": "summary"},
                },
            )
            done = (await client.expect("response.done"))["response"]
            assert done["metadata"] == {"purpose": "summary"}
            assert done["conversation_id"] is None
            assert done["output"][0]["content"][0]["type"] == "output_text"
            assert len(client.session.conversation) == 0
            assert client.session.active is not None

    run(story())


def test_a_cancel_without_a_response_is_refused():
    async def story() -> None:
        async with talking(WORDS) as client:
            for fields in ({}, {"response_id": "resp_x"}):
                error = await client.refusal("response.cancel", **fields)
                assert error["code"] == "response_cancel_not_active"
            assert client.session.violations == []

    run(story())


def test_references_in_the_input_of_a_response_must_exist():
    async def story() -> None:
        async with talking(WORDS) as client:
            reference = {"type": "item_reference", "id": "nobody"}
            error = await client.refusal(
                "response.create", response={"input": [reference]}
            )
            assert error["param"] == "response.input[0].id"
            await client.send("conversation.item.create", item=user_item(id="u"))
            reference["id"] = "u"
            await client.send("response.create", response={"input": [reference]})
            await client.expect("response.done")

    run(story())


def test_output_audio_clear_is_not_for_websockets():
    async def story() -> None:
        async with talking() as client:
            error = await client.refusal("output_audio_buffer.clear")
            assert error["code"] == "invalid_value"

    run(story())


# --- what a session keeps ---


def test_a_session_keeps_what_it_received_and_sent():
    async def story() -> None:
        async with talking(WORDS) as client:
            await client.append(silence(40))
            await client.caught_up()
            session = client.session
            assert session.heard == silence(40)
            assert len(session.audio) == 2
            assert session.audio[0].at <= session.audio[1].at
            assert len(session.events("input_audio_buffer.append")) == 2
            assert len(session.sent_events("session.updated")) == 1
            assert session.language == "en"

    run(story())


def test_a_load_run_keeps_no_events():
    async def story() -> None:
        async with talking(WORDS, keeps_events=False) as client:
            await client.append(silence(40))
            await client.send("response.create")
            await client.expect("response.done")
            session = client.session
            assert session.heard_bytes == 320
            assert not session.received + session.sent + session.audio

    run(story())


def test_the_language_is_the_transcriptions_or_the_instructions():
    async def language(session: dict[str, Any]) -> str:
        async with talking(session=session) as client:
            return client.session.language

    async def story() -> None:
        given = telephone()
        given["audio"]["input"]["transcription"]["language"] = "he"
        assert await language(given) == "he"
        guessed = deepcopy(telephone(SERVER_VAD))
        guessed["audio"]["input"]["transcription"] = None
        assert await language(guessed) == "en"
        assert await language(guessed | {"instructions": "ענה בקצרה."}) == "he"

    run(story())


def test_a_response_waits_for_its_thinking_time():
    async def story() -> None:
        async with talking(WORDS, thinking_ms=60_000) as client:
            await client.send("response.create")
            await client.expect("rate_limits.updated")
            assert await client.caught_up() == []
            await client.send("response.cancel")
            done = (await client.expect("response.done"))["response"]
            assert done["output"] == []
            assert done["status_details"]["reason"] == "client_cancelled"

    run(story())
