"""Answers: what a call does when the model's responses begin, end, stall or are due.

`Responses` says which response runs. `bridge.call.bad_answers` handles a response that
failed or had no sound.
"""

from bridge.call import (
    bad_answers,
    goodbye,
    limits,
    session_config,
    session_rollover,
    speech,
    tool_answers,
)
from bridge.call.floor import Due
from bridge.call.loop_correction import Verdict
from bridge.call.plan import Log, Phase
from bridge.call.responses import BEGIN_S, STALL_S
from bridge.call.state import CallState
from bridge.realtime import openai


def on_stalled(call: CallState) -> None:
    """Treat a session as lost that owes an answer and sends nothing."""
    if not call.is_session_ready:
        return
    if call.responses.is_waiting and not call.responses.is_busy:
        call.request()  # it waited for the end of a response that never began
    elif call.responses.is_stalled(call.now, call.playout.ends_at()):
        waited_s = BEGIN_S if call.responses.is_asked else STALL_S
        session_rollover.on_lost(call, f"no answer for {waited_s:.0f} s")


def on_response_created(call: CallState, event: openai.ResponseCreated) -> None:
    """Note that a response runs."""
    _begin(call, event.response.id)


def note_sign(call: CallState, response_id: str) -> None:
    """Note an event of a response; its `response.created` may not have come."""
    if call.responses.is_unannounced(response_id):
        _begin(call, response_id)


def _begin(call: CallState, response_id: str) -> None:
    is_asked = call.responses.is_asked
    if not call.responses.note_created(response_id, call.now):
        return
    if not is_asked:
        call.tool_calls.note_begun(call.now)
    call.recovery.begin(is_announced=True)
    call.floor.drop(Due.SECOND_TRY)
    call.call_record.response_began()
    if call.takeover.is_on:  # the server began it before it knew
        call.cancel_answer()


def on_response_done(call: CallState, event: openai.ResponseDone) -> None:
    """Act on the end of a response: send what waited for it, or the last words."""
    response, responses = event.response, call.responses
    is_announced = responses.active_id is not None
    is_ours = responses.is_its_end(response.id)
    is_judged = is_ours and not responses.is_stopped(response.id)
    if is_ours and not is_announced:  # earlier audio belonged to another response
        call.recovery.begin(is_announced=False)
        call.call_record.response_began()
    if is_ours and call.playout.has_unsent:
        call.playout.finish_all()  # not every part was marked as done
        speech.feed(call)
    call.ask(responses.note_done(response.id, call.now))
    call.call_record.response_ended(response)
    call.actions += limits.lines(call)
    if is_ours:
        call.log(call.call_record.audio_total_line())
    goodbye.consider_wishes(call)
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
        goodbye.say_last_words(call)
    elif not call.takeover.is_on:
        _consider_loop(call)


def _consider_loop(call: CallState) -> None:
    """Correct an AI that repeats itself; end the call when that does not help."""
    verdict = call.loop_correction.judge()
    if verdict is Verdict.CORRECT:
        call.log(Log("warning", "[REALTIME] The AI repeats itself: corrected"))
        call.tell(session_config.loop_correction())
    elif verdict is Verdict.END:
        goodbye.end_politely(call, "loop")


# --- answers that are due ---


def on_answer_due(call: CallState) -> None:
    """Ask for the answer that the server has not begun."""
    call.ask(call.responses.ask_for_unanswered(call.now))
