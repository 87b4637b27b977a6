"""Answers: what a call does as the model's responses begin, end, stall and are owed.

`Responses` says which one runs; what is done about one that was none is
`bridge.call.bad_answers`'s.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

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
from bridge.call.plan import Log, Phase
from bridge.call.responses import STALL_S
from bridge.realtime import openai

if TYPE_CHECKING:
    from bridge.call.machine import Call


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
    _begin(call, event.response.id)


def note_sign(call: "Call", response_id: str) -> None:
    """Something of a response has come, whose beginning may not have been told."""
    if call.responses.is_unannounced(response_id):
        _begin(call, response_id)


def _begin(call: "Call", response_id: str) -> None:
    is_asked = call.responses.is_asked
    if not call.responses.note_created(response_id, call.now):
        return
    if not is_asked:
        call.tool_calls.note_begun(call.now)
    call.recovery.begin(is_announced=True)
    call.floor.drop(Due.SECOND_TRY)
    call.call_record.response_began()


def on_response_done(call: "Call", event: openai.ResponseDone) -> None:
    """A response has ended: send what waited for that, or the last words."""
    response, responses = event.response, call.responses
    is_announced = responses.active_id is not None
    is_ours = responses.is_its_end(response.id)
    is_judged = is_ours and not responses.is_stopped(response.id)
    if is_ours and not is_announced:  # what came before was another answer's
        call.recovery.begin(is_announced=False)
        call.call_record.response_began()
    if is_ours and call.playout.has_unsent:
        call.playout.finish_all()  # the server may not have said so of each part
        call.feed()
    call.ask(responses.note_done(response.id, call.now))
    call.call_record.response_ended(response)
    call.actions += limits.lines(call)
    if is_ours:
        call.log(call.call_record.audio_total_line())
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
    transcript, corrected = call.call_record.transcript, call.ending.corrected_loop
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


# --- what is owed ---


def on_answer_due(call: "Call") -> None:
    """Ask for the answer that the server has not begun."""
    call.ask(call.responses.ask_for_unanswered(call.now))


def on_floor_look(call: "Call") -> None:
    """Have the model say what need not wait for the caller any longer."""
    for what in call.floor.look(call.now, is_callers=call.has_caller_floor):
        ON_FLOOR[what](call)


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


ON_FLOOR: dict[Due, Callable[["Call"], None]] = {
    Due.TOOL_ANSWER: tool_answers.ask_for_answer,
    Due.SECOND_TRY: bad_answers.ask_again,
    Due.WARNING: ending.warn,
    Due.APOLOGY: resumption.apologize,
}
