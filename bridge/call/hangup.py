"""Hangup: how a call ends, at once or when its last words have been heard.

A call that ends with `fail` lets the caller hear the fallback sentence.
"""

from bridge.call import last_turn, limits, operator_words, totals
from bridge.call.ending import LEFT_BY_CALLER
from bridge.call.plan import ERROR_CHARS_MAX, End, Fail, HangUp, Log, Phase
from bridge.call.state import CallState
from bridge.telephony import twilio


def hang_up_when_heard(call: CallState) -> None:
    """Hang up if the last words were heard; else wait for their mark for a while."""
    if call.phase is not Phase.ENDING or call.responses.is_busy:
        return
    if call.playout.has_unsent:
        return
    if call.playout.marks_in_flight == 0 and not call.playout.is_playing(call.now):
        end(call, call.ending.reason)
        return
    call.last_words.await_mark(call.playout.ends_at())


def on_last_words_over(call: CallState) -> None:
    """Hang up although the mark, or the goodbye itself, has not come."""
    playout = call.playout
    is_speaking = playout.deadline is not None or playout.ends_at() > call.now
    if call.last_words.are_over(call.now, is_speaking=is_speaking):
        end(call, call.ending.reason)


def end(call: CallState, reason: str) -> None:
    """End the call now; unheard turns are cut to what was heard."""
    has_left = reason in LEFT_BY_CALLER
    for cut in call.playout.interrupt(call.now, has_left=has_left):
        call.call_record.transcript.cut(cut)
    call.call_record.transcript.cut_soundless()
    call.ending.finish(reason, is_goodbye_said=call.phase is Phase.ENDING)
    call.enter(Phase.ENDED)
    operator_words.end_call(call)
    last_turn.commit(call, reason)
    call.timers.clear()
    call.actions += limits.lines(call)
    call.actions.append(totals.stop_line(call, reason))
    if call.call_record.is_answered and call.playout.frames_sent == 0:
        call.actions.append(Log("error", "tx=0: the caller heard nothing"))
    call.actions.append(HangUp(reason, call.ending.failed))


def on_stop(call: CallState, message: twilio.Stop) -> None:
    """End the call: the caller has hung up."""
    end(call, "caller_hung_up")


def fail(call: CallState, reason: str, text: str) -> None:
    """End the call so that the caller hears the fallback sentence."""
    call.log(Log("error", f"[REALTIME] {reason}: {text[:ERROR_CHARS_MAX]}"))
    call.ending.fail()
    end(call, reason)


def obey(call: CallState, order: End | Fail) -> None:
    """End the call as an owner has decided."""
    if isinstance(order, Fail):
        fail(call, order.reason, order.text)
    else:
        end(call, order.reason)
