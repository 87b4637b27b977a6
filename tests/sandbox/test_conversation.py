"""Items: added, retrieved, truncated, deleted, and the tools among them."""

import base64
from typing import Any

import pytest

from bridge.sandbox.clips import clip
from bridge.sandbox.script import Reply, Script, ToolUse
from tests.sandbox.client import (
    Client,
    run,
    talking,
)

WORDS = Script([[Reply(clip("ai-en-booked").audio[:8000], "One second of speech.")]])
TOOL = {"type": "function", "name": "find", "parameters": {"type": "object"}}


def user_item(text: str = "Keypad: 4 2", **more: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **more}


def test_items_are_added_at_the_end_at_the_root_and_behind_another():
    async def story() -> None:
        async with talking() as client:
            for item_id, after in (("b", None), ("a", "root"), ("c", "b")):
                place = {} if after is None else {"previous_item_id": after}
                await client.send(
                    "conversation.item.create", item=user_item(id=item_id), **place
                )
                done = await client.expect("conversation.item.done")
                before = {"a": None, "b": None, "c": "b"}[item_id]
                assert done["previous_item_id"] == before
            assert [item.id for item in client.session.conversation] == ["a", "b", "c"]

    run(story())


def test_ids_are_unique_and_at_most_32_characters():
    async def story() -> None:
        async with talking() as client:
            item = user_item(id="x" * 32)
            await client.send("conversation.item.create", item=item)
            error = await client.refusal("conversation.item.create", item=item)
            assert error["code"] == "item_create_duplicate_item_id"
            item = user_item(id="x" * 33)
            error = await client.refusal("conversation.item.create", item=item)
            assert error["code"] == "string_above_max_length"
            assert error["message"].startswith("Invalid 'item.id': string too long")

    run(story())


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("conversation.item.retrieve", {}),
        ("conversation.item.delete", {}),
        ("conversation.item.truncate", {"content_index": 0, "audio_end_ms": 0}),
    ],
)
def test_an_unknown_item_is_refused(kind: str, fields: dict[str, Any]):
    async def story() -> None:
        async with talking() as client:
            error = await client.refusal(kind, item_id="nobody", **fields)
            verb = kind.rpartition(".")[2]
            assert error["code"] == f"item_{verb}_invalid_item_id"

    run(story())


def test_an_item_is_deleted_and_its_audio_retrieved():
    async def story() -> None:
        async with talking(WORDS) as client:
            await client.send("response.create")
            item = (await client.expect("conversation.item.done"))["item"]
            await client.send("conversation.item.retrieve", item_id=item["id"])
            found = (await client.expect("conversation.item.retrieved"))["item"]
            audio = base64.b64decode(found["content"][0]["audio"])
            assert audio == clip("ai-en-booked").audio[:8000]
            await client.send("conversation.item.delete", item_id=item["id"])
            await client.expect("conversation.item.deleted")
            assert len(client.session.conversation) == 0

    run(story())


def test_a_truncate_stays_within_the_audio_and_loses_the_words():
    async def story() -> None:
        async with talking(WORDS) as client:
            await client.send("response.create")
            item = (await client.expect("conversation.item.done"))["item"]
            await client.expect("response.done")
            where = {"item_id": item["id"], "content_index": 0}
            error = await client.refusal(
                "conversation.item.truncate", **where, audio_end_ms=1001
            )
            assert (error["code"], error["message"]) == (
                "invalid_value",
                "Audio content of 1000ms is already shorter than 1001ms",
            )
            cut = where | {"audio_end_ms": 400}
            await client.send("conversation.item.truncate", **cut)
            echo = await client.expect("conversation.item.truncated")
            assert {name: echo[name] for name in cut} == cut
            (kept,) = client.session.conversation
            assert (kept.parts[0].truncated_ms, kept.text) == (400, "")
            error = await client.refusal(
                "conversation.item.truncate", **where, audio_end_ms=401
            )
            assert "400ms is already shorter" in error["message"]

    run(story())


def test_only_the_spoken_part_of_the_model_can_be_truncated():
    async def story() -> None:
        async with talking(WORDS) as client:
            await client.send("conversation.item.create", item=user_item(id="u"))
            cut = {"content_index": 0, "audio_end_ms": 0}
            error = await client.refusal(
                "conversation.item.truncate", item_id="u", **cut
            )
            assert error["code"] == "unsupported_content_type"
            await client.send("response.create")
            item = (await client.expect("conversation.item.added"))["item"]
            await client.expect("response.output_audio.delta")
            error = await client.refusal(
                "conversation.item.truncate",
                item_id=item["id"],
                **(cut | {"content_index": 1}),
            )
            assert error["param"] == "content_index"

    run(story())


# --- tools ---


async def call_tool(client: Client) -> str:
    await client.configure({"type": "realtime", "tools": [TOOL]})
    await client.send("response.create")
    item = (await client.expect("response.output_item.done"))["item"]
    await client.expect("response.done")
    assert (item["name"], item["arguments"]) == ("find", '{"day":"Tuesday"}')
    return str(item["call_id"])


def output(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "{}"}


TOOL_SCRIPT = Script([[ToolUse("find", {"day": "Tuesday"})], *WORDS.turns])


def test_a_tools_result_alone_does_not_make_the_model_speak():
    async def story() -> None:
        async with talking(TOOL_SCRIPT) as client:
            call_id = await call_tool(client)
            await client.send("conversation.item.create", item=output(call_id))
            assert await client.caught_up() == [
                "conversation.item.added",
                "conversation.item.done",
            ]
            await client.send("response.create")
            done = await client.expect("response.output_audio_transcript.done")
            assert done["transcript"] == "One second of speech."

    run(story())


def test_an_output_must_belong_to_a_call_and_come_once():
    async def story() -> None:
        async with talking(TOOL_SCRIPT) as client:
            error = await client.refusal("conversation.item.create", item=output("x"))
            assert error["param"] == "item.call_id"
            call_id = await call_tool(client)
            for _ in range(2):
                await client.send("conversation.item.create", item=output(call_id))
            await client.caught_up()
            assert client.session.violations[1:] == [f"{call_id} is answered twice"]

    run(story())
