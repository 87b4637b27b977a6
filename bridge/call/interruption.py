"""Interruption: how the caller's voice or a key silences the AI.

`BargeIn` says whether voice interrupts. Confirmed: clear, truncate, cancel, and then
what the caller said from its first sound. A key needs no confirmation.
"""

from bridge.call import speech
from bridge.call.barge_in import Verdict
from bridge.call.state import CallState
from bridge.call.timers import Timer
from bridge.realtime import openai
from bridge.telephony import twilio
from dsp.g711 import FRAME_MS


def consider(call: CallState) -> None:
    """Weigh voice over the AI's speech: hold on first evidence, then interrupt."""
    if not call.is_talking:
        return
    verdict = call.barge_in.weigh(call.now, call.uplink, call.playout)
    if verdict is Verdict.CONFIRMED:
        _barge_in(call)
    elif verdict is Verdict.EVIDENCE:
        call.playout.hold()
        call.timers.cancel(Timer.FEED)


def _barge_in(call: CallState) -> None:
    call.counters.barge_ins += 1
    call.call_record.barged_in(call.uplink.voice.age_frames * FRAME_MS)
    interrupt(call, "caller speaks")
    if not call.is_session_ready:
        return  # their audio stays withheld until a new session is ready
    for frame in call.uplink.release():
        call.actions.append(openai.AppendAudio(frame))


def interrupt(call: CallState, why: str, tag: str = "[BARGE_IN]") -> None:
    """Stop the AI: clear, then truncate each item to what was heard, then cancel."""
    call.barge_in.forget()
    call.timers.cancel(Timer.FEED)
    call.actions.append(twilio.Clear(call.streams.sid))
    heard = []
    for cut in call.playout.interrupt(call.now):
        if cut.item_id not in call.sessions.old_items:
            call.tell(
                openai.ConversationItemTruncate(
                    item_id=cut.item_id,
                    content_index=cut.content_index,
                    audio_end_ms=cut.heard_ms,
                )
            )
        call.call_record.transcript.cut(cut)
        part = f".{cut.content_index}" if cut.content_index else ""
        heard.append(f"item={cut.item_id}{part} heard_ms={cut.heard_ms}")
    call.cancel_answer()
    call.ending.stop()
    call.info(f"{tag} {why}: {'; '.join(heard) or 'nothing was unheard'}")


def on_hold_over(call: CallState) -> None:
    """Resume the reply: no voice has confirmed the evidence."""
    call.counters.barge_ins_false += 1
    call.info("[BARGE_IN] false alarm: the reply goes on")
    call.uplink.voice.restart()
    call.playout.resume()
    speech.feed(call)
