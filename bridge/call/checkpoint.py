"""Checkpoint: a running call as another process can go on with it.

`take` never changes the call. What was said is kept as it was heard: a turn of the AI
that the caller is hearing is cut there. A tool that runs has no result, and is never
run again: the model is told that its outcome is not known.
"""

import msgspec

from bridge.call import session_config
from bridge.call.operator_voice import Known
from bridge.call.plan import Checkpoint, Counters, Phase, ToolRecord
from bridge.call.state import CallState

# Of a checkpoint's bytes. A process reads its own format alone.
FORMAT = 1
NOT_KNOWN = (
    '{"error": "the line was lost while this ran: it is not known whether it was done; '
    'look before you do it again"}'
)


class UnreadableError(ValueError):
    """A checkpoint that this process cannot read."""


class OtherFormatError(UnreadableError):
    """A checkpoint of another version, which a process of that version reads."""

    def __init__(self, form: int) -> None:
        super().__init__(f"expected a checkpoint of format {FORMAT}, got {form}")
        self.form = form


def take(call: CallState, now: float) -> Checkpoint:
    """Return the call as it stands."""
    noted = call.call_record
    turns = noted.transcript.kept(call.playout.cuts(now))
    tools = (*noted.tools, *_open_tools(call, now))
    words = [
        turn
        for turn in turns
        if any(turn.parts.values()) and turn.role not in ("operator", "told")
    ]
    said_at_s = words[-1].at_s if words else 0.0
    is_tool_last = bool(tools) and tools[-1].at_s >= said_at_s
    has_spoken = any(turn.role == "ai" for turn in words)
    # A greeting whose words are not known yet was hardly heard: it is said again.
    has_begun = bool(words) or not call.plan.greeting
    return Checkpoint(
        at_s=noted.at_s(now),
        answered_at_s=(
            None if noted.answered_at is None else noted.at_s(noted.answered_at)
        ),
        stream_sid=noted.stream_sid,
        is_greeted=has_spoken or (has_begun and not call.greeting.is_due),
        is_answer_due=is_tool_last or (bool(words) and words[-1].role != "ai"),
        turns=turns,
        tools=tools,
        digits=call.keypad.digits,
        keypad_rows=noted.keypad_rows,
        missing_fields=tuple(call.ending.missing),
        has_warned=call.time_limit.has_warned,
        limits_told=tuple(sorted(noted.limits_told)),
        usage=dict(noted.usage),
        counters={name: getattr(call.counters, name) for name in Counters.__slots__},
        frames=frames(call),
        greeting_ms=noted.greeting_ms,
        answer_ms=tuple(noted.answer_ms),
        barge_in_ms=tuple(noted.barge_in_ms),
        end_reason=call.ending.reason if call.phase is Phase.ENDING else "",
        is_taken_over=call.takeover.is_on,
        operator_note=call.takeover.note_left,
        operator_s=call.takeover.lasted_s(now) if call.takeover.is_on else 0.0,
        operator_turns=noted.operator_turns,
    )


def restore(call: CallState, saved: Checkpoint) -> None:
    """Go on from a checkpoint: the call has no stream and no session yet."""
    call.call_record.restore(saved, call.now)
    if saved.is_taken_over:
        has_words = any(turn.role == "operator" for turn in saved.turns)
        known = Known.PART if has_words else Known.NOTHING
        told = session_config.operator_lost(known)
        if saved.operator_note is not None:
            lasted_s, note = saved.operator_s, saved.operator_note
            told = session_config.handed_back(lasted_s, note, known)
        call.call_record.operator_told(told, call.now)
    for name, count in saved.counters.items():
        if name in Counters.__slots__:
            setattr(call.counters, name, count)
    call.ending.missing = saved.missing_fields
    call.time_limit.has_warned = saved.has_warned
    call.keypad.restore(saved.digits, call.now)
    # The model's session is one after a lost one: it is told the conversation.
    call.sessions.go_on_from_another()
    call.responses.suspend()


def frames(call: CallState) -> tuple[int, int, int, int, int]:
    """Return the call's frames so far, as `Checkpoint.frames` has them."""
    here = (
        call.fast_path.rx_frames,
        call.playout.frames_sent,
        call.uplink.forwarded_frames,
        call.uplink.dropped_frames,
        call.uplink.silence_frames_sent,
    )
    before = call.call_record.frames_before
    rx, tx, forwarded, dropped, silence = map(sum, zip(here, before, strict=True))
    return rx, tx, forwarded, dropped, silence


def encode(saved: Checkpoint) -> bytes:
    """Return a checkpoint in FORMAT."""
    return msgspec.msgpack.encode(saved)


def decode(form: int, state: bytes) -> Checkpoint:
    """Return a checkpoint from its bytes; raises UnreadableError."""
    if form != FORMAT:
        raise OtherFormatError(form)
    try:
        return msgspec.msgpack.decode(state, type=Checkpoint)
    except msgspec.DecodeError as error:
        raise UnreadableError(f"no checkpoint: {error}") from None


def _open_tools(call: CallState, now: float) -> list[ToolRecord]:
    at_s = call.call_record.at_s(now)
    return [
        ToolRecord(
            tool_call_id=tool_call_id,
            name=name,
            arguments=arguments,
            result=NOT_KNOWN,
            ok=False,
            duration_ms=0.0,
            at_s=at_s,
        )
        for tool_call_id, (name, arguments) in call.tool_calls.open.items()
    ]
