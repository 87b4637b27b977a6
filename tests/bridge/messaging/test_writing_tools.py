"""The tools of a chat: their schemas, what they refuse, what they send."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from bridge.agent.spoken import write_time
from bridge.agent.tools import ToolRunner
from bridge.call.plan import RunTool
from bridge.messaging.contents import ROW_CHARS_MAX
from bridge.messaging.sentences import CHOOSE_TIME
from bridge.messaging.writing_tools import (
    REPLIES,
    reply_of,
    strict_parameters,
    without_nulls,
    writing_tools,
)
from bridge.sandbox.responses.requests import check
from bridge.settings.options import CallOptions
from bridge.telemetry.log import CallLogger
from crm import conversations, message_turns, saving
from crm.authors import By
from crm.businesses import Person
from tests.bridge.messaging.chat import hours_ahead, story


async def using(chat, tell, channel="whatsapp"):
    """Let a story run tools as a turn would."""
    more = {"writer": "try-1", "channel": "console"} if channel == "console" else {}
    held = await chat.held(await chat.writes("Hi", sid="SM" + "b" * 32, **more))
    turn = await message_turns.begin(chat.db, held, "gpt-6-luna")
    conversation = await conversations.get(
        chat.db, chat.business.id, held.conversation_id
    )
    tools = writing_tools(chat.db, chat.business, conversation, turn.key, CallOptions())
    log = CallLogger(turn.key)
    runner = ToolRunner(tools, deadline_ms=4_000, log=log, metrics=chat.metrics)
    count = iter(range(1_000))

    async def use(tool, /, **arguments):
        text = msgspec.json.encode(arguments).decode()
        run = message_turns.ToolRun(f"{turn.key}:{next(count)}", tool, text)
        await message_turns.begin_tool(chat.db, held, turn.id, run)
        done = await runner.run(RunTool("call_1", tool, text))
        ended = run._replace(output=done.output, ok=done.ok, duration_ms=1.0)
        await message_turns.end_tool(chat.db, held, ended)
        return msgspec.json.decode(done.output)

    return await tell(use, tools)


def with_tools(url, tell, channel="whatsapp", **more):
    return story(url, lambda chat: using(chat, tell, channel), **more)


def test_every_schema_is_one_that_strict_takes(embedded_url):
    async def tell(use, tools):
        check(
            {
                "model": "gpt-6-luna",
                "input": "Hi",
                "tools": [
                    {
                        "type": "function",
                        "name": name,
                        "description": one.description,
                        "strict": True,
                        "parameters": strict_parameters(name, one),
                    }
                    for name, one in tools.items()
                ],
            }
        )
        assert "end_call" not in tools
        assert set(tools) >= REPLIES
        found = strict_parameters("f", tools["calendar_find_slots"])["properties"]
        assert found["service"]["type"] == ["string", "null"]
        assert None in found["part_of_day"]["enum"]
        times = strict_parameters("s", tools["send_times"])["properties"]["starts_at"]
        assert (times["type"], times["maxItems"]) == ("array", 10)

    with_tools(embedded_url, tell)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ('{"name":"Dana","city":null}', '{"name":"Dana"}'),
        ('{"a":null}', "{}"),
        ("[null]", "[null]"),
        ('{"a":', '{"a":'),
    ],
)
def test_fields_that_strict_makes_the_model_name_are_left_away(given, left):
    assert without_nulls(given) == left


def test_times_of_this_chat_become_a_list(embedded_url):
    async def tell(use, tools):
        found = (await use("calendar_find_slots"))["slots"]
        times = [one["starts_at"] for one in found]
        utc = datetime.fromisoformat(times[0]).astimezone(UTC).isoformat()
        answer = await use("send_times", text="Which?", starts_at=[*times[:3], utc])

        choices = answer["content"]["choices"]
        assert [one["starts_at"] for one in choices] == times[:3]
        assert choices[0]["id"] == f"time:{times[0]}"
        assert all(len(one["title"]) <= ROW_CHARS_MAX for one in choices)
        reply = reply_of("send_times", msgspec.json.encode(answer).decode())
        assert (reply.text, reply.content) == ("Which?", answer["content"])

        german = await use(
            "send_times", text="Wann?", starts_at=times[:1], language="de"
        )
        assert german["content"]["button"] == "Zeit auswählen"
        odd = await use("send_times", text="?", starts_at=times[:1], language="zz")
        assert odd["content"]["button"] == "Choose a time"

    with_tools(embedded_url, tell)


@pytest.mark.parametrize(
    "wrong",
    ["2030-01-01T10:00:00+00:00", "tomorrow", "2026-12-01T10:00", ""],
)
def test_times_that_no_tool_gave_are_refused(embedded_url, wrong):
    async def tell(use, tools):
        found = (await use("calendar_find_slots"))["slots"]
        known = found[0]["starts_at"]
        error = (await use("send_times", text="?", starts_at=[known, wrong]))["error"]
        assert "expected times that calendar_find_slots gave in this chat" in error
        assert datetime.fromisoformat(known).isoformat() in error

    with_tools(embedded_url, tell)


def test_alternatives_of_a_booking_may_be_sent(embedded_url):
    async def tell(use, tools):
        at = hours_ahead(30)
        off = (at + timedelta(minutes=7)).isoformat()
        refused = await use("calendar_create_appointment", starts_at=off, name="Dana")
        times = [one["starts_at"] for one in refused["alternatives"]]
        assert (await use("send_times", text="?", starts_at=times))["sent"]

    with_tools(embedded_url, tell)


def test_row_says_with_whom(embedded_url):
    async def tell(chat):
        def edit(business):
            people = (Person(None, "Anna"), Person(None, "Ben"))
            return msgspec.structs.replace(business, staff=people)

        by = By("hand", "Owner")
        chat.business = await saving.change(chat.db, chat.business.id, edit, by)

        async def use_them(use, tools):
            found = (await use("calendar_find_slots"))["slots"]
            answer = await use(
                "send_times", text="?", starts_at=[found[0]["starts_at"]]
            )
            assert answer["content"]["choices"][0]["description"] == "Anna, Ben"

        await using(chat, use_them)

    story(embedded_url, tell)


def test_buttons_are_few_and_short(embedded_url):
    async def tell(use, tools):
        answer = await use("ask_confirmation", text="Sure?", answers=["Yes", " Yes "])
        assert answer["content"]["choices"] == [
            {"id": "answer:Yes", "title": "Yes", "description": ""}
        ]
        for answers, why in (
            (["a", "b", "c", "d"], "length <= 3"),
            (["x" * 21], "length <= 20"),
            ([], "length >= 1"),
            (["  "], "expected words on each button"),
        ):
            wrong = await use("ask_confirmation", text="?", answers=answers)
            assert why in wrong["error"]
            text = msgspec.json.encode(wrong).decode()
            assert reply_of("ask_confirmation", text) is None

    with_tools(embedded_url, tell)


def test_only_tools_that_write_have_replies():
    assert reply_of("calendar_find_slots", '{"sent": true, "text": "x"}') is None


def test_chat_of_the_console_proves_nothing(embedded_url):
    async def tell(use, tools):
        at = hours_ahead(30).isoformat()
        asked = {"starts_at": at, "name": "Dana"}
        assert (
            "the caller's number is hidden"
            in (await use("calendar_create_appointment", **asked))["error"]
        )
        booked = await use("calendar_create_appointment", **asked, phone="+12025550123")
        assert "booked" in booked
        assert "cancelled" in await use("calendar_cancel_appointment", starts_at=at)

    with_tools(embedded_url, tell, "console")


def test_short_times_fit_a_row_in_every_language():
    at = datetime(2026, 12, 29, 16, 30, tzinfo=UTC)
    for language in CHOOSE_TIME:
        title, offset = write_time(at, language, "US", ROW_CHARS_MAX)
        assert len(title) <= ROW_CHARS_MAX
        assert "30" in title
        assert offset == ""
        assert len(CHOOSE_TIME[language]) <= 20


def test_hour_that_comes_twice_is_told_apart():
    zone = ZoneInfo("America/New_York")
    twice = [datetime(2026, 11, 1, 1, 30, tzinfo=zone, fold=fold) for fold in (0, 1)]
    told = [write_time(at, "en", "US", ROW_CHARS_MAX) for at in twice]

    assert told[0][0] == told[1][0] == "Sun, Nov 1, 1:30 AM"
    assert told[0][1] != told[1][1]
