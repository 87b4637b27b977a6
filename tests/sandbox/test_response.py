import base64
from itertools import pairwise
from typing import Any

import pytest

from bridge.sandbox.clips import clip
from bridge.sandbox.script import Fail, Reply, Script, Stall, ToolUse, plain_script
from tests.sandbox.client import Client, run, talking, telephone

OFFER = Reply.clip("ai-en-offer")
SHORT = Reply(OFFER.audio[:8000], "One second of speech.")
TOOL = {"type": "function", "name": "find"}


async def respond(client: Client, **response: Any) -> list[dict[str, Any]]:
    """Ask for a response and return its events."""
    before = len(client.events)
    await client.send("response.create", **({"response": response} if response else {}))
    await client.expect("response.done")
    return client.events[before:]


def audio_of(events: list[dict[str, Any]]) -> bytes:
    return b"".join(
        base64.b64decode(event["delta"])
        for event in events
        if event["type"] == "response.output_audio.delta"
    )


def without_deltas(events: list[dict[str, Any]]) -> list[str]:
    return [e["type"] for e in events if not e["type"].endswith(".delta")]


MESSAGE_BEGINS = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
MESSAGE_ENDS = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
]


def test_a_spoken_response_comes_in_documented_order():
    async def story() -> None:
        async with talking(Script([[SHORT]])) as client:
            events = await respond(client)
            assert without_deltas(events) == [
                "response.created",
                "rate_limits.updated",
                *MESSAGE_BEGINS,
                *MESSAGE_ENDS,
                "response.done",
            ]
            assert audio_of(events) == SHORT.audio
            words = [e["delta"] for e in events if "transcript.delta" in e["type"]]
            assert "".join(words) == SHORT.transcript
            done = events[-1]["response"]
            assert done["status"] == "completed"
            part = {"type": "output_audio", "transcript": SHORT.transcript}
            assert done["output"][0]["content"] == [part]
            assert done["usage"]["output_token_details"]["audio_tokens"] == 20

    run(story())


def test_deltas_have_no_fixed_size():
    async def story() -> None:
        async with talking(Script([[OFFER]])) as client:
            events = await respond(client)
            sizes = {
                len(base64.b64decode(event["delta"]))
                for event in events
                if event["type"] == "response.output_audio.delta"
            }
            assert len(sizes) > 10
            assert any(size % 160 for size in sizes)
            assert audio_of(events) == OFFER.audio

    run(story())


def test_a_response_may_hold_several_messages_and_a_call():
    async def story() -> None:
        script = Script([[SHORT, SHORT, ToolUse("find", {"a": 1})]])
        session = telephone() | {"tools": [TOOL]}
        async with talking(script, session=session) as client:
            events = await respond(client)
            assert without_deltas(events) == [
                "response.created",
                "rate_limits.updated",
                *MESSAGE_BEGINS,
                *MESSAGE_ENDS,
                *MESSAGE_BEGINS,
                *MESSAGE_ENDS,
                *MESSAGE_BEGINS[:2],
                "response.function_call_arguments.done",
                *MESSAGE_ENDS[3:],
                "response.done",
            ]
            first, second, call = events[-1]["response"]["output"]
            assert first["id"] != second["id"]
            assert (call["type"], call["arguments"]) == ("function_call", '{"a":1}')
            indexes = [e["output_index"] for e in events if "output_index" in e]
            assert indexes == sorted(indexes)

    run(story())


def test_a_tool_is_called_only_if_offered_and_allowed():
    async def story() -> None:
        async with talking(Script(otherwise=[ToolUse("find"), SHORT])) as client:
            events = await respond(client, tools=[TOOL], tool_choice="none")
            assert len(events[-1]["response"]["output"]) == 1
            assert client.session.violations == []
            events = await respond(client)
            assert len(events[-1]["response"]["output"]) == 1
            assert client.session.violations == ["tool find was not offered"]
            events = await respond(client, tools=[TOOL])
            assert len(events[-1]["response"]["output"]) == 2

    run(story())


def test_speech_is_made_at_a_multiple_of_real_time():
    async def story() -> None:
        async with talking(Script([[SHORT]]), speed=10) as client:
            await respond(client)
            times = [
                at
                for at, event in client.session.sent
                if event["type"] == "response.output_audio.delta"
            ]
            last = client.session.sent_events("response.output_audio.delta")[-1]
            sent_s = 1.0 - len(base64.b64decode(last["delta"])) / 8000
            assert times[-1] - times[0] >= sent_s / 10 - 0.01
            assert all(earlier <= later for earlier, later in pairwise(times))

    run(story())


def test_text_only_responses_have_text_events():
    async def story() -> None:
        async with talking(Script([[SHORT]])) as client:
            events = await respond(client, output_modalities=["text"])
            assert without_deltas(events)[5:7] == [
                "response.output_text.done",
                "response.content_part.done",
            ]
            assert audio_of(events) == b""

    run(story())


@pytest.mark.parametrize(
    ("name", "bytes_per_ms"), [("audio/pcma", 8), ("audio/pcm", 48)]
)
def test_speech_comes_in_the_format_asked_for(name: str, bytes_per_ms: int):
    async def story() -> None:
        form = {"type": name} | ({"rate": 24000} if name == "audio/pcm" else {})
        async with talking(Script([[SHORT]])) as client:
            events = await respond(client, audio={"output": {"format": form}})
            assert len(audio_of(events)) == 1000 * bytes_per_ms
            item_id = events[-1]["response"]["output"][0]["id"]
            await client.send(
                "conversation.item.truncate",
                item_id=item_id,
                content_index=0,
                audio_end_ms=1000,
            )
            await client.expect("conversation.item.truncated")

    run(story())


# --- early ends ---


def test_a_cancelled_response_closes_as_incomplete_and_sends_nothing_more():
    async def story() -> None:
        async with talking(Script([[OFFER]]), speed=1) as client:
            await client.send("response.create")
            await client.expect("response.output_audio.delta")
            await client.send("response.cancel")
            await client.expect("response.output_audio.done")
            await client.expect("response.done")
            closing = [k for k in client.types() if not k.endswith(".delta")][-6:]
            assert closing == [*MESSAGE_ENDS, "response.done"]
            done = client.events[-1]["response"]
            assert done["status"] == "cancelled"
            assert done["status_details"]["reason"] == "client_cancelled"
            assert done["output"][0]["status"] == "incomplete"
            assert await client.caught_up() == []

    run(story())


def test_a_truncate_while_it_speaks_is_limited_to_what_was_made():
    async def story() -> None:
        async with talking(Script([[OFFER]]), speed=1) as client:
            await client.send("response.create")
            delta = await client.expect("response.output_audio.delta")
            where = {"item_id": delta["item_id"], "content_index": 0}
            error = await client.refusal(
                "conversation.item.truncate", **where, audio_end_ms=9_000
            )
            assert "already shorter" in error["message"]
            await client.send("conversation.item.truncate", **where, audio_end_ms=30)
            await client.expect("conversation.item.truncated")
            await client.send("response.cancel")
            done = (await client.expect("response.done"))["response"]
            assert done["output"][0]["content"][0]["transcript"] is None

    run(story())


def test_a_response_can_be_cancelled_by_its_id():
    async def story() -> None:
        async with talking(Script([[Stall()]])) as client:
            await client.send("response.create")
            created = (await client.expect("response.created"))["response"]
            await client.send("response.cancel", response_id=created["id"])
            await client.expect("response.done")
            assert client.session.active is None

    run(story())


def test_a_response_stops_at_its_token_limit():
    async def story() -> None:
        async with talking(Script([[OFFER]])) as client:
            events = await respond(client, max_output_tokens=20)  # of 50 ms each
            assert len(audio_of(events)) <= 8000
            done = events[-1]["response"]
            assert done["status"] == "incomplete"
            assert done["status_details"]["reason"] == "max_output_tokens"

    run(story())


def test_a_failed_generation_is_a_response_done():
    async def story() -> None:
        script = Script([[Stall(0), Fail("rate_limit_exceeded")], [SHORT]])
        async with talking(script) as client:
            done = (await respond(client))[-1]["response"]
            assert done["status"] == "failed"
            assert done["status_details"]["error"]["code"] == "rate_limit_exceeded"
            done = (await respond(client))[-1]["response"]
            assert done["status"] == "completed"

    run(story())


# --- what it says ---


def test_verbatim_speech_is_the_greeting_with_the_words_asked_for():
    async def story() -> None:
        async with talking(plain_script("he")) as client:
            events = await respond(
                client,
                input=[],
                tool_choice="none",
                instructions="Say exactly the following, nothing else: Shalom.",
            )
            assert audio_of(events) == clip("ai-he-greeting").audio
            content = events[-1]["response"]["output"][0]["content"]
            assert content[0]["transcript"] == "Shalom."
            assert client.session.turns_taken == 0

    run(story())


def test_own_instructions_take_no_turn_of_the_script():
    async def story() -> None:
        script = Script([[SHORT]], aside=[Reply(SHORT.audio, "Are you there?")])
        async with talking(script) as client:
            events = await respond(client, instructions="Ask whether he is there.")
            content = events[-1]["response"]["output"][0]["content"]
            assert content[0]["transcript"] == "Are you there?"
            events = await respond(client)
            content = events[-1]["response"]["output"][0]["content"]
            assert content[0]["transcript"] == SHORT.transcript

    run(story())


def test_instructions_without_a_value_are_the_sessions():
    async def story() -> None:
        async with talking(Script([[SHORT]])) as client:
            events = await respond(client, instructions=None)
            content = events[-1]["response"]["output"][0]["content"]
            assert content[0]["transcript"] == SHORT.transcript
            conversation_id = events[-1]["response"]["conversation_id"]
            assert conversation_id == client.session.conversation_id

    run(story())


def test_a_message_of_two_parts_is_truncated_in_each():
    async def story() -> None:
        both = Reply(SHORT.audio, "One.", (Reply(SHORT.audio[:4_000], "Two."),))
        async with talking(Script([[both]])) as client:
            events = await respond(client)
            spoken = [one for one in events if one["type"].endswith("audio.delta")]
            assert sorted({one["content_index"] for one in spoken}) == [0, 1]
            ended = [one for one in events if one["type"].endswith("transcript.done")]
            assert [(one["content_index"], one["transcript"]) for one in ended] == [
                (0, "One."),
                (1, "Two."),
            ]
            where = {"item_id": spoken[0]["item_id"], "content_index": 1}
            error = await client.refusal(
                "conversation.item.truncate", **where, audio_end_ms=501
            )
            assert "Audio content of 500ms is already shorter" in error["message"]
            await client.send("conversation.item.truncate", **where, audio_end_ms=100)
            await client.expect("conversation.item.truncated")
            (item,) = [one for one in client.session.conversation if one.parts]
            assert [part.truncated_ms for part in item.parts] == [None, 100]
            assert item.text == "One."

    run(story())
