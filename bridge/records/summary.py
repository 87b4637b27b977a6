"""Converts a call's record to its row in the database.

This module does no I/O. Times on the call's clock become wall-clock times, and tokens
become a cost. The tools' answers and the end reason become the outcome, in one word.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from bridge.call.plan import CallPlan, CallRecord
from bridge.records.writer import Kept
from bridge.settings.prices import Prices, cost_of
from crm import calls

# The outcome of a call, by the last tool that changed something.
_OUTCOMES = {
    "calendar_create_appointment": "booked",
    "calendar_reschedule_appointment": "rescheduled",
    "calendar_cancel_appointment": "cancelled",
    "leads_upsert": "lead",
}
# The fields that the record and the row share.
_SAME = sorted(
    set(CallRecord.__struct_fields__)
    & set(calls.Call.__struct_fields__) - {"turns", "tools"}
)


def to_row(record: CallRecord, now_s: float, now: datetime, prices: Prices) -> Kept:
    """Return the row of a call; `now_s` on the call's clock is the time `now`."""

    def at(time_s: float) -> datetime:
        return (now - timedelta(seconds=now_s - time_s)).astimezone(UTC)

    plan = record.plan
    options = plan.options
    answered_at_s = record.answered_at_s
    return Kept(
        UUID(plan.business_id),
        calls.Call(
            **{name: getattr(record, name) for name in _SAME},
            call_sid=plan.call_sid,
            from_number=plan.from_number,
            to_number=plan.to_number,
            caller_worth=plan.caller_worth,
            is_test=plan.is_test,
            model=options.openai_model,
            prompt=clean(plan.prompt),
            prompt_facts=clean(plan.prompt_facts),
            started_at=at(record.opened_at_s),
            answered_at=None if answered_at_s is None else at(answered_at_s),
            ended_at=at(record.ended_at_s),
            outcome=outcome_of(record),
            cost=cost_of(
                record.usage,
                options.openai_model,
                options.openai_transcription_model,
                prices,
            ),
            turns=[
                calls.Turn(**{**msgspec.structs.asdict(turn), "text": clean(turn.text)})
                for turn in record.turns
            ],
            tools=[
                calls.ToolCall(
                    **{
                        **msgspec.structs.asdict(tool),
                        "arguments": clean(tool.arguments),
                        "result": clean(tool.result),
                    }
                )
                for tool in record.tools
            ],
        ),
        lead_due=plan.lead_due or None,
    )


def begun_row(plan: CallPlan, now: datetime) -> Kept:
    """Return what is written of a call whose process dies in it: who, whom and when."""
    lost = CallRecord(
        plan=plan,
        stream_sid="",
        opened_at_s=0.0,
        answered_at_s=None,
        ended_at_s=0.0,
        end_reason=calls.PROCESS_LOST,
        failed=True,
        rx_frames=0,
        tx_frames=0,
        forwarded_frames=0,
        dropped_frames=0,
        silence_frames=0,
        barge_ins=0,
        greeting_ms=None,
        answer_ms=(),
        barge_in_ms=(),
        missing_fields=plan.missing_fields,
        usage={},
        turns=(),
        tools=(),
    )
    return msgspec.structs.replace(to_row(lost, 0.0, now, {}), is_lost=True)


def running_row(
    record: CallRecord, now_s: float, now: datetime, prices: Prices
) -> Kept:
    """Return the row to write, as of now, if the process dies during the call."""
    lost = msgspec.structs.replace(record, end_reason=calls.PROCESS_LOST, failed=True)
    row = to_row(lost, now_s, now, prices)
    return msgspec.structs.replace(row, is_lost=True)


def outcome_of(record: CallRecord) -> str:
    """Return the outcome of a call in one word."""
    if record.failed:
        return "failed"
    if record.answered_at_s is None:
        return "unanswered"
    done = [
        _OUTCOMES[tool.name]
        for tool in record.tools
        if tool.ok and tool.name in _OUTCOMES
    ]
    changed = [outcome for outcome in done if outcome != "lead"]
    if changed:
        return changed[-1]
    if "end_call:declined" in (record.end_reason, record.goodbye_reason):
        return "declined"
    if done:
        return "lead"
    has_spoken = any(turn.role in ("caller", "keypad") for turn in record.turns)
    return "talked" if has_spoken else "silent"


def clean(text: str) -> str:
    """Remove what neither PostgreSQL nor a record on disk can hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
