"""What real models were reported to do, as the sandbox plays it."""

import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus

from bridge.sandbox.realtime import CLOSED
from bridge.sandbox.script import ErrorOnly, Faults, Incomplete, Reply, Script, ToolUse
from tests.sandbox.client import run, talking, telephone
from tests.schemas import checker, needed

WORDS = Reply(b"\x58" * 800, "On Tuesday.")
TEXT = Reply(b"", "On Tuesday.", is_text=True)


async def answer(client, until="response.done"):
    """Ask for an answer; return all of it up to its end."""
    await client.send("response.create")
    events = []
    while not events or events[-1]["type"] != until:
        events.append(await client.next())
    return events


def kinds(events):
    return [event["type"] for event in events]


def test_text_comes_where_speech_was_asked_for():
    async def story():
        async with talking(Script([[TEXT]]), session=telephone(None)) as client:
            events = await answer(client)
            assert "response.output_audio.delta" not in kinds(events)
            assert "response.output_text.done" in kinds(events)
            (item,) = events[-1]["response"]["output"]
            assert item["content"] == [{"type": "output_text", "text": "On Tuesday. "}]

    run(story())


@pytest.mark.parametrize("reason", ["content_filter", "max_output_tokens"])
def test_a_response_is_broken_off(reason):
    async def story():
        script = Script([[WORDS, Incomplete(reason)]])
        async with talking(script, session=telephone(None)) as client:
            response = (await answer(client))[-1]["response"]
            assert response["status"] == "incomplete"
            assert response["status_details"]["reason"] == reason

    run(story())


def test_an_error_alone_frees_the_place_of_its_response():
    async def story():
        script = Script([[ErrorOnly()], [WORDS]])
        async with talking(script, session=telephone(None)) as client:
            (*_, error) = await answer(client, until="error")
            assert error["error"]["type"] == "server_error"
            events = await answer(client)
            assert events[-1]["response"]["status"] == "completed"

    run(story())


def test_a_response_begins_unannounced():
    async def story():
        script = Script([[WORDS]], faults=Faults(no_response_created=True))
        async with talking(script, session=telephone(None)) as client:
            assert "response.created" not in kinds(await answer(client))

    run(story())


def test_a_tool_call_has_no_name():
    async def story():
        script = Script([[ToolUse(None)]])
        async with talking(script, session=telephone(None)) as client:
            (call,) = (await answer(client))[-1]["response"]["output"]
            assert "name" not in call

    run(story())


@needed
def test_odd_answers_are_made_of_events_the_real_one_sends():
    validate = checker("openai-realtime.schema.json", "server", "type")

    async def story():
        script = Script([[TEXT], [WORDS, Incomplete()], [ErrorOnly("c")]])
        async with talking(script, session=telephone(None)) as client:
            for end in ("response.done", "response.done", "error"):
                for event in await answer(client, until=end):
                    validate(event)

    run(story())


@pytest.mark.parametrize(
    ("answers", "error"), [([503], InvalidStatus), ([CLOSED], InvalidMessage)]
)
def test_the_first_handshakes_are_answered_as_told(answers, error):
    async def story():
        with pytest.raises(error):
            async with talking(Script(), handshakes=answers):
                pass

    run(story())
