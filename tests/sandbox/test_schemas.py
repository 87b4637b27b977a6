"""The public schemas against what the sandbox takes and sends."""

from typing import Any

import pytest

from bridge.sandbox.caller import Caller
from bridge.sandbox.client_events import check, decode_audio
from bridge.sandbox.clips import clip
from bridge.sandbox.rules import Refused
from bridge.sandbox.script import Fail, Reply, Script, ToolUse
from bridge.sandbox.timeline import Digit, Say
from tests.sandbox.client import SERVER_VAD, run, silence, talking, telephone
from tests.sandbox.tiny_bridge import TinyBridge, until
from tests.schemas import checker, load, needed

pytestmark = needed


def test_every_valid_sample_is_taken():
    for event in load("samples.json")["valid_client"]:
        check(event)


def test_every_invalid_sample_is_refused():
    for sample in load("samples.json")["invalid_client"]:
        event = sample["event"]
        with pytest.raises(Refused):
            check(event)
            decode_audio(event["audio"], "audio")


SPEECH = clip("caller-en-2").audio[:12_000] + silence(600)
WORDS = Reply(clip("ai-en-booked").audio[:16_000], "Two seconds of speech.")
TOOL = {"type": "function", "name": "find", "parameters": {"type": "object"}}


def test_every_event_the_model_sends_is_one_the_real_one_sends():
    validate = checker("openai-realtime.schema.json", "server", "type")

    async def story() -> None:
        script = Script(
            [[WORDS, ToolUse("find", {"a": 1})], [Fail("server_error")], [WORDS]],
            caller_says=["One.", None],
        )
        vad = SERVER_VAD | {"idle_timeout_ms": 5000}
        session = telephone(vad) | {"tools": [TOOL]}
        # 0.2 s: what the client does before is not to be overtaken on a busy machine.
        async with talking(script, session=session, idle_scale=0.04) as client:
            await client.append(SPEECH)
            done = (await client.expect("response.done"))["response"]
            message, call = done["output"]
            await client.append(SPEECH)
            await client.expect("response.done")
            await client.expect("input_audio_buffer.timeout_triggered")
            await client.expect("response.done")
            output = {"type": "function_call_output", "call_id": call["call_id"]}
            await client.send(
                "conversation.item.create", item=output | {"output": "{}"}
            )
            where = {"item_id": message["id"]}
            await client.send("conversation.item.retrieve", **where)
            await client.send(
                "conversation.item.truncate", **where, content_index=0, audio_end_ms=9
            )
            await client.send("conversation.item.delete", **where)
            await client.send(
                "response.create",
                response={"conversation": "none", "output_modalities": ["text"]},
            )
            await client.expect("response.done")
            await client.refusal("response.cancel")
            await client.send("response.create", response={"max_output_tokens": 10})
            await client.expect("response.done")
            await client.caught_up()

            kinds = set()
            for event in client.events:
                validate(event)
                kinds.add(event["type"])
            assert len(kinds) > 30

    run(story())


def test_every_message_the_phone_sends_is_one_twilio_sends():
    validate = checker("twilio-media-streams.schema.json", "from", "event")

    async def talk(bridge: TinyBridge, socket: Any) -> None:
        await until(bridge, socket, "start")
        await bridge.say(socket, silence(20))
        await bridge.send(socket, "mark", mark={"name": "a"})
        while await bridge.next(socket) is not None:
            pass

    async def story() -> None:
        async with TinyBridge(talk) as bridge:
            await Caller(bridge.url).call([Say(silence(60)), Digit("#", ms=20)])
            kinds = set()
            for message in bridge.messages:
                validate(message)
                kinds.add(message["event"])
            assert kinds == {"connected", "start", "media", "dtmf", "mark", "stop"}

    run(story())
