"""Totals: the line in the log and the record that sum up a whole call."""

from bridge.call.checkpoint import frames
from bridge.call.plan import CallRecord, Log, TurnRecord
from bridge.call.state import CallState


def stop_line(call: CallState, reason: str) -> Log:
    """Return the one line that sums a call up."""
    uplink = call.uplink
    return Log(
        "info",
        f"WS_STOP sid={call.call_record.stream_sid or '-'} "
        f"rx={call.fast_path.rx_frames} tx={call.playout.frames_sent} "
        f"forwarded={uplink.forwarded_frames} dropped={uplink.dropped_frames} "
        f"reason={reason}",
    )


def record(call: CallState, now: float) -> CallRecord:
    """Return the whole call as it is written to the database."""
    noted, ending = call.call_record, call.ending
    rx, tx, forwarded, dropped, silence = frames(call)
    return CallRecord(
        plan=call.plan,
        stream_sid=noted.stream_sid,
        opened_at_s=noted.opened_at,
        answered_at_s=noted.answered_at,
        ended_at_s=now,
        end_reason=ending.reason,
        goodbye_reason=ending.goodbye_reason,
        failed=ending.failed,
        rx_frames=rx,
        tx_frames=tx,
        forwarded_frames=forwarded,
        dropped_frames=dropped,
        silence_frames=silence,
        barge_ins=call.counters.barge_ins,
        greeting_ms=noted.greeting_ms,
        answer_ms=noted.answer_ms,
        barge_in_ms=noted.barge_in_ms,
        missing_fields=ending.missing,
        usage=noted.usage,
        turns=_turns(call),
        tools=noted.tools,
    )


def _turns(call: CallState) -> list[TurnRecord]:
    is_secret = call.plan.options.keypad_secret
    return [
        TurnRecord(
            role=turn.role,
            item_id=turn.item_id,
            text=_masked(turn.text)
            if is_secret and turn.role == "keypad"
            else turn.text,
            interrupted=turn.interrupted,
            heard_ms=turn.heard_ms,
            at_s=turn.at_s,
        )
        for turn in call.call_record.transcript.spoken()
    ]


def _masked(text: str) -> str:
    """Hide keys that may be a secret; their number stays."""
    return " ".join("*" * len(text.split()))
