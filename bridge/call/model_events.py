"""Dialogue: what a call does with the events of the model's side, audio apart.

Each function answers one event of `bridge.realtime.openai` for a `Call`, and is an
entry of the table at the end: turns, transcripts, responses, tools and errors. The
audio itself goes straight through `Call`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, UnsetType

from bridge.call import (
    bad_answers,
    conversation_start,
    ending,
    limits,
    resumption,
    session_config,
    tool_answers,
)
from bridge.call.floor import Due
from bridge.call.plan import Log, Phase, Refusal, RunTool, ToolResult
from bridge.call.responses import STALL_S
from bridge.realtime import openai

if TYPE_CHECKING:
    from bridge.call.machine import Call


# --- the caller's turn ---


def on_speech_started(call: "Call", event: openai.SpeechStarted) -> None:
    """Keep the turn open until the server has heard its end."""
    call.uplink.note_speech_started()
    call.unwritten.begin(event.audio_start_ms)
    call.responses.note_speech()


def on_speech_stopped(call: "Call", event: openai.SpeechStopped) -> None:
    """Stop the silence, if no newer speech follows."""
    call.uplink.note_speech_stopped(event.audio_end_ms)
    call.unwritten.end(event.audio_end_ms)


def on_committed(call: "Call", event: openai.Committed) -> None:
    """Place the turn; in the VAD modes the server answers what it has ended itself."""
    call.uplink.note_committed()
    is_ours = call.unwritten.commit(event.item_id, call.uplink)
    call.notes.committed(event, call.now)
    if call.plan.options.turn_detection == "gate":
        return
    call.responses.note_committed(call.now, is_answered=not is_ours)
    if is_ours and call.is_talking:
        on_answer_due(call)


def on_answer_due(call: "Call") -> None:
    """Ask for the answer that the server has not begun."""
    call.ask(call.responses.ask_for_unanswered(call.now))


def on_transcription_completed(
    call: "Call", event: openai.TranscriptionCompleted
) -> None:
    """Write down what the caller said."""
    call.unwritten.write(event.item_id, call.uplink)
    call.log(call.notes.caller_said(event, call.now))


def on_transcription_failed(call: "Call", event: openai.TranscriptionFailed) -> None:
    """Note that the caller's words are not known; the model heard them."""
    call.unwritten.write(event.item_id, call.uplink)
    call.notes.transcript.close(event.item_id)
    call.counters.untranscribed_turns += 1
    call.log(Log("warning", f"[REALTIME] No transcript of item {event.item_id}"))


# --- the model's turn ---


def on_stalled(call: "Call") -> None:
    """A session that owes an answer and says nothing is as good as lost."""
    if not call.is_session_ready:
        return
    if call.responses.is_waiting and not call.responses.is_busy:
        call.request()  # it waited for the end of an answer we never heard of
    elif call.responses.is_stalled(call.now, call.playout.ends_at()):
        call.lose_session(f"no answer for {STALL_S:.0f} s")


def on_response_created(call: "Call", event: openai.ResponseCreated) -> None:
    """A response runs now."""
    _begin_response(call, event.response.id)


def note_sign(call: "Call", response_id: str) -> None:
    """Something of a response has come, whose beginning may not have been told."""
    if call.responses.is_unannounced(response_id):
        _begin_response(call, response_id)


def _begin_response(call: "Call", response_id: str) -> None:
    if not call.responses.is_asked:
        call.tool_calls.note_begun(call.now)
    call.responses.note_created(response_id, call.now)
    call.recovery.begin(is_announced=True)
    call.floor.drop(Due.SECOND_TRY)
    call.notes.response_began()


def on_output_item_added(call: "Call", event: openai.OutputItemAdded) -> None:
    """Place a spoken item in the transcript before its words come."""
    note_sign(call, event.response_id)
    if event.item.type == "message":
        at_s = call.notes.at_s(call.now)
        call.notes.transcript.place("ai", event.item.id, at_s)


def on_transcript_delta(call: "Call", event: openai.TranscriptDelta) -> None:
    """Merge a piece of the model's words into its turn."""
    at_s = call.notes.at_s(call.now)
    part = event.content_index
    call.notes.transcript.add_text("ai", event.item_id, event.delta, at_s, part)


def on_transcript_done(call: "Call", event: openai.TranscriptDone) -> None:
    """Write down what the model said."""
    call.log(call.notes.ai_said(event, call.now))


def on_output_item_done(call: "Call", event: openai.OutputItemDone) -> None:
    """Run the tool the model asks for; this event alone has complete arguments."""
    item = event.item
    note_sign(call, event.response_id)
    if item.type == "message":
        call.notes.transcript.close(item.id)
    if item.type != "function_call":
        return
    if not item.call_id or not item.name:
        call.recovery.note_nameless()
        return
    is_whole = item.status != "incomplete"
    is_stopped = call.responses.is_cancelled(event.response_id)
    if is_stopped and not is_whole:
        return  # nobody waits for what was stopped in the middle of its arguments
    call.recovery.note_tool()
    _call_tool(call, event, item.arguments or ("{}" if is_whole else ""))


def _call_tool(call: "Call", event: openai.OutputItemDone, arguments: str) -> None:
    tool_call_id, name = event.item.call_id, event.item.name
    assert tool_call_id and name, "expected a function call with id and name"
    is_end = name == ending.END_CALL
    if not call.tool_calls.begin(tool_call_id, arguments, call.now, is_slow=not is_end):
        tool_answers.refuse(call, tool_call_id)
    elif is_end:
        call.ending.wish(tool_call_id, arguments, event.response_id)
        ending.consider_wishes(call)
    else:
        call.actions.append(RunTool(tool_call_id, name, arguments))


def on_tool_result(call: "Call", result: ToolResult) -> None:
    """Give the model a tool's answer; the last one may allow the call to end."""
    tool_answers.give_result(call, result)
    ending.consider_wishes(call, is_late=True)


def on_response_done(call: "Call", event: openai.ResponseDone) -> None:
    """A response has ended: send what waited for that, or the last words."""
    response, responses = event.response, call.responses
    is_announced = responses.active_id is not None
    is_ours = responses.is_its_end(response.id)
    is_judged = is_ours and not responses.is_stopped(response.id)
    if is_ours and not is_announced:  # what came before was another answer's
        call.recovery.begin(is_announced=False)
        call.notes.response_began()
    if is_ours and call.playout.has_unsent:
        call.playout.finish_all()  # the server may not have said so of each part
        call.feed()
    call.ask(responses.note_done(response.id, call.now))
    call.notes.response_ended(response)
    call.actions += limits.lines(call)
    if is_ours:
        call.log(call.notes.audio_total_line())
    ending.consider_wishes(call)
    if call.phase is Phase.ENDED:
        return
    tool_answers.answer_tools(call)
    if is_judged and bad_answers.is_bad(call, response, is_announced=is_announced):
        return
    is_waiting = not call.streams.sid and call.playout.has_unsent
    is_heard = not is_waiting and not call.playout.is_playing(call.now)
    if is_ours and is_heard and call.greeting.is_due:
        call.greeting.end()
    if not call.is_talking:
        ending.say_last_words(call)
    else:
        _consider_loop(call)


def _consider_loop(call: "Call") -> None:
    """Correct an AI that repeats itself; end the call when that does not help."""
    transcript, corrected = call.notes.transcript, call.ending.corrected_loop
    loop = transcript.loop()
    if loop is None or loop == corrected:
        return
    if corrected is not None and transcript.is_loop_known(corrected):
        if transcript.has_loop_gone_on(corrected):
            ending.end_politely(call, "loop")
        return
    call.ending.corrected_loop = loop
    call.log(Log("warning", "[REALTIME] The AI repeats itself: corrected"))
    call.tell(session_config.loop_correction())


# --- another session ---


def is_something_due(call: "Call") -> bool:
    """Tell whether an answer, a tool or a row of keys is yet to come."""
    return (
        call.responses.is_owing
        or call.recovery.failures > 0
        or call.tool_calls.is_answer_due
        or bool(call.tool_calls.open)
        or call.floor.is_wanted
        or call.keypad.has_digits
    )


def suspend(call: "Call", *, is_turn_asked: bool) -> None:
    """The session is left: what ran or was owed is asked for at `resume`."""
    is_asked_later = is_turn_asked or bool(call.tool_calls.open)
    call.responses.suspend(is_asked_later=is_asked_later)
    is_tried_again = call.recovery.failures and call.phase is not Phase.WAITING
    if is_tried_again and not is_asked_later:
        call.request(call.responses.params)  # a second try was due, or ran
    call.recovery.leave_session()
    call.greeting.pause()


def resume(call: "Call") -> None:
    """Another session serves: ask it for what is owed."""
    if call.phase is Phase.WAITING:
        call.responses.resume(call.now)
        conversation_start.greet_when_ready(call)
    else:
        instead: openai.ResponseParams | UnsetType = UNSET
        if call.greeting.is_due and call.is_talking:
            instead = session_config.greeting(call.plan)
            call.greeting.wait(call.now)
        call.ask(call.responses.resume(call.now, instead))
        ending.consider_wishes(call)
    tool_answers.answer_tools(call)


# --- the floor ---


def on_floor_look(call: "Call") -> None:
    """Have the model say what need not wait for the caller any longer."""
    for what in call.floor.look(call.now, is_callers=call.has_caller_floor):
        ON_FLOOR[what](call)


# --- errors ---


def on_error(call: "Call", event: openai.Error) -> None:
    """Ignore, try again or end the call, by the error's code."""
    error, responses = event.error, call.responses
    call.counters.openai_errors += 1
    names = {error.code, error.type}
    text = f"{error.code or error.type}: {error.message}"
    if session_config.EXPIRED in names and call.is_session_ready:
        call.lose_session(session_config.EXPIRED)
    elif not call.is_session_ready and not names & session_config.REFUSED_CODES:
        named = tuple(name for name in (error.code, error.type) if name)
        call.lose_session(Refusal(reason=text, names=named))
    elif error.event_id == session_config.CONFIGURE_ID or not call.is_session_ready:
        ending.fail(call, "session_refused", text)
    elif names & session_config.FATAL_CODES:
        ending.fail(call, "model_failed", text)
    elif "conversation_already_has_active_response" in names:
        refused = responses.note_refused(error.event_id, call.now, try_again=True)
        call.ask(refused)
        if not responses.is_busy:  # it waits for an end nobody may have told
            bad_answers.watch(call, text)
    elif session_config.NOTHING_TO_COMMIT in names:
        call.unwritten.refuse()
    elif not names & session_config.HARMLESS_CODES:
        call.log(call.notes.refusal_line(error.code or error.type or "", text))
        bad_answers.on_error(call, error, text)


ON_FLOOR: dict[Due, Callable[["Call"], None]] = {
    Due.TOOL_ANSWER: tool_answers.ask_for_answer,
    Due.SECOND_TRY: bad_answers.ask_again,
    Due.WARNING: ending.warn,
    Due.APOLOGY: resumption.apologize,
}
HANDLERS: dict[type, Callable[["Call", Any], None]] = {
    openai.SpeechStarted: on_speech_started,
    openai.SpeechStopped: on_speech_stopped,
    openai.Committed: on_committed,
    openai.TranscriptionCompleted: on_transcription_completed,
    openai.TranscriptionFailed: on_transcription_failed,
    openai.ResponseCreated: on_response_created,
    openai.ItemAdded: lambda call, event: None,  # concerns a spare alone
    openai.OutputItemAdded: on_output_item_added,
    openai.OutputItemDone: on_output_item_done,
    openai.TranscriptDelta: on_transcript_delta,
    openai.TranscriptDone: on_transcript_done,
    openai.ResponseDone: on_response_done,
    openai.Error: on_error,
}
