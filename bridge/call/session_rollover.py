"""Renewal: a call outlives its session with the model.

A session ends after an hour, or with its socket; there is no resume. In good time a
spare is made ready beside it (`bridge.call.standby_session`), and between turns the
call changes to it: what the caller says next goes there, and nobody has waited.

Where the socket is lost before, the spare takes its place at once, or, if there is
none, another session is opened and given the conversation's items. Meanwhile the caller
is withheld as under the AI's voice, so that what he says is given to the new session
from its first sound. A model that cannot be had again within REOPEN_S, however often it
is tried (`bridge.call.handshake`), ends the call with the fallback sentence.
"""

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from bridge.call import (
    conversation_start,
    ending,
    greeting,
    history_seed,
    model_events,
    session_config,
    standby_session,
    tool_answers,
)
from bridge.call.call_record import ERROR_CHARS_MAX
from bridge.call.handshake import State, is_final
from bridge.call.plan import Log, OpenModel, Phase, Refusal, ToSpare, UseSpare
from bridge.call.responses import Responses
from bridge.call.timers import Timer
from bridge.media.uplink import SILENCE_MS_MAX
from bridge.realtime import openai

if TYPE_CHECKING:
    from bridge.call.machine import Call

# The share of a session's life after which a spare is opened, and how often a pause is
# looked for once it is ready.
RENEW_AT = 0.9
LOOK_S = 0.1
# How long a first session is tried for: Twilio rings, or the caller awaits a greeting.
OPEN_S = 10.0
# A judgement: a caller bears this much silence in a conversation, and a server that is
# started anew is back within it; opening a session takes about half a second.
REOPEN_S = 10.0
# More losses than this in one call are no accident.
LOSSES_MAX = 5
# A turn that the server heard begin, and does not end after so much quiet, has none.
COMMIT_WAIT_MS = SILENCE_MS_MAX + 1_000
# Words that take longer to be written down than this are not waited for.
WORDS_WAIT_S = 5.0


class Renewal:
    """What one call knows of its earlier sessions."""

    def __init__(self) -> None:
        self.is_reopening = False
        self.losses = 0
        # Items in the ledger and open tool calls that the session has never heard of.
        self.old_items: set[str] = set()
        self.old_tools: set[str] = set()


def limit_age(call: "Call", since: float) -> None:
    """Have the next session made ready before this one ends by itself."""
    age_s = call.plan.options.openai_session_seconds * RENEW_AT
    call.timers.set(Timer.RENEW, max(since + age_s, call.now))


def on_renewal_due(call: "Call") -> None:
    """Open a spare; once it is ready, change to it where nobody would notice."""
    if not call.spare.is_open and call.is_talking:
        standby_session.open_spare(call)
    elif call.spare.is_ready and _is_between_turns(call):
        _change(call, "the session grows old")
    elif call.spare.is_ready or not call.spare.is_open:
        call.timers.set(Timer.RENEW, call.now + LOOK_S)


def on_lost(call: "Call", reason: str) -> None:
    """The model's leg is gone: open another, or give up."""
    if call.phase is Phase.ENDING:
        # The last words are in the ledger, or there are none.
        call.handshake.close()
        call.timers.cancel(Timer.SESSION)
        call.responses = Responses()
        call.unwritten.leave(call.uplink)  # said over the goodbye, it is recorded
        call.uplink.begin_session()
        call.playout.finish_all()
        call.feed()
        ending.hang_up_when_heard(call)
    elif not call.is_session_ready:
        on_refused(call, Refusal(reason=reason))
    elif call.renewal.losses >= LOSSES_MAX:
        ending.fail(call, "model_lost", reason)
    else:
        call.renewal.losses += 1
        call.log(Log("warning", f"[REALTIME] Model lost: {reason}"))
        if call.spare.is_ready:
            _change(call, reason)
        else:
            _begin(call, reason)


def on_refused(call: "Call", refusal: Refusal) -> None:
    """A handshake has come to nothing: try again in a while, or give up."""
    shake = call.handshake
    if shake.state is State.PAUSING:
        return  # it was late before it was lost
    if call.phase is Phase.ENDING:
        on_lost(call, refusal.reason)
    elif is_final(refusal) or not shake.pause(call.now, refusal.retry_after_s):
        name = "model_lost" if call.renewal.is_reopening else "model_unreachable"
        ending.fail(call, name, refusal.reason)
    else:
        call.counters.retried_handshakes += 1
        call.timers.set(Timer.SESSION, shake.deadline)
        why = refusal.reason[:ERROR_CHARS_MAX]
        call.log(Log("warning", f"[REALTIME] No session, to be tried again: {why}"))


def on_handshake_due(call: "Call") -> None:
    """A pause is over: open another socket. Or a step was late."""
    if call.handshake.state is not State.PAUSING:
        on_refused(call, Refusal(reason="no session in time"))
        return
    call.handshake.try_again(call.now)
    call.timers.set(Timer.SESSION, call.handshake.deadline)
    call.actions.append(OpenModel("again"))


def on_ready(call: "Call") -> None:
    """Give the new session the conversation, and ask for what is owed."""
    call.renewal.is_reopening = False
    call.spare = standby_session.Spare()
    items = [one for entry in history_seed.entries(call) for one in entry.items]
    call.actions += items
    call.info(f"[REALTIME] Session renewed: items={len(items)}")
    if call.phase is Phase.WAITING:
        call.responses.resume()
        conversation_start.greet_when_ready(call)
        tool_answers.answer_tools(call)
    else:
        _go_on(call)


def _begin(call: "Call", reason: str) -> None:
    """Open another session in the place of the one that is gone."""
    call.counters.reopened_sessions += 1
    call.renewal.is_reopening = True
    call.handshake.begin(call.now, REOPEN_S)
    standby_session.close(call, reason)
    if call.phase is Phase.WAITING:
        _greet_anew(call)
    _leave(call)
    call.timers.set(Timer.SESSION, call.handshake.deadline)
    call.actions.append(OpenModel(reason))
    call.feed()


def _change(call: "Call", reason: str) -> None:
    """Let the spare be the session from here on."""
    call.counters.changed_sessions += 1
    items = call.spare.tell(call, is_last=True)
    call.actions += map(ToSpare, items)
    _leave(call)
    call.actions.append(UseSpare(reason))
    call.info(f"[REALTIME] Session changed: {reason}, items={len(items)} at the last")
    limit_age(call, call.spare.configured_at)
    call.spare = standby_session.Spare()
    _go_on(call)
    call.feed()


def _leave(call: "Call") -> None:
    """Owe to the next session what the one until now has not done."""
    # Older ones that are not there any more cannot be truncated or answered.
    call.renewal.old_items = call.playout.finish_all()
    call.renewal.old_tools = set(call.tool_calls.open)
    is_turn_asked = call.unwritten.leave(call.uplink)
    call.notes.transcript.close_all()
    is_asked_later = is_turn_asked or bool(call.tool_calls.open)
    call.responses.suspend(is_asked_later=is_asked_later)
    is_tried_again = call.recovery.failures and call.phase is not Phase.WAITING
    if is_tried_again and not is_asked_later:
        call.request(call.responses.params)  # a second try was due, or ran
    call.uplink.begin_session()
    call.recovery.forget()
    call.timers.cancel(
        Timer.ANSWER,
        Timer.RETRY,
        Timer.ERROR,
        Timer.RENEW,
        Timer.STALL,
    )
    call.greeting.pause()


def _go_on(call: "Call") -> None:
    """Give the new session the turn that was broken, and ask for what is owed."""
    turn = call.unwritten.take_turn()
    if turn:
        call.actions += map(openai.AppendAudio, turn)
        call.uplink.resume_turn(turn)
    instead: openai.ResponseParams | UnsetType = UNSET
    if call.greeting.is_due and call.is_talking:
        instead = session_config.greeting(call.plan)
        call.greeting.wait(call.now)
    model_events.ask(call, call.responses.resume(instead))
    ending.consider_wishes(call)
    tool_answers.answer_tools(call)


def _greet_anew(call: "Call") -> None:
    """Drop what waits for the caller: the new session greets him from the beginning."""
    for cut in call.playout.interrupt(call.now):
        call.notes.transcript.cut(cut)
    call.responses = Responses()
    if call.greeting.state is greeting.State.ASKED:
        call.greeting.note_lost()


def _is_between_turns(call: "Call") -> bool:
    uplink, playout = call.uplink, call.playout
    is_somebody_speaking = (
        uplink.is_turn_open
        or uplink.is_gate_open
        or playout.has_unsent
        or playout.is_playing(call.now)
    )
    is_turn_heard = call.responses.is_turn_heard and uplink.quiet_ms < COMMIT_WAIT_MS
    is_something_due = (
        is_turn_heard
        or call.unwritten.is_asked
        or call.responses.is_owing
        or call.recovery.failures > 0
        or call.tool_calls.is_answer_due
        or bool(call.tool_calls.open)
        or bool(call.waiting)
        or call.keypad.has_digits
    )
    if not call.is_talking or is_somebody_speaking or is_something_due:
        return False
    since_s = call.notes.at_s(call.now) - WORDS_WAIT_S
    return not call.notes.transcript.is_awaiting_words(since_s)
