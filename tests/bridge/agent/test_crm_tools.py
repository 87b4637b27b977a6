"""The CRM's tools against a real database: what is written, and what is refused."""

import asyncio

import msgspec
import pytest

from bridge.agent.crm_tools import crm_tools, leads_upsert_arguments
from bridge.agent.tools import ToolRunner, specify
from bridge.call.plan import RunTool
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from crm import businesses, claims, leads
from crm.database import Database
from tests.bridge.agent.test_calendar_tools import DANA, in_shop

CALLER = "+15550000001"


def told(url, arguments, from_number=CALLER, required=("name", "address")):
    """Run `leads_upsert` once; return its result and the lead that was written."""

    async def story():
        database = await Database.open(url)
        try:
            business_id = await businesses.create(
                database, "Salon", required_fields=list(required)
            )
            business = await businesses.get(database, business_id)
            runner = ToolRunner(
                crm_tools(database, business, from_number),
                deadline_ms=5_000,
                log=CallLogger("CA1"),
                metrics=Metrics(),
            )
            result = await runner.run(RunTool("c", "leads_upsert", arguments))
            return result, await leads.find(database, business_id, CALLER)
        finally:
            await database.close()

    return asyncio.run(story())


def test_caller_is_written_down_and_what_is_missing_comes_back(database_url, caplog):
    with caplog.at_level("INFO", "kolbridge"):
        result, lead = told(database_url, '{"name":" Dana\\u0000 ","city":"Haifa"}')

    assert (lead.name, lead.fields) == ("Dana", {"city": "Haifa"})
    assert result.ok
    assert result.missing_fields == ("address",)
    assert msgspec.json.decode(result.output) == {
        "saved": ["city", "name"],
        "known": {"name": "Dana", "phone": CALLER, "city": "Haifa"},
        "missing": ["address"],
    }
    assert "[CRM] lead written: fields=city,name missing=address" in caplog.messages


def test_businesss_own_required_field_may_be_given(database_url):
    result, lead = told(database_url, '{"name":"Dana","address":"1 Road"}')

    assert lead.fields == {"address": "1 Road"}
    assert result.missing_fields == ()


OTHER = "+15550000009"


async def salon(database):
    business_id = await businesses.create(database, "Salon", required_fields=["name"])
    known = {"name": "Dan", "city": "Haifa"}
    before = await leads.upsert(database, business_id, OTHER, known)
    return await businesses.get(database, business_id), before


async def upsert(database, business, from_number, call_sid, **arguments):
    runner = ToolRunner(
        crm_tools(database, business, from_number, call_sid=call_sid),
        deadline_ms=5_000,
        log=CallLogger(call_sid),
        metrics=Metrics(),
    )
    text = msgspec.json.encode(arguments).decode()
    result = await runner.run(RunTool("c", "leads_upsert", text))
    assert result.ok, result.output
    return msgspec.json.decode(result.output)


def with_database(url, story):
    async def main():
        database = await Database.open(url)
        try:
            await story(database)
        finally:
            await database.close()

    asyncio.run(main())


def test_a_lead_of_whom_much_is_known_is_written_and_the_longest_is_not_told(
    embedded_url,
):
    async def story(shop):
        much = {f"note_{n}": "x" * 1_000 for n in range(20)}
        await leads.upsert(shop.db, shop.business.id, DANA, {**much, "city": "Acre"})

        told = await shop.ask("leads_upsert", {"name": "Dana"})

        assert told["saved"] == ["name"]
        assert {"name", "phone", "city"} <= told["known"].keys()
        assert len(told["known"]) < 6
        kept = await leads.find(shop.db, shop.business.id, DANA)
        assert kept.fields.keys() == {*much, "city"}

    in_shop(embedded_url, story)


def test_another_number_is_where_the_caller_is_reached_and_nobody_elses_lead(
    database_url,
):
    async def story(database):
        business, before = await salon(database)
        asked = {"phone": "00 1 (555) 000-0009", "name": "Dana", "city": ""}
        told = await upsert(database, business, CALLER, "CA1", **asked)

        assert told == {
            "saved": ["contact_phone", "name"],
            "known": {"name": "Dana", "phone": CALLER, "contact_phone": OTHER},
            "missing": [],
        }
        lead = await leads.find(database, business.id, CALLER)
        assert (lead.name, lead.fields) == ("Dana", {"contact_phone": OTHER})
        assert await leads.find(database, business.id, OTHER) == before

    with_database(database_url, story)


def test_what_a_hidden_caller_says_is_a_claim_whether_the_number_is_known_or_not(
    database_url,
):
    async def story(database):
        business, before = await salon(database)
        answers = []
        for sid, phone in (("CA1", OTHER), ("CA2", "+15550000008")):
            asked = {"phone": phone, "city": "Acre", "notes": "Left-handed."}
            told = await upsert(database, business, None, sid, **asked)
            assert told.pop("known") == asked
            answers.append(told)

        assert answers[0] == answers[1]
        assert answers[0]["missing"] == ["name"]
        assert await leads.recent(database, business.id) == [before]
        found = {
            one.call_sid: one for one in await claims.recent(database, business.id)
        }
        assert found["CA1"].phone == OTHER
        assert found["CA1"].fields == {"city": "Acre", "notes": "Left-handed."}
        assert found["CA1"].from_number == ""

    with_database(database_url, story)


def test_words_of_a_hidden_caller_never_reach_who_calls_from_the_number(database_url):
    async def story(database):
        business, _ = await salon(database)
        new = "+15550000008"
        asked = {"phone": new, "name": "Eve", "notes": "Ask for the card number."}
        await upsert(database, business, None, "CA1", **asked)

        lead = await leads.touch(database, business.id, new)
        assert (lead.name, lead.fields) == (None, {})
        told = await upsert(database, business, new, "CA2", name="Daniel")
        assert told["known"] == {"name": "Daniel", "phone": new}

    with_database(database_url, story)


def test_a_claim_is_corrected_by_its_own_call_alone(database_url):
    async def story(database):
        business, _ = await salon(database)
        for sid, name in (("CA1", "Don"), ("CA1", "Dan"), ("CA2", "Eve")):
            await upsert(database, business, None, sid, phone=OTHER, name=name)
        # The number was said before; so was the name.
        told = await upsert(database, business, None, "CA1", city="Acre")

        assert told["known"] == {"name": "Dan", "phone": OTHER, "city": "Acre"}
        assert told["missing"] == []
        names = {
            one.call_sid: one.name for one in await claims.recent(database, business.id)
        }
        assert names == {"CA1": "Dan", "CA2": "Eve"}

    with_database(database_url, story)


def test_a_hidden_caller_is_asked_for_a_number_and_what_they_said_is_kept(database_url):
    async def story(database):
        business, _ = await salon(database)
        runner = ToolRunner(
            crm_tools(database, business, None, call_sid="CA1"),
            deadline_ms=5_000,
            log=CallLogger("CA1"),
            metrics=Metrics(),
        )
        result = await runner.run(RunTool("c", "leads_upsert", '{"name":"Dana"}'))

        assert msgspec.json.decode(result.output) == {
            "error": "phone: the caller's number is hidden; ask for it",
            "saved": ["name"],
        }
        told = await upsert(database, business, None, "CA1", phone=OTHER)
        assert told["known"] == {"name": "Dana", "phone": OTHER}

    with_database(database_url, story)


@pytest.mark.parametrize(
    ("arguments", "from_number", "error"),
    [
        ('{"phone":"050"}', CALLER, "phone: expected an international number"),
        ('{"name":"Dana"}', None, "phone: the caller's number is hidden"),
        ('{"name":7}', CALLER, "name: expected `str`"),
        ('{"shoe_size":"7"}', CALLER, "unknown field `shoe_size`"),
    ],
)
def test_bad_arguments_name_the_field(database_url, arguments, from_number, error):
    result, lead = told(database_url, arguments, from_number)

    assert not result.ok
    assert error in result.output
    assert lead is None


def test_schema_shows_what_the_business_requires():
    arguments = leads_upsert_arguments(("name", "address", "not a name"))
    fields = specify("leads_upsert", "", arguments).parameters["properties"]

    assert fields["address"] == {
        "type": "string",
        "maxLength": 500,
        "description": "Required by the business.",
    }
    assert "not a name" not in fields
    assert leads_upsert_arguments(("name", "address", "not a name")) is arguments
