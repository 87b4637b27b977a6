"""Model events: what a call does with the events of the model, except audio.

Each function handles one event of `bridge.realtime.openai`: turns, transcripts, tools
and errors. The table at the end names the function for each event. Audio is handled by
`bridge.call.machine`, the beginning and the end of a response by `bridge.call.answers`.
"""

from collections.abc import Callable
from typing import Any

from bridge.call import (
    answers,
    bad_answers,
    goodbye,
    session_config,
    session_rollover,
    tool_answers,
)
from bridge.call.ending import END_CALL
from bridge.call.floor import Due
from bridge.call.plan import Log, RunTool, ToolResult
from bridge.call.state import CallState
from bridge.realtime import openai

# --- the caller's turn ---


def on_speech_started(call: CallState, event: openai.SpeechStarted) -> None:
    """Keep the turn open until the server has heard its end."""
    call.uplink.note_speech_started()
    call.untranscribed.begin(event.audio_start_ms)
    call.responses.note_speech()


def on_speech_stopped(call: CallState, event: openai.SpeechStopped) -> None:
    """Note the end of the turn, if no newer speech follows."""
    call.uplink.note_speech_stopped(event.audio_end_ms)
    call.untranscribed.end(event.audio_end_ms)
    call.sessions.await_sign(call.now)


def on_committed(call: CallState, event: openai.Committed) -> None:
    """Place the turn; in the VAD modes the server answers the turns that it ended."""
    call.uplink.note_committed()
    is_ours = call.untranscribed.commit(event.item_id, call.uplink)
    call.call_record.committed(event, call.now)
    if call.plan.options.turn_detection == "gate":
        return
    if call.takeover.is_on:
        call.responses.note_left_to_operator()
        return
    call.responses.note_committed(call.now, is_answered=not is_ours)
    call.floor.drop(Due.OPERATOR)  # the answer to this turn knows the order
    if is_ours and call.is_talking:
        answers.on_answer_due(call)


def on_transcription_completed(
    call: CallState, event: openai.TranscriptionCompleted
) -> None:
    """Take the transcript of a turn of the caller."""
    call.untranscribed.write(event.item_id, call.uplink)
    call.log(call.call_record.caller_said(event, call.now))


def on_transcription_failed(call: CallState, event: openai.TranscriptionFailed) -> None:
    """Note that a turn of the caller has no transcript; the model heard it."""
    call.untranscribed.write(event.item_id, call.uplink)
    call.call_record.transcript.close(event.item_id)
    call.counters.untranscribed_turns += 1
    call.log(Log("warning", f"[REALTIME] No transcript of item {event.item_id}"))


# --- the model's turn ---


def on_output_item_added(call: CallState, event: openai.OutputItemAdded) -> None:
    """Place a spoken item in the transcript before its words come."""
    answers.note_sign(call, event.response_id)
    if event.item.type == "message":
        at_s = call.call_record.at_s(call.now)
        call.call_record.transcript.place("ai", event.item.id, at_s)
        if call.responses.is_cancelled(event.response_id):
            call.call_record.transcript.cut_soundless()


def on_transcript_delta(call: CallState, event: openai.TranscriptDelta) -> None:
    """Add a piece of the model's transcript to its turn."""
    at_s = call.call_record.at_s(call.now)
    part = event.content_index
    call.call_record.transcript.add_text("ai", event.item_id, event.delta, at_s, part)


def on_transcript_done(call: CallState, event: openai.TranscriptDone) -> None:
    """Take the whole transcript of a part of the model's speech."""
    call.log(call.call_record.ai_said(event, call.now))


def on_output_item_done(call: CallState, event: openai.OutputItemDone) -> None:
    """Run the tool that the model calls; only this event has complete arguments."""
    item = event.item
    answers.note_sign(call, event.response_id)
    if item.type == "message":
        call.call_record.transcript.close(item.id)
    if item.type != "function_call":
        return
    if not item.call_id or not item.name:
        call.recovery.note_nameless()
        return
    is_whole = item.status != "incomplete"
    is_stopped = call.responses.is_cancelled(event.response_id)
    if is_stopped and not is_whole:
        return  # the interruption cut its arguments
    call.recovery.note_tool()
    _call_tool(call, event, item.arguments or ("{}" if is_whole else ""))


def _call_tool(call: CallState, event: openai.OutputItemDone, arguments: str) -> None:
    tool_call_id, name = event.item.call_id, event.item.name
    assert tool_call_id and name, "expected a function call with id and name"
    is_end = name == END_CALL
    if not call.tool_calls.begin(
        tool_call_id, name, arguments, call.now, is_slow=not is_end
    ):
        tool_answers.refuse(call, tool_call_id)
    elif is_end:
        call.ending.wish(tool_call_id, arguments, event.response_id)
        goodbye.consider_wishes(call)
    else:
        call.actions.append(RunTool(tool_call_id, name, arguments))


def on_tool_result(call: CallState, result: ToolResult) -> None:
    """Give the model a tool's result; the last one may allow the call to end."""
    tool_answers.give_result(call, result)
    goodbye.consider_wishes(call, is_late=True)


# --- errors ---


def on_error(call: CallState, event: openai.Error) -> None:
    """Act on an error: it may cost the session or an answer; others are logged."""
    error, responses = event.error, call.responses
    call.counters.openai_errors += 1
    if session_rollover.takes_error(call, error):
        return
    names = {error.code, error.type}
    text = f"{error.code or error.type}: {error.message}"
    if "conversation_already_has_active_response" in names:
        refused = responses.note_refused(error.event_id, call.now, try_again=True)
        call.ask(refused)
        if (
            not responses.is_busy
        ):  # the end of the running response may not have been sent
            bad_answers.watch(call, text)
    elif session_config.NOTHING_TO_COMMIT in names:
        call.untranscribed.refuse()
    elif not names & session_config.HARMLESS_CODES:
        call.log(call.call_record.refusal_line(error.code or error.type or "", text))
        bad_answers.on_error(call, error, text)


HANDLERS: dict[type, Callable[[CallState, Any], None]] = {
    openai.SpeechStarted: on_speech_started,
    openai.SpeechStopped: on_speech_stopped,
    openai.Committed: on_committed,
    openai.TranscriptionCompleted: on_transcription_completed,
    openai.TranscriptionFailed: on_transcription_failed,
    openai.ResponseCreated: answers.on_response_created,
    openai.ItemAdded: lambda call, event: None,  # only a standby session waits for it
    openai.OutputItemAdded: on_output_item_added,
    openai.OutputItemDone: on_output_item_done,
    openai.TranscriptDelta: on_transcript_delta,
    openai.TranscriptDone: on_transcript_done,
    openai.ResponseDone: answers.on_response_done,
    openai.Error: on_error,
}
