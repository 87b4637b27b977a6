"""Last turn: the caller's words by the end of the call that have no transcript yet.

The last turn may be open, withheld under the AI's voice, or an item whose transcript is
still to come. A row of keys may have no end yet. At the end of the call all of it is
given to the model and committed. The turn then stands in the record without words. The
session is kept for at most WORDS_WAIT_S more, only to receive transcripts, which fill
in those words. The bridge says and asks nothing more, and drops what else the model
sends.

A process that must stop does not wait. A lost session has no transcript to give.
"""

from collections.abc import Callable
from typing import Any

from bridge.call import session_config
from bridge.call.plan import Action, Leg, Log, Phase
from bridge.call.state import CallState
from bridge.realtime import openai
from bridge.realtime.openai_events import ServerEvent

# Most transcripts come within a second of the commit. A silent session costs nothing.
WORDS_WAIT_S = 3.0
# A turn that has waited longer for its transcript will hardly get one.
WORDS_LATE_S = 10.0
SHUTDOWN = "shutdown"
# The id of a turn that is not an item of the server yet.
ITEM_ID = "last-turn"
AFTER_END = Log("info", "what arrives after the end is dropped")


def commit(call: CallState, reason: str) -> None:
    """Give the model the caller's last turn, and place it in the record."""
    uplink = call.uplink
    is_ready = call.is_session_ready and not call.ending.failed and reason != SHUTDOWN
    if is_ready and uplink.has_withheld_speech:
        call.actions += map(openai.AppendAudio, uplink.release())
    is_open = uplink.is_turn_open and uplink.is_worth_committing
    if is_open or call.untranscribed.has_turn:
        call.call_record.transcript.place(
            "caller", ITEM_ID, call.call_record.at_s(call.now)
        )
    if is_open and is_ready:
        call.actions.append(openai.CommitAudio())
        call.untranscribed.ask(uplink)
    if call.keypad.has_digits:  # a row that no pause has ended
        call.call_record.digits_pressed(call.keypad.take(), call.now)
    if is_ready:
        call.ending.await_words()
    if is_awaited(call):
        call.actions += call.responses.cancel(call.now)


def is_awaited(call: CallState) -> bool:
    """Tell whether a transcript of the caller may still come."""
    if call.phase is not Phase.ENDED or call.ending.is_written:
        return False
    since_s = call.call_record.at_s(call.now) - WORDS_LATE_S
    is_asked = call.untranscribed.is_asked
    return is_asked or call.call_record.transcript.is_awaiting_words(since_s)


def receive_late(call: CallState, what: Any, *, is_lost: bool) -> list[Action]:
    """Take an input after the end: a transcript, a lost leg; others are counted."""
    if is_lost:
        if what[0] is Leg.OPENAI:
            call.ending.give_up_words()
        return []  # the bridge has closed the sockets
    if not is_awaited(call) or not isinstance(what, ServerEvent):
        call.counters.after_end += 1
        return [AFTER_END] if call.counters.after_end == 1 else []
    answer = _ON_EVENT.get(type(what))
    line = None if answer is None else answer(call, what)
    return [] if line is None else [line]


def _on_stopped(call: CallState, event: openai.SpeechStopped) -> None:
    # The server makes an item of this turn before the one that it was told to make.
    call.untranscribed.end(event.audio_end_ms)


def _on_committed(call: CallState, event: openai.Committed) -> None:
    call.call_record.transcript.rename(ITEM_ID, event.item_id)
    call.call_record.committed(event, call.now)
    call.untranscribed.commit(event.item_id, call.uplink)


def _on_completed(call: CallState, event: openai.TranscriptionCompleted) -> Log:
    return call.call_record.caller_said(event, call.now)


def _on_failed(call: CallState, event: openai.TranscriptionFailed) -> None:
    call.call_record.transcript.close(event.item_id)


def _on_done(call: CallState, event: openai.ResponseDone) -> None:
    call.call_record.response_ended(event.response)  # it is billed nevertheless


def _on_error(call: CallState, event: openai.Error) -> None:
    if session_config.NOTHING_TO_COMMIT in (event.error.code, event.error.type):
        call.untranscribed.refuse()
        call.call_record.transcript.close(ITEM_ID)


_ON_EVENT: dict[type, Callable[[CallState, Any], Log | None]] = {
    openai.SpeechStopped: _on_stopped,
    openai.Committed: _on_committed,
    openai.TranscriptionCompleted: _on_completed,
    openai.TranscriptionFailed: _on_failed,
    openai.ResponseDone: _on_done,
    openai.Error: _on_error,
}
