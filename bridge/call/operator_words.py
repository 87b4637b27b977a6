"""Operator words: what an operator said to the caller, for the model and the record.

The driver has each portion of the operator's voice transcribed, while the operator
still speaks. Its words stand in the transcript from when they were said, and the model
is told them when they are known: during the takeover, or after it.
"""

from bridge.call import session_config
from bridge.call.call_record import OPERATOR_WORDS_CHARS_MAX
from bridge.call.operator_voice import Portion
from bridge.call.plan import OperatorWords, Transcribe
from bridge.call.state import CallState


def begin(call: CallState) -> None:
    """Hear an operator who has taken over, where the business wants it."""
    if call.plan.options.operator_transcription:
        call.operator_voice.begin()


def go_on(call: CallState) -> None:
    """Hear an operator again who had begun to hand the call back."""
    if call.plan.options.operator_transcription:
        call.operator_voice.go_on()


def hear(call: CallState, frames: bytes) -> None:
    """Take frames of the operator that were sent to the caller."""
    call.operator_voice.hear(frames, call.now)
    _ask(call)


def pause(call: CallState) -> None:
    """Have what was said transcribed: what the caller says now comes after it."""
    call.operator_voice.pause()
    _ask(call)


def end(call: CallState) -> None:
    """Have what is left transcribed: the operator speaks no more."""
    call.operator_voice.end()
    _ask(call)


def end_call(call: CallState) -> None:
    """Have all that is left transcribed, for the record alone: the call is over."""
    keep_note(call, call.takeover.note_left)
    call.operator_voice.end()
    for portion in call.operator_voice.rest():
        _transcribe(call, portion)


def keep_note(call: CallState, note: str | None) -> None:
    """Write down an operator's note that no model is told any more."""
    if note:
        call.call_record.operator_told(session_config.noted(note), call.now)


def take(call: CallState, words: OperatorWords) -> None:
    """Write down what the operator said, and tell the model."""
    text = words.text.strip()[:OPERATOR_WORDS_CHARS_MAX]
    call.operator_voice.note_answered(
        words.item_id, is_heard=bool(text), failed=words.failed
    )
    call.call_record.operator_said(words, call.now)
    if text:
        call.tell(session_config.said("operator", text))
    if words.failed:
        call.counters.operator_untranscribed += 1
    _ask(call)


def _ask(call: CallState) -> None:
    while (portion := call.operator_voice.due()) is not None:
        _transcribe(call, portion)


def _transcribe(call: CallState, portion: Portion) -> None:
    item_id = call.call_record.operator_speaks(portion.began_at)
    call.operator_voice.note_asked(item_id)
    call.actions.append(Transcribe(item_id, portion.audio))
