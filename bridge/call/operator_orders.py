"""Operator orders: what an operator at the console may do in a running call.

A hint is an item that only the model reads. A takeover silences the AI at once: clear,
truncate, cancel, and the server answers no turn of the caller any more. The model still
hears the caller, so that the caller's words are transcribed. The operator's audio is
sent to the caller frame by frame, beside the ledger of the model's speech, and what the
operator says is transcribed (`bridge.call.operator_words`). When the call is handed
back, the model is told what it knows and what it does not know.
"""

from bridge.call import hangup, interruption, operator_words, session_config
from bridge.call.floor import Due
from bridge.call.plan import (
    Fail,
    HandBack,
    Log,
    OperatorOrder,
    OperatorWords,
    TakeOver,
    Whisper,
)
from bridge.call.state import CallState
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES

# A hint or a note is a few sentences; more of it is cut.
TEXT_CHARS_MAX = 1_000


def on_order(call: CallState, order: OperatorOrder) -> None:
    """Obey an operator; an order that does not fit the call is logged and ignored."""
    if isinstance(order, Whisper):
        _whisper(call, order)
    elif isinstance(order, TakeOver):
        _take_over(call)
    else:
        _hand_back(call, order)


def on_audio(call: CallState, frames: bytes) -> None:
    """Send the caller what the operator says; what is late is dropped and counted."""
    count = -(-len(frames) // FRAME_BYTES)
    call.takeover.note_audio(call.now)
    sent = b""
    is_whole = len(frames) == count * FRAME_BYTES
    if call.takeover.is_speaking and call.streams.sid and is_whole:
        sent = call.playout.pass_through(frames, call.now)
    if sent:
        call.takeover.note_sent(count)
        call.actions.append(twilio.OutboundAudio(call.streams.sid, sent))
        operator_words.hear(call, sent)
    else:
        call.counters.operator_dropped_frames += count


def on_words(call: CallState, words: OperatorWords) -> None:
    """Take what the operator said; a call that waits for it is handed back."""
    operator_words.take(call, words)
    if call.takeover.is_handing_back and not call.operator_voice.is_awaited:
        _give_back(call)


def on_operator_late(call: CallState) -> None:
    """Give the call back to the AI if the operator's audio has stopped, or if the last
    words are not known in time."""
    if call.takeover.is_handing_back:
        call.info("[OPERATOR] the last words are not known in time")
        _give_back(call)
    elif call.takeover.is_lost(call.now):
        call.log(Log("warning", "[OPERATOR] the operator's audio has stopped"))
        _await_words(call, None)
    elif call.takeover.is_paused(call.now):
        operator_words.pause(call)


def leave(call: CallState) -> None:
    """End a takeover: the AI says goodbye, and knows the operator's note at most."""
    if call.takeover.is_on:
        operator_words.end(call)
        if note := call.takeover.note_left:
            _tell(call, session_config.noted(note))
        _end(call)


def keep_silent(call: CallState) -> None:
    """Have another session answer nothing by itself while an operator speaks."""
    if call.takeover.is_on:
        _have_server_answer(call, answers=False)


def defers(call: CallState, failure: Fail) -> bool:
    """Put off the end of a call whose model has failed while an operator speaks."""
    if not call.takeover.is_on:
        return False
    call.log(Log("error", f"[OPERATOR] without the AI: {failure.reason}"))
    call.takeover.failure = failure
    return True


def _whisper(call: CallState, order: Whisper) -> None:
    text = order.text.strip()[:TEXT_CHARS_MAX]
    if not text or not call.is_talking:
        call.info("[OPERATOR] a hint came too early, too late or empty: ignored")
        return
    call.counters.operator_hints += 1
    call.info("[OPERATOR] hint given to the model")
    _tell(call, session_config.hint(text))
    if order.speaks and call.take_floor(Due.OPERATOR):
        call.request()


def _take_over(call: CallState) -> None:
    if call.takeover.is_handing_back:
        _take_again(call)
        return
    if call.takeover.is_on or not call.is_talking or not call.streams.sid:
        call.info("[OPERATOR] the call cannot be taken over now: ignored")
        return
    interruption.interrupt(call, "an operator takes over", "[OPERATOR]")
    if call.greeting.is_due:
        call.greeting.end()
    call.responses.note_left_to_operator()
    call.recovery.leave_session()
    if call.floor.drop(Due.WARNING):
        call.time_limit.put_off(call.now)  # it waits for the hand back instead
    call.floor.drop_all()
    call.counters.takeovers += 1
    call.playout.is_passing = True
    call.takeover.begin(call.now)
    call.sessions.be_patient()
    operator_words.begin(call)
    _have_server_answer(call, answers=False)
    _tell(call, session_config.taken_over())


def _take_again(call: CallState) -> None:
    """Have the operator speak on: the AI has not led the call again yet."""
    note = call.takeover.note
    call.counters.takeovers += 1
    call.takeover.go_on(call.now)
    operator_words.go_on(call)
    if note:
        _tell(call, session_config.noted(note))


def _hand_back(call: CallState, order: HandBack) -> None:
    if not call.takeover.is_speaking:
        call.info("[OPERATOR] the call was not taken over: nothing to hand back")
        return
    _await_words(call, order.note.strip()[:TEXT_CHARS_MAX])


def _await_words(call: CallState, note: str | None) -> None:
    """Give the call back once the operator's last words are known, or at once."""
    call.takeover.hand_back(note, call.now)
    operator_words.end(call)
    if call.takeover.failure is not None or not call.operator_voice.is_awaited:
        _give_back(call)


def _give_back(call: CallState) -> None:
    """Let the AI lead the call again; it speaks in the next pause."""
    note, known = call.takeover.note, call.operator_voice.known
    if note is None:
        told = session_config.operator_lost(known)
    else:
        lasted_s = call.takeover.lasted_s(call.now)
        told = session_config.handed_back(lasted_s, note, known)
    _end(call)
    failure = call.takeover.failure
    if failure is not None:
        operator_words.keep_note(call, note)
        hangup.obey(call, failure)
        return
    _have_server_answer(call, answers=True)
    _tell(call, told)
    call.silence.begin(call.now)
    if call.take_floor(Due.OPERATOR):
        call.request()


def _end(call: CallState) -> None:
    call.playout.is_passing = False
    frames = call.takeover.frames
    lasted_s = call.takeover.end(call.now)
    call.sessions.be_prompt(call.now)
    call.info(f"[OPERATOR] speaks no more: {lasted_s:.1f} s, frames={frames}")


def _have_server_answer(call: CallState, *, answers: bool) -> None:
    update = session_config.listen(call.plan, answers=answers)
    if update is not None:
        call.tell(update)
        call.uplink.note_heard_anew()


def _tell(call: CallState, text: str) -> None:
    """Tell the model; a later session is told by the history seed."""
    call.call_record.operator_told(text, call.now)
    call.tell(session_config.operator_told(text))
