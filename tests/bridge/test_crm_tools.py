"""The CRM's tools against a real database: what is written, and what is refused."""

import asyncio

import msgspec
import pytest

from bridge.crm_tools import crm_tools, leads_upsert_arguments
from bridge.log import CallLogger
from bridge.metrics import Metrics
from bridge.plan import RunTool
from bridge.tools import ToolRunner, specify
from crm import businesses, leads
from crm.database import Database

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


def test_another_number_is_another_lead(database_url):
    result, lead = told(database_url, '{"phone":"00 1 (555) 000-0009","name":"Dan"}')

    assert result.ok
    assert lead is None


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
