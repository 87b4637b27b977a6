"""Timeouts: what a call does when one of its timers is due."""

from collections.abc import Callable

from bridge.call import (
    answers,
    bad_answers,
    conversation_start,
    dtmf,
    goodbye,
    hangup,
    interruption,
    operator_orders,
    resumption,
    session_rollover,
    speech,
    tool_answers,
)
from bridge.call.floor import Due
from bridge.call.state import CallState
from bridge.call.timers import Timer


def on_timeout(call: CallState, _: None) -> None:
    """Act on the timers that are due; the first of them may cancel another."""
    for timer in call.timers.due(call.now):
        if call.timers.take(timer, call.now):
            _ON_TIMER[timer](call)


def _on_floor_look(call: CallState) -> None:
    """Have the model say what waits no longer for the caller to end."""
    for what in call.floor.look(call.now, is_callers=call.has_caller_floor):
        if call.floor.drop(what):
            ON_FLOOR[what](call)


ON_FLOOR: dict[Due, Callable[[CallState], None]] = {
    Due.TOOL_ANSWER: tool_answers.ask_for_answer,
    Due.SECOND_TRY: bad_answers.ask_again,
    Due.WARNING: goodbye.warn,
    Due.APOLOGY: resumption.apologize,
    Due.OPERATOR: lambda call: call.request(),
}
_ON_TIMER: dict[Timer, Callable[[CallState], None]] = {
    Timer.STREAM: resumption.on_stream_late,
    **session_rollover.TIMERS,
    Timer.FEED: lambda call: speech.feed(call),
    Timer.GREETING: conversation_start.on_greeting_late,
    Timer.HOLD: interruption.on_hold_over,
    Timer.KEYPAD: dtmf.on_pause,
    Timer.ANSWER: answers.on_answer_due,
    Timer.STALL: answers.on_stalled,
    Timer.FLOOR: _on_floor_look,
    Timer.OPERATOR: operator_orders.on_operator_late,
    Timer.RETRY: bad_answers.on_retry_due,
    Timer.ERROR: bad_answers.on_error_unfollowed,
    Timer.IDLE: goodbye.on_idle,
    Timer.WARNING: goodbye.on_warning_due,
    Timer.DURATION: goodbye.on_time_up,
    Timer.FILLER: tool_answers.on_filler_due,
    Timer.LAST_WORDS: hangup.on_last_words_over,
}
