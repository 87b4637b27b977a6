"""Turns that stop at any moment, and are gone on with: one reply, one booking."""

import asyncio
import re
import types
from uuid import uuid4

import pytest

from bridge.messaging.answering import Answerer
from bridge.sandbox.responses.model import Say, Use
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm import conversations, message_turns
from crm.message_turns import ToolRun
from crm.message_work import Held, LeaseLost
from tests.bridge.messaging.chat import hours_ahead, story

CREATE = "calendar_create_appointment"
# More steps than a turn has.
NEVER = 10_000


@types.coroutine
def cancelled_at(step, work):
    """Run a coroutine as a task, and cancel the task at one of its steps; return how
    many steps it had."""
    done = 0
    send, given = work.send, None
    while True:
        try:
            waits_for = send(given)
        except StopIteration:
            return done
        if done == step:
            asyncio.current_task().cancel()
        done += 1
        try:
            send, given = work.send, (yield waits_for)
        except BaseException as error:
            send, given = work.throw, error


async def steps_of(step, work):
    return await cancelled_at(step, work)


async def begun(chat, step, conversation_id):
    """Begin to answer in a process that ends at a step; return how many there were,
    None where it came to no end."""
    settings = Settings(
        openai_api_url=chat.server.url, openai_api_key=chat.server.api_key
    )
    answerer = Answerer(settings, chat.db, Metrics())
    held = await chat.held(conversation_id)
    conversation = await conversations.get(chat.db, chat.business.id, conversation_id)
    try:
        work = answerer.answer(held, chat.business, conversation)
        return await asyncio.create_task(steps_of(step, work))
    except asyncio.CancelledError:
        return None
    finally:
        await answerer.close()


def books(body):
    """Book the hour that the writer named by a number, then say so: no state."""
    words = [one["content"] for one in body["input"] if one.get("role") == "user"]
    number = int(re.search(r"\d+", words[-1])[0])
    results = 0
    for item in body["input"]:
        results = 0 if item.get("role") == "user" else results + ("output" in item)
    if results:
        return [Say(f"Booked number {number}.")]
    at = hours_ahead(5 + number).isoformat()
    more = Use("leads_upsert", {"city": f"Town {number}"})
    return [Use(CREATE, {"starts_at": at, "name": "Dana"}), more]


BOOKS = {"server": {"model": books}}


async def count_steps(chat):
    return await begun(chat, NEVER, await chat.writes("number 0"))


# The library leaves a coroutine unawaited where it is cancelled before its first step.
@pytest.mark.filterwarnings("ignore:coroutine 'run_single_turn':RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("part", range(4))
def test_turn_that_ends_at_any_step_is_gone_on_with(embedded_url, part):
    async def tell(chat):
        steps = await count_steps(chat)
        # All requests, queries and tools of a turn, each with its waits.
        assert 40 < steps < 1_000
        killed = 0
        for number in range(1 + part, steps, 4):
            asked = chat.server.asked
            conversation = await chat.writes(f"number {number}")
            killed += await begun(chat, number, conversation) is None
            await chat.answered(conversation)
            sent = [one.body for one in await chat.sent(conversation)]
            assert sent.count(f"Booked number {number}.") == 1, number
            # A request that was on its way when the process ended is asked again.
            assert chat.server.asked - asked in (2, 3)
        assert killed > steps // 8
        rows = await chat.rows("select starts_at from appointments")
        assert len({row["starts_at"] for row in rows}) == len(rows)
        turns = await chat.rows("select state, count(*) from message_turns group by 1")
        assert [row["state"] for row in turns] == ["answered"]
        said = await chat.rows(
            "select count(*), count(distinct turn_id) from messages "
            "where direction = 'out'"
        )
        assert said[0][0] == said[0][1] == len(rows)

    story(embedded_url, tell, **BOOKS)


async def stopped(chat, *items, runs=()):
    """Write, and leave a turn with these items, as a process did that was killed."""
    conversation = await chat.writes("book, my name is Dana", sid=f"SM{uuid4().hex}")
    held = await chat.held(conversation)
    turn = await message_turns.begin(chat.db, held, "gpt-6-luna")
    await message_turns.add_items(chat.db, held, turn.id, items)
    for index, name, output in runs:
        run = ToolRun(f"{turn.key}:{index}", name, "{}")
        await message_turns.begin_tool(chat.db, held, turn.id, run)
        if output is not None:
            ended = run._replace(output=output, ok=True, duration_ms=1.0)
            await message_turns.end_tool(chat.db, held, ended)
    return conversation


def call(name, arguments="{}", number=1):
    return {
        "type": "function_call",
        "id": f"fc_{number}",
        "call_id": f"call_{number}",
        "name": name,
        "arguments": arguments,
    }


def message(words):
    parts = [{"type": "output_text", "text": words, "annotations": []}]
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": parts,
    }


def test_words_that_were_stored_become_the_reply(embedded_url):
    async def tell(chat):
        conversation = await stopped(chat, message("Hello Dana."))
        [sent] = await chat.answered(conversation)
        assert sent.body == "Hello Dana."
        assert chat.server.asked == 0

    story(embedded_url, tell)


def test_call_without_a_result_is_run_before_the_model_is_asked(embedded_url):
    async def tell(chat):
        name = '{"name": "Dana Levi", "city": null}'
        conversation = await stopped(chat, call("leads_upsert", name))
        [sent] = await chat.answered(conversation)
        assert (await chat.lead()).name == "Dana Levi"
        assert sent.body
        [request] = chat.server.requests
        assert [one.get("type") for one in request["input"]] == [
            None,
            "function_call",
            "function_call_output",
        ]

    story(embedded_url, tell)


def test_result_that_was_stored_is_told_again_and_no_tool_runs(embedded_url):
    async def tell(chat):
        items = call("leads_upsert", '{"name": "Dana"}'), call("leads_upsert", "{}", 2)
        runs = [(0, "leads_upsert", '{"saved":["kept"]}'), (1, "leads_upsert", None)]
        conversation = await stopped(chat, *items, runs=runs)
        await chat.answered(conversation)
        assert (await chat.lead()).name is None
        outputs = [
            one["output"] for one in chat.server.requests[0]["input"] if "output" in one
        ]
        assert outputs[0] == '{"saved":["kept"]}'
        assert '"saved":[]' in outputs[1]

    story(embedded_url, tell)


def test_reply_of_a_tool_that_was_stored_is_sent(embedded_url):
    async def tell(chat):
        output = '{"sent":true,"text":"Shall I?","content":{"kind":"buttons"}}'
        conversation = await stopped(
            chat, call("ask_confirmation"), runs=[(0, "ask_confirmation", output)]
        )
        [sent] = await chat.answered(conversation)
        assert (sent.body, sent.content) == ("Shall I?", {"kind": "buttons"})
        assert chat.server.asked == 0

    story(embedded_url, tell)


def test_messages_that_came_after_a_kill_are_answered_with_the_turn(embedded_url):
    async def tell(chat):
        conversation = await stopped(chat)
        await chat.writes("thanks")
        sent = await chat.answered(conversation)
        assert len(sent) == 1
        assert len(chat.server.requests[-1]["input"]) >= 2
        turns = await chat.rows("select tries from message_turns")
        assert [row["tries"] for row in turns] == [2]

    story(embedded_url, tell)


def test_process_that_has_lost_its_lease_writes_nothing(embedded_url):
    async def tell(chat):
        conversation = await chat.writes("hello")
        held = await chat.held(conversation)
        lost = Held(*held[:2], uuid4(), *held[3:])
        with pytest.raises(LeaseLost):
            await chat.answered(conversation, lost)
        assert chat.server.asked == 0

        async def lose():
            await asyncio.sleep(0.05)
            await chat.held(conversation)

        losing = asyncio.create_task(lose())
        with pytest.raises(LeaseLost):
            await chat.answered(conversation, held)
        await losing
        assert await chat.sent(conversation) == []
        assert await chat.rows("select * from message_items") == []

    story(embedded_url, tell, server={"latency_s": 0.2})
