"""Speech: the frames and marks of the AI's speech that are sent to the caller.

`Playout` says what is due. This module turns it into actions, and logs the first frame
of a response and the number of all its frames.
"""

from bridge.call import bad_messages, hangup
from bridge.call.plan import Leg
from bridge.call.state import CallState
from bridge.call.timers import Timer
from bridge.media.playout import Frames
from bridge.telephony import twilio


def feed(call: CallState) -> None:
    """Send what is due; the rest stays in the ledger until FEED is due."""
    stream_sid = call.streams.sid
    if not stream_sid:
        return
    first = call.playout.frames_sent + 1
    for piece in call.playout.feed(call.now):
        if isinstance(piece, Frames):
            call.actions.append(twilio.OutboundAudio(stream_sid, piece.audio))
            if _is_frame_notable(call):
                _note_frame(call, first)
        else:
            body = twilio.MarkBody(piece.name)
            call.actions.append(twilio.OutboundMark(stream_sid, body))
    call.timers.set(Timer.FEED, call.playout.deadline)
    if not call.playout.has_unsent:
        call.log(call.call_record.frame_total_line(call.playout.frames_sent))
        hangup.hang_up_when_heard(call)


def go_on(call: CallState, now: float) -> bytes:
    """Return the audio that is due, in the middle of a response only.

    All else is left to `Call.receive_timeout`.
    """
    if not call.streams.sid or _is_frame_notable(call):
        return b""
    audio = call.playout.go_on(now)
    if audio:
        call.timers.set(Timer.FEED, call.playout.deadline)
    return audio


def _is_frame_notable(call: CallState) -> bool:
    """Tell whether the next frame is the first of the greeting or of a response."""
    return call.greeting.is_due or call.call_record.is_frame_due


def _note_frame(call: CallState, total_frames: int) -> None:
    if call.greeting.is_due:
        call.greeting.end()
        call.log(call.call_record.greeted(call.now))
    call.log(call.call_record.frame_line(total_frames, call.now))


def on_mark(call: CallState, message: twilio.Mark) -> None:
    """Note that Twilio has played up to a mark; the last words may be heard."""
    if call.playout.receive_mark(message.mark.name, call.now):
        hangup.hang_up_when_heard(call)
    else:
        bad_messages.on_malformed(call, (Leg.TWILIO, "expected a mark we sent, once"))
