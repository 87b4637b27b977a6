"""The demo's two calls: both sides' words belong together, in each language."""

from datetime import UTC, date, datetime
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest

from bridge.cli.demo.script import (
    BUSINESSES,
    CALLER_NAMES,
    HOURS,
    OFFERED,
    clocks,
    offered,
    script,
    steps,
)
from bridge.sandbox.options import Options, Timed
from bridge.sandbox.script import Reply, Script, ToolUse
from bridge.sandbox.session import Session
from bridge.sandbox.timeline import Digit, InterruptAfter, Say, StayOnLine, WaitForAi
from bridge.settings.options import CallOptions, merge
from crm.businesses import Business
from crm.calendar import Rules, Wish, free_slots
from tests.bridge import demo_call

LANGUAGES = [business.language for business in BUSINESSES]


def told(instructions="", slots=()):
    """A session that was told this, and of these free times."""
    made = Session(Script(), Options(), "gpt-realtime-2.1", 1)
    made.config["instructions"] = instructions
    if slots:
        output = msgspec.json.encode({"slots": slots}).decode()
        event = {"type": "conversation.item.create", "item": {"output": output}}
        made.received.append(Timed(0.0, event))
    return made


def test_businesses_differ_in_all_that_tells_them_apart():
    for name in ("language", "name", "number", "caller"):
        assert len({getattr(one, name) for one in BUSINESSES}) == len(BUSINESSES)
    assert set(CALLER_NAMES) == set(LANGUAGES)


@pytest.mark.parametrize("business", BUSINESSES, ids=LANGUAGES)
def test_settings_of_a_business_are_settings(business):
    assert merge(CallOptions(), business.settings)
    assert business.columns["required_fields"] == ["name"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_model_has_an_answer_for_everything_the_caller_does(language):
    made = script(language)
    said = [step.clip.transcript for step in steps(language) if isinstance(step, Say)]

    assert made.caller_says == said
    assert all(said)
    # Four turns, the keys, and words after each of the three tools.
    assert len(made.turns) == len(said) + 1 + 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_model_says_each_of_its_sentences_once(language):
    made = script(language)
    lists = [made.greeting, *(turn for turn in made.turns if not callable(turn))]
    said = [one.transcript for turn in lists for one in turn if isinstance(one, Reply)]

    assert len(said) == len(set(said)) == 6
    assert all(said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_model_writes_the_callers_name_and_ends_the_call_with_words(language):
    made = script(language)
    lists = [turn for turn in made.turns if not callable(turn)]
    tools = [one for turn in lists for one in turn if isinstance(one, ToolUse)]

    assert [tool.name for tool in tools] == ["leads_upsert", "end_call"]
    assert tools[0].arguments == {"name": CALLER_NAMES[language]}
    assert isinstance(made.turns[-1][0], Reply)
    greeting = next(one for one in BUSINESSES if one.language == language)
    assert made.greeting[0].transcript == greeting.columns["greeting"]


@pytest.mark.parametrize(
    ("today", "day"),
    [
        ("2026-11-28", "2026-12-01"),  # a Saturday
        ("2026-11-30", "2026-12-01"),
        ("2026-12-01", "2026-12-08"),  # a Tuesday's morning may be over
        ("2026-12-02", "2026-12-08"),
    ],
)
def test_model_looks_up_the_tuesday_that_comes_next(today, day):
    session = told(instructions=f"### FACTS\nNow: Someday, {today} 12:00 (Asia/Tokyo)")

    (asked,) = script("en").turns[0](session)

    assert asked.name == "calendar_find_slots"
    assert asked.arguments["date_from"] == asked.arguments["date_to"] == day


def test_model_books_the_wanted_one_of_the_times_the_calendar_told():
    session = told(slots=demo_call.SLOTS)

    (asked,) = script("en").turns[5](session)

    assert clocks(offered(session)) == OFFERED
    assert asked == ToolUse(
        "calendar_create_appointment", {"starts_at": "2026-12-01T10:00:00-05:00"}
    )
    assert script("en").turns[5](told()) == []


@pytest.mark.parametrize("business", BUSINESSES, ids=LANGUAGES)
def test_what_the_recording_offers_is_what_is_free(business):
    rules = Rules(step_minutes=business.settings["booking_step_minutes"])
    day = date(2026, 12, 1)
    made = Business(
        id=uuid4(),
        name=business.name,
        language=business.language,
        fallback_sentence="",
        greeting="",
        custom_prompt="",
        country=business.columns["country"],
        time_zone=business.columns["time_zone"],
        hours=HOURS,
    )

    slots = free_slots(
        made,
        business.service,
        Wish(day, day, "morning"),
        (),
        rules,
        datetime(2026, 11, 28, tzinfo=UTC),
    )

    zone = ZoneInfo(made.time_zone)
    found = [one.starts_at.astimezone(zone).isoformat() for one in slots]
    assert clocks(found) == OFFERED


@pytest.mark.parametrize("language", LANGUAGES)
def test_caller_interrupts_presses_a_key_and_leaves_the_end_to_the_bridge(language):
    kinds = [type(step) for step in steps(language)]

    assert kinds.count(InterruptAfter) == 1
    assert kinds[kinds.index(InterruptAfter) + 1] is Say
    assert [step.key for step in steps(language) if isinstance(step, Digit)] == [
        "1",
        "#",
    ]
    assert kinds[1] is WaitForAi
    assert kinds[-1] is StayOnLine
