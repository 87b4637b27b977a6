"""Resumption: a call outlives the loss of the caller's stream.

A caller who hangs up is announced: Twilio sends `stop`, and says `completed`. A stream
that is gone without a word says only that a connection between Twilio and us broke: a
proxy was restarted, a network failed. So the call goes on without its stream: what it
has yet to say is held, the model's session stays, tools answer. Twilio ends such a
stream's <Connect> and asks what comes next, with the call's status; whoever is still
there is given another stream of the same call, and hears the reply go on from the very
next byte, or a word of apology where nothing was being said.

Where Twilio does not ask in ASK_S the call ends as one whose caller is gone. Where it
did, and no stream came in RETURN_S, the caller is lost by our fault: the call failed.
"""

from enum import Enum
from typing import TYPE_CHECKING

from bridge.call import conversation_start, ending, floor, session_config
from bridge.call.plan import Leg, Phase
from bridge.call.timers import Timer
from bridge.telephony import twilio

if TYPE_CHECKING:
    from bridge.call.machine import Call

# Twilio asks within a second of a stream's end, and both ends hear of a reset at once.
ASK_S = 3.0
# It opens a stream within a second or two of the answer.
RETURN_S = 10.0
# More losses than this in one call are no accident.
LOSSES_MAX = 5
LOST = "transport_lost"


class Transport(Enum):
    """What is heard of the caller's connection, beside its messages."""

    GONE = "the stream ended without a word"
    WANTED = "Twilio says that the caller is there, and asks what comes next"


class Resumption:
    """What one call knows of the streams it has lost."""

    def __init__(self) -> None:
        self.losses = 0
        # Since when the caller has no stream; None while there is one, or never was.
        self.lost_at: float | None = None
        self.is_promised = False


def on_start(call: "Call", message: twilio.Start) -> None:
    """Take a stream's beginning: the caller is there, or there again."""
    if call.stream_sid:
        ending.on_malformed(call, (Leg.TWILIO, "a second start"))
        return
    call.stream_sid = message.stream_sid
    call.timers.cancel(Timer.STREAM)
    if call.resumption.lost_at is not None:
        _go_on(call)
        return
    ending.limit_duration(call)
    call.notes.answered(message.stream_sid, call.now)
    conversation_start.greet_when_ready(call)


def on_transport(call: "Call", what: Transport) -> None:
    """Take what is heard of the caller's connection."""
    if what is Transport.GONE:
        _on_gone(call)
    else:
        _on_wanted(call)


def on_no_stream(call: "Call") -> None:
    """Nobody came in time, or nobody came back."""
    if call.resumption.lost_at is None:
        ending.end(call, "no_stream")
    elif call.resumption.is_promised:
        ending.fail(call, LOST, "the caller's stream did not come back")
    else:
        ending.end(call, "caller_leg_lost")


def _on_gone(call: "Call") -> None:
    if not call.stream_sid:
        return
    if call.phase is Phase.ENDING:
        # The last words were being said.
        ending.end(call, "caller_leg_lost")
        return
    call.resumption.losses += 1
    call.counters.lost_streams += 1
    if call.resumption.losses > LOSSES_MAX:
        ending.fail(call, LOST, f"more than {LOSSES_MAX} streams lost")
        return
    call.resumption.lost_at = call.now
    call.resumption.is_promised = False
    call.stream_sid = ""
    # Another stream counts its time from 0.
    call.ear.next_timestamp_ms = -1
    call.timers.cancel(Timer.HOLD, Timer.FEED, Timer.IDLE)
    call.greeting.pause()
    call.playout.hold()
    call.timers.set(Timer.STREAM, call.now + ASK_S)


def _on_wanted(call: "Call") -> None:
    _on_gone(call)
    if call.phase is Phase.ENDED or call.resumption.lost_at is None:
        return
    call.resumption.is_promised = True
    call.timers.set(Timer.STREAM, call.now + RETURN_S)


def _go_on(call: "Call") -> None:
    """Go on with what was held when the stream was lost."""
    lost_at, call.resumption.lost_at = call.resumption.lost_at, None
    assert lost_at is not None, "there was no loss"
    call.counters.resumed_streams += 1
    call.notes.resumed(call.stream_sid)
    call.info(f"[STREAM] Resumed after {call.now - lost_at:.1f} s")
    call.playout.resume()
    if call.phase is Phase.WAITING:
        conversation_start.greet_when_ready(call)
        return
    if call.is_talking:
        call.timers.set(Timer.IDLE, call.now + call.plan.options.idle_prompt_ms / 1e3)
        call.greeting.wait(call.now)
        is_speaking = call.greeting.is_due or call.playout.has_unsent
        if not is_speaking and not call.responses.is_busy:
            floor.when_free(call, _apologize)
    call.feed()


def _apologize(call: "Call") -> None:
    call.request(session_config.line_was_lost())
