"""Session rollover: what a change of the model's session means for the rest of a call.

`bridge.call.sessions` decides; this module carries out its orders. While no session
serves, the caller's audio is withheld, as it is while the AI speaks. The next session
is given that audio from its first sound, and once more a turn that the loss has cut.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from bridge.call import (
    bad_messages,
    conversation_start,
    hangup,
    history_seed,
    operator_orders,
    owed,
    speech,
)
from bridge.call.plan import Fail, Leg, Phase, Refusal
from bridge.call.sessions import Notice, Order
from bridge.call.state import CallState
from bridge.call.streams import CALLER_LOST
from bridge.call.timers import Timer
from bridge.media.uplink import SILENCE_MS_MAX
from bridge.realtime import openai

# The server will not commit a turn that it has not ended after so much quiet.
COMMIT_WAIT_MS = SILENCE_MS_MAX + 1_000
# A rollover does not wait longer for a transcript.
WORDS_WAIT_S = 5.0


# --- inputs of the sessions ---


def on_session_created(call: CallState, event: openai.SessionCreated) -> None:
    """Note that the server has announced the session."""
    _obey(call, call.sessions.on_created(call.now))


def on_session_updated(call: CallState, event: openai.SessionUpdated) -> None:
    """Note that the server has confirmed the session's configuration."""
    seed = partial(entries, call)
    _obey(call, call.sessions.on_updated(event.session, call.now, seed))


def takes_error(call: CallState, error: openai.ErrorBody) -> bool:
    """Take an error that concerns the session itself; tell whether it was one."""
    seed = partial(entries, call)
    orders = call.sessions.on_error(error, call.now, seed)
    if orders is None:
        return False
    _obey(call, orders)
    return True


def on_standby_event(call: CallState, event: openai.Inbound) -> None:
    """Take an event of the standby session."""
    seed = partial(entries, call)
    call.actions += call.sessions.standby.receive(event, call.now, seed)


def on_standby_late(call: CallState) -> None:
    """Give up a standby session that is not ready in time."""
    call.actions += call.sessions.standby.on_late(call.now)


def on_handshake_due(call: CallState) -> None:
    """Act on a late step of the handshake, or on the end of a pause."""
    _obey(call, call.sessions.on_handshake_due(call.now))


def on_sign_late(call: CallState) -> None:
    """Act on a session that has sent nothing since it was given a turn."""
    _obey(call, call.sessions.on_sign_late(call.now, partial(entries, call)))


def on_rollover_due(call: CallState) -> None:
    """Open a standby session, or change to it between two turns."""
    orders = call.sessions.on_rollover_due(
        call.now,
        partial(entries, call),
        is_talking=call.is_talking,
        is_between_turns=is_between_turns(call),
    )
    _obey(call, orders)


def on_lost(call: CallState, why: str | Refusal) -> None:
    """Act on a session that is lost, of no more use, or refused."""
    if isinstance(why, Refusal):
        _obey(call, call.sessions.on_refused(why, call.now))
    else:
        _obey(call, call.sessions.on_lost(why, call.now, partial(entries, call)))


def on_disconnect(call: CallState, lost: tuple[Leg, str | Refusal]) -> None:
    """Act on a lost or refused leg; the call ends with the caller's leg."""
    leg, why = lost
    if leg is Leg.TWILIO:
        hangup.end(call, CALLER_LOST)
    elif leg is Leg.STANDBY:
        reason = why.reason if isinstance(why, Refusal) else why
        call.actions += call.sessions.standby.on_lost(reason, call.now)
    else:
        on_lost(call, why)


def on_malformed(call: CallState, what: tuple[Leg, str]) -> None:
    """Count an unreadable message; one from a standby session costs that session."""
    if what[0] is Leg.STANDBY:
        on_disconnect(call, what)
    else:
        bad_messages.on_malformed(call, what)


# --- what the sessions need to know ---


def entries(call: CallState) -> list[history_seed.Entry]:
    """Return the conversation for the history seed of another session."""
    return history_seed.entries(
        call.call_record.transcript.placed(),
        call.call_record.tools,
        call.playout.unheard(call.now),
        lambda item_id: call.untranscribed.sound_of(item_id, call.uplink),
    )


def is_between_turns(call: CallState) -> bool:
    """Tell whether nobody speaks and no transcript, answer or result is due."""
    uplink, playout = call.uplink, call.playout
    is_somebody_speaking = (
        uplink.is_turn_open
        or uplink.is_gate_open
        or playout.has_unsent
        or playout.is_playing(call.now)
    )
    is_turn_heard = call.responses.is_turn_heard and uplink.quiet_ms < COMMIT_WAIT_MS
    is_something_due = (
        is_turn_heard or call.untranscribed.is_asked or owed.is_something_due(call)
    )
    if not call.is_talking or is_somebody_speaking or is_something_due:
        return False
    since_s = call.call_record.at_s(call.now) - WORDS_WAIT_S
    return not call.call_record.transcript.is_awaiting_words(since_s)


# --- orders of the sessions ---


def _obey(call: CallState, orders: Iterable[Order]) -> None:
    for order in orders:
        if isinstance(order, Notice):
            _ON_NOTICE[order](call)
        elif isinstance(order, Fail):
            if not operator_orders.defers(call, order):
                hangup.obey(call, order)
        else:
            call.actions.append(order)


def _on_left(call: CallState) -> None:
    """Wait for another session; it says an unheard greeting anew."""
    if call.phase is Phase.WAITING:
        conversation_start.begin_anew(call)
    _leave(call)
    speech.feed(call)


def _on_changed(call: CallState) -> None:
    _leave(call)
    _go_on(call)
    speech.feed(call)


def _on_gone(call: CallState) -> None:
    """Finish the call without a session, when all words that came are heard."""
    call.responses.begin_anew()
    call.untranscribed.leave(call.uplink)  # speech over the goodbye is recorded
    call.uplink.begin_session()
    call.playout.finish_all()
    speech.feed(call)
    hangup.hang_up_when_heard(call)


def _leave(call: CallState) -> None:
    """Note what the next session must do in place of this one."""
    call.sessions.note_left(call.playout.finish_all(), call.tool_calls.open)
    is_turn_asked = call.untranscribed.leave(call.uplink)
    call.call_record.transcript.close_all()
    owed.suspend(call, is_turn_asked=is_turn_asked)
    call.uplink.begin_session()


def _go_on(call: CallState) -> None:
    """Give the new session the turn that was cut, and ask for what is due."""
    turn = call.untranscribed.take_turn() if call.phase is not Phase.WAITING else []
    if turn:
        call.actions += map(openai.AppendAudio, turn)
        call.uplink.resume_turn(turn)
    owed.resume(call)
    operator_orders.keep_silent(call)


_ON_NOTICE = {
    Notice.READY: lambda call: conversation_start.greet_when_ready(call),
    Notice.LEFT: _on_left,
    Notice.CHANGED: _on_changed,
    Notice.RENEWED: _go_on,
    Notice.GONE: _on_gone,
}
HANDLERS: dict[type, Callable[[CallState, Any], None]] = {
    openai.SessionCreated: on_session_created,
    openai.SessionUpdated: on_session_updated,
}
TIMERS: dict[Timer, Callable[[CallState], None]] = {
    Timer.SESSION: on_handshake_due,
    Timer.SIGN: on_sign_late,
    Timer.RENEW: on_rollover_due,
    Timer.STANDBY: on_standby_late,
}
