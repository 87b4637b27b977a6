"""Session rollover: what a change of the model's session means for the rest of a call.

`bridge.call.sessions` decides; here its orders are carried out. While no session serves
the caller is withheld as under the AI's voice, so that what they say is given to the
next session from its first sound; a turn that was broken is given to it again.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from bridge.call import (
    bad_messages,
    conversation_start,
    hangup,
    history_seed,
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

# A turn that the server heard begin, and does not end after so much quiet, has none.
COMMIT_WAIT_MS = SILENCE_MS_MAX + 1_000
# Words that take longer to be written down than this are not waited for.
WORDS_WAIT_S = 5.0


# --- what the sessions are told ---


def on_session_created(call: CallState, event: openai.SessionCreated) -> None:
    """The server has announced the session."""
    _obey(call, call.sessions.on_created(call.now))


def on_session_updated(call: CallState, event: openai.SessionUpdated) -> None:
    """The server has confirmed the session's configuration."""
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
    """The session that is to be the next says something."""
    seed = partial(entries, call)
    call.actions += call.sessions.standby.receive(event, call.now, seed)


def on_standby_late(call: CallState) -> None:
    """The next session is not ready in time."""
    call.actions += call.sessions.standby.on_late(call.now)


def on_handshake_due(call: CallState) -> None:
    """A step of the handshake was late, or a pause is over."""
    _obey(call, call.sessions.on_handshake_due(call.now))


def on_rollover_due(call: CallState) -> None:
    """The session grows old."""
    orders = call.sessions.on_rollover_due(
        call.now,
        partial(entries, call),
        is_talking=call.is_talking,
        is_between_turns=is_between_turns(call),
    )
    _obey(call, orders)


def on_lost(call: CallState, why: str | Refusal) -> None:
    """The session is gone or of no use any more, or could not be had."""
    if isinstance(why, Refusal):
        _obey(call, call.sessions.on_refused(why, call.now))
    else:
        _obey(call, call.sessions.on_lost(why, call.now, partial(entries, call)))


def on_disconnect(call: CallState, lost: tuple[Leg, str | Refusal]) -> None:
    """A leg is gone, or could not be had: without the caller there is no call."""
    leg, why = lost
    if leg is Leg.TWILIO:
        hangup.end(call, CALLER_LOST)
    elif leg is Leg.STANDBY:
        reason = why.reason if isinstance(why, Refusal) else why
        call.actions += call.sessions.standby.on_lost(reason, call.now)
    else:
        on_lost(call, why)


def on_malformed(call: CallState, what: tuple[Leg, str]) -> None:
    """A message could not be read; one from a standby session costs that session."""
    if what[0] is Leg.STANDBY:
        on_disconnect(call, what)
    else:
        bad_messages.on_malformed(call, what)


# --- what they are asked ---


def entries(call: CallState) -> list[history_seed.Entry]:
    """Return the conversation, as another session is told it."""
    return history_seed.entries(
        call.call_record.transcript.placed(),
        call.call_record.tools,
        call.playout.unheard(call.now),
        lambda item_id: call.untranscribed.sound_of(item_id, call.uplink),
    )


def is_between_turns(call: CallState) -> bool:
    """Tell whether nobody speaks, and nothing that was said or asked is yet to come."""
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


# --- what they order ---


def _obey(call: CallState, orders: Iterable[Order]) -> None:
    for order in orders:
        if isinstance(order, Notice):
            _ON_NOTICE[order](call)
        elif isinstance(order, Fail):
            hangup.obey(call, order)
        else:
            call.actions.append(order)


def _on_left(call: CallState) -> None:
    """Wait for another session; a greeting that nobody has heard is said anew."""
    if call.phase is Phase.WAITING:
        conversation_start.begin_anew(call)
    _leave(call)
    speech.feed(call)


def _on_changed(call: CallState) -> None:
    _leave(call)
    _go_on(call)
    speech.feed(call)


def _on_gone(call: CallState) -> None:
    """The last words are in the ledger, or there are none."""
    call.responses.begin_anew()
    call.untranscribed.leave(call.uplink)  # said over the goodbye, it is recorded
    call.uplink.begin_session()
    call.playout.finish_all()
    speech.feed(call)
    hangup.hang_up_when_heard(call)


def _leave(call: CallState) -> None:
    """Owe to the next session what the one until now has not done."""
    call.sessions.note_left(call.playout.finish_all(), call.tool_calls.open)
    is_turn_asked = call.untranscribed.leave(call.uplink)
    call.call_record.transcript.close_all()
    owed.suspend(call, is_turn_asked=is_turn_asked)
    call.uplink.begin_session()


def _go_on(call: CallState) -> None:
    """Give the new session the turn that was broken, and ask for what is owed."""
    turn = call.untranscribed.take_turn() if call.phase is not Phase.WAITING else []
    if turn:
        call.actions += map(openai.AppendAudio, turn)
        call.uplink.resume_turn(turn)
    owed.resume(call)


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
    Timer.RENEW: on_rollover_due,
    Timer.STANDBY: on_standby_late,
}
