"""Goodbye: how a conversation comes to its last words.

The model may wish to end it, the caller may be silent, or a limit of time is reached.
The call is hung up when the last words have been heard (`bridge.call.hangup`).
"""

from bridge.call import (
    hangup,
    operator_orders,
    session_config,
    speech,
    tool_answers,
)
from bridge.call.floor import Due
from bridge.call.plan import Phase
from bridge.call.silence import Verdict
from bridge.call.state import CallState


def on_idle(call: CallState) -> None:
    """Ask a silent caller once whether they are there; then end politely."""
    verdict = call.silence.look(
        call.now,
        call.call_record.active_at,
        call.playout.ends_at(),
        is_at_work=call.takeover.is_on
        or call.responses.is_busy
        or bool(call.tool_calls.open),
    )
    if verdict is Verdict.ASK:
        call.request(session_config.still_there())
    elif verdict is Verdict.END:
        end_politely(call, "silence")


def on_limit(call: CallState, what: tuple[str, float]) -> None:
    """A limit of the business leaves the call so many seconds: warn, then end."""
    limit, left_s = what
    if not call.is_talking or call.time_limit.limit:
        return
    left_s = call.time_limit.shorten(limit, left_s, call.now)
    call.info(f"[LIMIT] {limit}: the call ends in {left_s:.0f} s")


def on_time_up(call: CallState) -> None:
    """End a call that has reached its time limit."""
    end_politely(call, call.time_limit.reason)


def on_warning_due(call: CallState) -> None:
    """Have the model say, in the next pause, that the call must end soon."""
    if not call.is_talking or call.time_limit.has_warned:
        return
    is_speaking = call.responses.is_busy or call.playout.is_playing(call.now)
    if is_speaking or call.takeover.is_on:
        call.time_limit.put_off(call.now)
    elif call.take_floor(Due.WARNING):
        warn(call)


def warn(call: CallState) -> None:
    """Have the model say, in a pause, that the call must end soon."""
    call.time_limit.note_warned()
    call.request(session_config.closing_soon())


def consider_wishes(call: CallState, *, is_late: bool = False) -> None:
    """Decide on the model's wishes to end the call, once its other tools have ended.

    Another tool call of the same response may bring what is still missing, or fail: the
    caller is told of that first, since the model did not know of it when it said
    goodbye. A caller who speaks when a slow tool ends is heard first.
    """
    wishes = call.ending.wishes
    responses = call.responses
    if not wishes or call.tool_calls.open.keys() - wishes.keys():
        return
    if any(wish.response_id == responses.active_id for wish in wishes.values()):
        return
    failed = tuple(call.tool_calls.failed)
    for tool_call_id, wish in call.ending.take_wishes().items():
        is_stopped = (
            call.takeover.is_on
            or tool_call_id in call.ending.stopped
            or responses.is_cancelled(wish.response_id)
            or (is_late and call.has_caller_floor)
        )
        result = call.ending.decide(
            tool_call_id, wish.arguments, is_stopped=is_stopped, failed=failed
        )
        if result.ok and call.is_talking:
            _leave(call)
        tool_answers.give_result(call, result)
    if call.phase is Phase.ENDING:
        say_last_words(call)
        _speak_on(call)


def end_as_begun(call: CallState, reason: str) -> None:
    """End a call that another process was ending; the last words are asked for."""
    call.ending.begin(reason)
    call.last_words.note_asked()
    _leave(call)
    say_last_words(call)
    _speak_on(call)


def end_politely(call: CallState, reason: str) -> None:
    """End the call with a goodbye, or at once where nobody could hear it."""
    if call.phase is Phase.ENDING:
        return
    if not call.is_talking:
        hangup.end(call, reason)
        return
    operator_orders.leave(call)  # the goodbye is the AI's
    failure = call.takeover.failure
    if failure is not None:
        hangup.obey(call, failure)
        return
    call.ending.begin(reason)
    ask_goodbye(call)
    _leave(call)
    _speak_on(call)


def say_last_words(call: CallState) -> None:
    """After a response: hang up once it is heard, or ask for a goodbye first."""
    if call.phase is not Phase.ENDING or call.responses.is_busy:
        return
    is_speaking = call.playout.is_playing(call.now) or call.playout.has_unsent
    if is_speaking or call.last_words.is_asked:
        hangup.hang_up_when_heard(call)
        return
    ask_goodbye(call)


def ask_goodbye(call: CallState) -> None:
    """Ask for the last words."""
    call.last_words.note_asked()
    call.request(session_config.goodbye(call.ending.reason))


def _leave(call: CallState) -> None:
    """End the conversation; the last words are still to be heard."""
    call.enter(Phase.ENDING)
    call.timers.clear()
    call.floor.drop_all()
    call.actions += call.sessions.let_go("the call ends")
    call.last_words.begin(call.now)


def _speak_on(call: CallState) -> None:
    """Resume held speech: last words cannot be interrupted."""
    if call.phase is not Phase.ENDED:
        call.playout.resume()
        speech.feed(call)
