"""Resumption: what a change of the caller's stream means for the rest of a call.

`bridge.call.streams` decides; this module carries out its orders. The call goes on
without a stream: unsent speech is held, the model's session stays, tools run. On the
next stream the caller hears the reply from the next byte on, or a short apology if
nothing was being said.
"""

from collections.abc import Iterable

from bridge.call import (
    bad_messages,
    conversation_start,
    hangup,
    session_config,
    speech,
)
from bridge.call.floor import Due
from bridge.call.plan import Leg, Log, Phase
from bridge.call.state import CallState
from bridge.call.streams import Notice, Order, State, Transport
from bridge.call.timers import Timer
from bridge.telephony import twilio


def on_start(call: CallState, message: twilio.Start) -> None:
    """Take the `start` message of a stream."""
    if call.streams.state is State.HERE:
        bad_messages.on_malformed(call, (Leg.TWILIO, "a second start"))
    else:
        _obey(call, call.streams.on_start(message.stream_sid, call.now))


def on_transport(call: CallState, what: Transport) -> None:
    """Take a change of the caller's connection."""
    streams, is_ending = call.streams, call.phase is Phase.ENDING
    take = streams.on_gone if what is Transport.GONE else streams.on_wanted
    _obey(call, take(call.now, is_ending=is_ending))


def on_stream_late(call: CallState) -> None:
    """Act on a stream that has not come in time."""
    _obey(call, call.streams.on_late())


def _obey(call: CallState, orders: Iterable[Order]) -> None:
    for order in orders:
        if isinstance(order, Notice):
            _ON_NOTICE[order](call)
        elif isinstance(order, Log):
            call.actions.append(order)
        else:
            hangup.obey(call, order)


def _on_began(call: CallState) -> None:
    call.call_record.answered(call.streams.sid, call.now)
    # The time that the call had with another process counts.
    call.time_limit.begin(call.call_record.answered_at or call.now)
    conversation_start.greet_when_ready(call)


def _on_lost(call: CallState) -> None:
    """Hold the speech that the caller has not heard yet."""
    # The timestamps of another stream begin at 0.
    call.fast_path.next_timestamp_ms = -1
    call.barge_in.forget()
    call.timers.cancel(Timer.FEED)
    call.silence.pause()
    call.greeting.pause()
    call.playout.hold()


def _on_resumed(call: CallState) -> None:
    """Go on with the speech that was held when the stream was lost."""
    call.call_record.resumed(call.streams.sid)
    call.playout.resume()
    if call.phase is Phase.WAITING:
        conversation_start.greet_when_ready(call)
        return
    if call.is_talking:
        call.silence.begin(call.now)
        call.greeting.wait(call.now)
        is_speaking = call.greeting.is_due or call.playout.has_unsent
        is_silent = not is_speaking and not call.responses.is_busy
        if is_silent and call.take_floor(Due.APOLOGY):
            apologize(call)
    speech.feed(call)


def apologize(call: CallState) -> None:
    """Have the model say, in a pause, that the line was lost."""
    call.request(session_config.line_was_lost())


_ON_NOTICE = {
    Notice.BEGAN: _on_began,
    Notice.LOST: _on_lost,
    Notice.RESUMED: _on_resumed,
}
