"""Owed: answers that one session has not given, and another one is asked for."""

from msgspec import UNSET, UnsetType

from bridge.call import conversation_start, goodbye, session_config, tool_answers
from bridge.call.plan import Phase
from bridge.call.state import CallState
from bridge.realtime import openai


def is_something_due(call: CallState) -> bool:
    """Tell whether an answer, a tool or a row of keys is still due."""
    return (
        call.responses.is_owing
        or call.recovery.failures > 0
        or call.tool_calls.is_answer_due
        or bool(call.tool_calls.open)
        or call.floor.is_wanted
        or call.keypad.has_digits
    )


def suspend(call: CallState, *, is_turn_asked: bool) -> None:
    """Keep what runs or is due of a session that is left, until `resume`."""
    is_asked_later = is_turn_asked or bool(call.tool_calls.open)
    call.responses.suspend(is_asked_later=is_asked_later)
    is_tried_again = call.recovery.failures and call.phase is not Phase.WAITING
    if is_tried_again and not is_asked_later:
        call.request(call.responses.params)  # a second try was due, or ran
    call.recovery.leave_session()
    call.greeting.pause()


def resume(call: CallState) -> None:
    """Ask the new session for what is due."""
    if call.phase is Phase.WAITING:
        call.responses.resume(call.now)
        conversation_start.greet_when_ready(call)
    else:
        instead: openai.ResponseParams | UnsetType = UNSET
        if call.greeting.is_due and call.is_talking:
            instead = session_config.first_words(call.plan)
            call.greeting.wait(call.now)
        call.ask(call.responses.resume(call.now, instead))
        goodbye.consider_wishes(call)
    tool_answers.answer_tools(call)
