"""Tool answers: the model is given the results of its tools, and answers them."""

import msgspec

from bridge.call import session_config
from bridge.call.ending import END_CALL
from bridge.call.floor import Due
from bridge.call.plan import ToolResult
from bridge.call.state import CallState
from bridge.call.tool_calls import ARGUMENT_CHARS_MAX, TOOLS_MAX, State


def give_result(call: CallState, result: ToolResult) -> None:
    """Give the model a tool's result, once."""
    tool_call_id = result.tool_call_id
    if tool_call_id not in call.tool_calls.open:
        return
    call.ending.learn(result)
    call.call_record.tool_answered(result, call.now)
    if tool_call_id in call.sessions.old_tools:
        call.tell(session_config.tool_call(tool_call_id, result.name, result.arguments))
    call.tell(session_config.tool_output(tool_call_id, result.output))
    is_done = result.ok or result.name == END_CALL
    call.tool_calls.end(tool_call_id, call.now, ok=is_done)
    answer_tools(call)


def refuse(call: CallState, tool_call_id: str) -> None:
    """Refuse a tool call that is over a limit; the call keeps none of it."""
    error = (
        f"expected at most {TOOLS_MAX} tool calls in a call, each with at most "
        f"{ARGUMENT_CHARS_MAX} characters of arguments: nothing was done"
    )
    output = msgspec.json.encode({"error": error}).decode()
    call.tell(session_config.tool_output(tool_call_id, output))
    call.tool_calls.refuse(call.now)
    answer_tools(call)


def answer_tools(call: CallState) -> None:
    """Ask for one answer to all tools of a response, once it has ended."""
    if call.tool_calls.is_answer_due and call.take_floor(Due.TOOL_ANSWER):
        ask_for_answer(call)


def ask_for_answer(call: CallState) -> None:
    """Ask for the answer, if it is still due and nothing else is being said."""
    is_owed = call.tool_calls.state is State.OWED
    if is_owed and not call.responses.is_busy and call.is_talking:
        call.request()


def on_filler_due(call: CallState) -> None:
    """Have a filler said while a tool runs long: once, and over nobody's speech."""
    if not call.is_talking or call.takeover.is_on:
        return
    is_speaking = call.responses.is_busy or call.playout.is_playing(call.now)
    is_free = not is_speaking and not call.has_caller_floor
    if call.tool_calls.take_filler(call.now, is_free=is_free):
        call.request(session_config.filler())
