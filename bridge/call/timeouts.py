"""Timeouts: what a call does when a timer of its is due."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.call import (
    answers,
    bad_answers,
    conversation_start,
    ending,
    interruption,
    keypad,
    resumption,
    session_rollover,
    tool_answers,
)
from bridge.call.timers import Timer

if TYPE_CHECKING:
    from bridge.call.machine import Call


def on_timeout(call: "Call", _: None) -> None:
    """Do what is due; of several in one tick, the first may call off another."""
    for timer in call.timers.due(call.now):
        if call.timers.take(timer, call.now):
            _ON_TIMER[timer](call)


_ON_TIMER: dict[Timer, Callable[["Call"], None]] = {
    Timer.STREAM: resumption.on_stream_late,
    **session_rollover.TIMERS,
    Timer.FEED: lambda call: call.feed(),
    Timer.GREETING: conversation_start.on_greeting_late,
    Timer.HOLD: interruption.on_hold_over,
    Timer.KEYPAD: keypad.on_pause,
    Timer.ANSWER: answers.on_answer_due,
    Timer.STALL: answers.on_stalled,
    Timer.FLOOR: answers.on_floor_look,
    Timer.RETRY: bad_answers.on_retry_due,
    Timer.ERROR: bad_answers.on_error_unfollowed,
    Timer.IDLE: ending.on_idle,
    Timer.WARNING: ending.on_warning_due,
    Timer.DURATION: ending.on_time_up,
    Timer.FILLER: tool_answers.on_filler_due,
    Timer.LAST_WORDS: ending.on_last_words_over,
}
