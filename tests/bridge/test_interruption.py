"""Voice over the AI: held, weighed, confirmed or forgotten."""

import pytest

from bridge import openai, twilio
from bridge.interruption import BACKCHANNEL_FRAMES, frames_needed
from bridge.options import FRAME_BYTES
from bridge.plan import Leg
from tests.bridge.story import (
    answered_call,
    audio_delta,
    clip,
    created,
    fire,
    of,
    speak,
    texts,
)

QUIET = [b"\xff" * FRAME_BYTES]
# Without the room's quiet before the first word.
VOICE = clip("human-en-reader-1")[20:]


def talking_ai(**options):
    call = answered_call(**options)
    _, now = speak(call, QUIET * 100, 0.0)
    call.receive_openai(created(), now)
    call.receive_openai(audio_delta("item_1", 20_000), now)
    _, now = speak(call, QUIET * 30, now)
    return call, now


def played(actions):
    return [one.media.payload for one in of(twilio.OutboundMedia, actions)]


def test_first_evidence_holds_the_feed_and_the_lead_plays_out():
    call, now = talking_ai(min_consecutive_voice_frames=50)
    actions, now = speak(call, VOICE[15:25], now)

    assert call.playout.is_held
    assert not of(twilio.Clear, actions)


def test_a_yes_does_not_interrupt_where_backchannels_are_ignored():
    yes = VOICE[15:29] + QUIET * 60
    call, now = talking_ai(barge_in_ignore_backchannel=True)
    actions, _ = speak(call, yes, now)
    assert not of(twilio.Clear, actions)
    assert call.counters.barge_ins_false >= 1

    call, now = talking_ai()
    actions, _ = speak(call, yes, now)
    assert of(twilio.Clear, actions)


def test_a_caller_who_goes_on_interrupts_all_the_same():
    call, now = talking_ai(barge_in_ignore_backchannel=True)
    actions, _ = speak(call, VOICE[:60], now)

    assert len(of(twilio.Clear, actions)) == 1


@pytest.mark.parametrize(
    ("is_ignored", "wanted", "needed"),
    [(False, 5, 5), (True, 5, BACKCHANNEL_FRAMES), (True, 30, 30)],
)
def test_ignoring_backchannels_never_asks_for_less(is_ignored, wanted, needed):
    call = answered_call(
        barge_in_ignore_backchannel=is_ignored, min_consecutive_voice_frames=wanted
    )
    assert frames_needed(call) == needed


def test_after_a_false_alarm_nothing_was_lost_and_nothing_comes_twice():
    call, now = talking_ai(min_consecutive_voice_frames=50)
    before = call.counters.tx_frames
    actions, now = speak(call, VOICE[:12] + QUIET * 120, now)

    assert "[BARGE_IN] false alarm: the reply goes on" in texts(actions)
    ahead_s = call.counters.tx_frames * 0.02 - (now - 2.0)
    assert ahead_s <= 0.3 + 1e-6
    assert call.counters.tx_frames - before == len(played(actions))


def test_two_interruptions_in_a_row_wait_for_the_cooldown():
    call, now = talking_ai(barge_in_cooldown_ms=3_000, barge_in_grace_ms=0)
    _, now = speak(call, VOICE[:60], now)
    assert call.counters.barge_ins == 1
    call.receive_openai(created("r2"), now)
    call.receive_openai(audio_delta("item_2", 9_000, "r2"), now)
    _, now = speak(call, VOICE[60:100], now)
    assert call.counters.barge_ins == 1

    _, now = speak(call, VOICE[100:220], now)
    assert call.counters.barge_ins == 2


def test_what_interrupts_while_the_session_is_renewed_is_kept_for_the_new_one():
    call, now = talking_ai()
    call.receive_disconnect(Leg.OPENAI, "1006", now)
    actions, now = speak(call, VOICE[:60], now)

    assert of(twilio.Clear, actions)
    assert not of(openai.AppendAudio, actions)
    assert not of(openai.ConversationItemTruncate, actions)
    # A soft first frame or two may lie before the preroll.
    assert len(call.uplink.release()) >= 55


def test_a_timer_that_fires_after_all_was_decided_changes_nothing():
    call, now = talking_ai()
    speak(call, VOICE[:60], now)

    assert not call.playout.is_held
    assert "false alarm" not in " ".join(texts(fire(call, now + 3.0)))
