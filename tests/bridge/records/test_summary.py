"""From what a call remembers to its row."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from bridge.call.machine import Call
from bridge.call.plan import ToolRecord, TurnRecord
from bridge.records.summary import to_row
from bridge.settings.prices import Price
from tests.bridge import builders

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOOL = ToolRecord(
    tool_call_id="t",
    name="leads_upsert",
    arguments="{}",
    result="{}",
    ok=True,
    duration_ms=1.0,
    at_s=1.0,
)
TURN = TurnRecord(
    role="caller", item_id="i", text="Hi", interrupted=False, heard_ms=None, at_s=1.0
)


def kept(business_id=None, sid="CA1", prices=None, **changes):
    plan = msgspec.structs.replace(
        builders.plan(),
        call_sid=sid,
        business_id=str(business_id or UUID(int=1)),
        missing_fields=("name",),
        prompt="Be\0 brief.",
        prompt_facts="Now: Sunday\0",
    )
    call = Call(plan, now=100.0)
    call.receive_twilio(builders.start(), 101.0)
    call.receive_hangup("tested", 130.0)
    record = msgspec.structs.replace(call.record(130.0), **changes)
    return to_row(record, 140.0, NOW, prices or {})


def tool(name, **changes):
    return msgspec.structs.replace(TOOL, name=name, **changes)


def test_times_of_the_calls_clock_become_the_worlds():
    row = kept().call

    assert row.started_at == datetime(2026, 11, 21, 11, 59, 20, tzinfo=UTC)
    assert row.answered_at == datetime(2026, 11, 21, 11, 59, 21, tzinfo=UTC)
    assert row.ended_at == datetime(2026, 11, 21, 11, 59, 50, tzinfo=UTC)
    assert kept(answered_at_s=None).call.answered_at is None


def test_what_the_database_cannot_hold_is_taken_out():
    turn = msgspec.structs.replace(TURN, text="a\0b")
    asked = tool("x", arguments="\0{}", result="{}\0")
    row = kept(turns=[turn], tools=[asked]).call

    assert row.turns[0].text == "ab"
    assert (row.tools[0].arguments, row.tools[0].result) == ("{}", "{}")
    assert (row.prompt, row.prompt_facts) == ("Be brief.", "Now: Sunday")


def test_row_says_who_what_and_what_is_missing():
    row = kept().call

    assert (row.from_number, row.to_number) == ("+15550000001", "+15550000002")
    assert row.model == "gpt-realtime-2.1"
    assert (row.end_reason, row.failed) == ("tested", False)
    assert row.missing_fields == ("name",)


def test_cost_is_the_tables():
    usage = {"output_tokens": 1_000, "output_token_details.audio_tokens": 1_000}
    prices = {"gpt-realtime-2.1": Price(audio_out=64)}

    assert kept(usage=usage, prices=prices).call.cost == 0.064
    assert kept(usage=usage).call.cost is None


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"failed": True, "turns": [TURN]}, "failed"),
        ({"answered_at_s": None}, "unanswered"),
        ({}, "silent"),
        ({"turns": [msgspec.structs.replace(TURN, role="ai")]}, "silent"),
        ({"turns": [msgspec.structs.replace(TURN, role="operator")]}, "silent"),
        ({"turns": [msgspec.structs.replace(TURN, role="keypad")]}, "talked"),
        ({"turns": [TURN]}, "talked"),
        ({"turns": [TURN], "end_reason": "end_call:declined"}, "declined"),
        (
            {"end_reason": "caller_hung_up", "goodbye_reason": "end_call:declined"},
            "declined",
        ),
        ({"turns": [msgspec.structs.replace(TURN, text="")]}, "talked"),
        ({"tools": [TOOL]}, "lead"),
        ({"tools": [tool("leads_upsert", ok=False)], "turns": [TURN]}, "talked"),
        ({"tools": [tool("calendar_create_appointment"), TOOL]}, "booked"),
        (
            {
                "tools": [
                    tool("calendar_create_appointment", ok=False),
                    TOOL,
                ]
            },
            "lead",
        ),
        (
            {
                "tools": [
                    tool("calendar_create_appointment"),
                    tool("calendar_cancel_appointment"),
                ],
                "end_reason": "end_call:declined",
            },
            "cancelled",
        ),
    ],
)
def test_outcome_is_one_word(changes, outcome):
    assert kept(**changes).call.outcome == outcome
