"""Interruption: when the caller's voice or a key silences the AI, and how.

Two stages. On first evidence of voice over the AI the feed is held, while the lead
plays out; voice that goes on and is certain (dsp/evidence.pxd) within HOLD_S confirms
it, and otherwise the reply goes on from the very next byte. Confirmed: clear, truncate,
cancel, and then what the caller said from its first sound. A key needs no confirmation.
"""

from typing import TYPE_CHECKING

from bridge.call.timers import Timer
from bridge.realtime import openai
from bridge.telephony import twilio
from dsp.g711 import FRAME_MS

if TYPE_CHECKING:
    from bridge.call.machine import Call

# Evidence that makes us hold the feed, and how long it has to become a barge-in.
EVIDENCE_FRAMES = 3
HOLD_S = 0.3
# "Mm-hm" and "yes" are under 300 ms, and a voice is counted from a faint frame before
# it; a caller who wants the floor goes on. Of 670 pieces of speech of 200 to 290 ms
# over the AI 15 frames let 15 through, 16 none.
BACKCHANNEL_FRAMES = 320 // FRAME_MS


def consider(call: "Call") -> None:
    """Weigh voice over the AI's speech: hold on first evidence, then interrupt."""
    options, now = call.plan.options, call.now
    audible_ms = (now - call.playout.audible_since) * 1e3
    cooled_ms = (now - call.barged_in_at) * 1e3
    if not call.is_talking or audible_ms < options.barge_in_grace_ms:
        return
    if cooled_ms < options.barge_in_cooldown_ms:
        return
    voiced = call.uplink.voice_frames
    if voiced >= frames_needed(call) and call.uplink.is_certain:
        _barge_in(call)
    elif voiced >= EVIDENCE_FRAMES and not call.playout.is_held:
        call.playout.hold()
        call.timers.cancel(Timer.FEED)
        call.timers.set(Timer.HOLD, now + HOLD_S)


def frames_needed(call: "Call") -> int:
    """Return how much voice makes an interruption."""
    options = call.plan.options
    if options.barge_in_ignore_backchannel:
        return max(options.min_consecutive_voice_frames, BACKCHANNEL_FRAMES)
    return options.min_consecutive_voice_frames


def _barge_in(call: "Call") -> None:
    call.counters.barge_ins += 1
    call.barged_in_at = call.now
    call.notes.barged_in(call.uplink.voice_age_frames * FRAME_MS)
    interrupt(call, "caller speaks")
    if not call.is_session_ready:
        return  # what he says stays withheld until the new session is there
    for frame in call.uplink.release():
        call.actions.append(openai.AppendAudio(frame))


def interrupt(call: "Call", why: str) -> None:
    """Stop the AI: clear first, then what was heard of each item, then cancel."""
    call.timers.cancel(Timer.HOLD, Timer.FEED)
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
        call.notes.transcript.cut(cut)
        part = f".{cut.content_index}" if cut.content_index else ""
        heard.append(f"item={cut.item_id}{part} heard_ms={cut.heard_ms}")
    call.actions += call.responses.cancel()
    call.ending.stop()
    call.info(f"[BARGE_IN] {why}: {'; '.join(heard) or 'nothing was unheard'}")


def on_hold_over(call: "Call") -> None:
    """Nothing came of the evidence: the reply goes on."""
    call.counters.barge_ins_false += 1
    call.info("[BARGE_IN] false alarm: the reply goes on")
    call.playout.resume()
    call.feed()
