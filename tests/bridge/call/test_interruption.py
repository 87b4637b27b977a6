"""Voice over the AI: held, weighed, confirmed or forgotten."""

import pytest

from bridge.call.barge_in import BACKCHANNEL_FRAMES, HOLD_S
from bridge.call.plan import Leg
from bridge.call.timers import Timer
from bridge.realtime import openai
from bridge.telephony import twilio
from dsp.g711 import frame_levels
from tests.bridge import builders
from tests.bridge.builders import (
    SILENCE,
    answered_call,
    appended,
    audio_delta,
    audio_done,
    clip,
    created,
    done,
    fire,
    of,
    speak,
    talking_ai,
    texts,
)

QUIET = [SILENCE]
# Without the room's quiet before the first word.
VOICE = clip("human-en-reader-1")[20:]
NOISE = clip("noise-fan")


def mid_reply(**options):
    """A call in the middle of a reply, and the time."""
    call = answered_call(**options)
    _, now = speak(call, QUIET * 100, 0.0)
    call.receive_openai(created(), now)
    call.receive_openai(audio_delta("item_1", 20_000), now)
    _, now = speak(call, QUIET * 30, now)
    return call, now


def played(actions):
    return [one.media.payload for one in of(twilio.OutboundMedia, actions)]


def test_first_evidence_holds_the_feed_and_the_lead_plays_out():
    call, now = mid_reply(min_consecutive_voice_frames=50)
    actions, now = speak(call, VOICE[15:25], now)

    assert call.playout.is_held
    assert not of(twilio.Clear, actions)


def test_more_voice_does_not_put_the_end_of_a_hold_off():
    call, now = mid_reply(min_consecutive_voice_frames=50)
    _, now = speak(call, VOICE[15:25], now)
    assert call.playout.is_held
    assert call.counters.barge_ins_false == 0
    speak(call, VOICE[25:40], now)

    assert HOLD_S == 15 * 0.02
    assert call.counters.barge_ins_false == 1


def test_a_yes_does_not_interrupt_where_backchannels_are_ignored():
    yes = VOICE[15:29] + QUIET * 60
    call, now = mid_reply(barge_in_ignore_backchannel=True)
    actions, _ = speak(call, yes, now)
    assert not of(twilio.Clear, actions)
    assert call.counters.barge_ins_false >= 1

    call, now = mid_reply()
    actions, _ = speak(call, yes, now)
    assert of(twilio.Clear, actions)


def test_a_caller_who_goes_on_interrupts_all_the_same():
    call, now = mid_reply(barge_in_ignore_backchannel=True)
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
    assert call.barge_in.frames_needed == needed


def test_after_a_false_alarm_nothing_was_lost_and_nothing_comes_twice():
    call, now = mid_reply(min_consecutive_voice_frames=50)
    before = call.playout.frames_sent
    actions, now = speak(call, VOICE[:12] + QUIET * 120, now)

    assert "[BARGE_IN] false alarm: the reply goes on" in texts(actions)
    ahead_s = call.playout.frames_sent * 0.02 - (now - 2.0)
    assert ahead_s <= 0.3 + 1e-6
    assert call.playout.frames_sent - before == len(played(actions))


def test_two_interruptions_in_a_row_wait_for_the_cooldown():
    call, now = mid_reply(barge_in_cooldown_ms=3_000, barge_in_grace_ms=0)
    _, now = speak(call, VOICE[:60], now)
    assert call.counters.barge_ins == 1
    call.receive_openai(created("r2"), now)
    call.receive_openai(audio_delta("item_2", 9_000, "r2"), now)
    _, now = speak(call, VOICE[60:100], now)
    assert call.counters.barge_ins == 1

    _, now = speak(call, VOICE[100:220], now)
    assert call.counters.barge_ins == 2


def test_what_interrupts_while_the_session_is_renewed_is_kept_for_the_new_one():
    call, now = mid_reply()
    call.receive_disconnect(Leg.OPENAI, "1006", now)
    actions, now = speak(call, VOICE[:60], now)

    assert of(twilio.Clear, actions)
    assert not of(openai.AppendAudio, actions)
    assert not of(openai.ConversationItemTruncate, actions)
    # A soft first frame or two may lie before the preroll.
    assert len(call.uplink.release()) >= 55


def test_a_timer_that_fires_after_all_was_decided_changes_nothing():
    call, now = mid_reply()
    speak(call, VOICE[:60], now)

    assert not call.playout.is_held
    assert "false alarm" not in " ".join(texts(fire(call, now + 3.0)))


def test_barge_in_clears_truncates_cancels_and_then_sends_the_speech():
    call = talking_ai()
    _, now = speak(call, QUIET * 50, 10.0)
    actions, now = speak(call, VOICE[:100], now)

    kinds = [
        type(action)
        for action in actions
        if not isinstance(action, tuple) and type(action) is not twilio.OutboundAudio
    ]
    at = kinds.index(twilio.Clear)
    assert kinds[at : at + 3] == [
        twilio.Clear,
        openai.ConversationItemTruncate,
        openai.ResponseCancel,
    ]
    assert set(kinds[at + 3 :]) == {openai.AppendAudio}
    assert call.counters.barge_ins == 1


def test_an_interrupted_reply_has_nothing_more_to_be_sent():
    call, now = mid_reply(idle_prompt_ms=60_000)
    assert call.deadline < now + 0.3
    call.receive_twilio(builders.dtmf("#"), now)
    fire(call, now)

    assert call.deadline > now + 1.0


def test_each_item_is_truncated_at_what_was_heard():
    call = answered_call(0.0)
    _, now = speak(call, QUIET * 100, 0.0)
    call.receive_openai(created(), now)
    call.receive_openai(audio_delta("item_1", 200), now)
    call.receive_openai(audio_delta("item_2", 8_000), now)
    call.receive_openai(audio_delta("item_3", 1_000), now)
    actions, _ = speak(call, QUIET * 25 + VOICE[:120], now)

    cuts = of(openai.ConversationItemTruncate, actions)
    assert [cut.item_id for cut in cuts] == ["item_2", "item_3"]
    assert cuts[1].audio_end_ms == 0
    heard_until = 2.0 + 0.2 + cuts[0].audio_end_ms / 1e3
    assert 2.5 < heard_until < 5.0


def test_each_part_of_an_item_is_truncated_in_its_own_time():
    call = answered_call(0.0)
    _, now = speak(call, QUIET * 100, 0.0)
    call.receive_openai(created(), now)
    for part, ms in ((0, 1_000), (1, 8_000), (2, 500)):
        delta = audio_delta("item_1", ms)
        call.receive_openai(openai.AudioDelta("r1", "item_1", part, delta.delta), now)
        call.receive_openai(openai.AudioDone("r1", "item_1", part), now)
        text = openai.TranscriptDone("r1", "item_1", f"These are words {part}.", part)
        call.receive_openai(text, now)
    actions, _ = speak(call, QUIET * 60 + VOICE[:120], now)

    cuts = of(openai.ConversationItemTruncate, actions)
    assert [(cut.item_id, cut.content_index) for cut in cuts] == [
        ("item_1", 1),
        ("item_1", 2),
    ]
    assert 200 < cuts[0].audio_end_ms < 4_000
    assert cuts[1].audio_end_ms == 0
    (turn,) = call.call_record.transcript.turns()
    assert turn.heard_ms == 1_000 + cuts[0].audio_end_ms
    assert turn.text.startswith("These are words 0.")
    assert "2" not in turn.text
    (line,) = [one for one in texts(actions) if "[BARGE_IN] caller" in one]
    assert f"item=item_1.1 heard_ms={cuts[0].audio_end_ms}" in line


def test_noise_does_not_interrupt():
    call = talking_ai()
    actions, _ = speak(call, NOISE, 10.0)

    assert not of(twilio.Clear, actions)


def test_the_first_moments_of_an_utterance_cannot_be_interrupted():
    call = talking_ai(barge_in_grace_ms=1_000)
    actions, _ = speak(call, VOICE[:45], 10.0)

    assert not of(twilio.Clear, actions)


def test_an_item_of_which_no_audio_has_come_is_not_truncated():
    call = talking_ai()
    call.receive_openai(audio_delta("item_2", 0), 10.0)
    actions, _ = speak(call, QUIET * 50 + VOICE[:100], 10.0)

    cuts = of(openai.ConversationItemTruncate, actions)
    assert [cut.item_id for cut in cuts] == ["item_1"]


def test_late_deltas_of_a_cancelled_response_are_dropped():
    call = talking_ai()
    _, now = speak(call, QUIET * 50 + VOICE[:100], 10.0)
    actions = call.receive_openai(audio_delta("item_1", 500), now)
    actions += call.receive_openai(audio_delta("item_1", 500), now)

    assert of(twilio.OutboundMedia, actions) == []
    assert len(texts(actions)) == 1
    assert call.counters.late_deltas == 2


def test_a_false_alarm_goes_on_from_the_very_next_byte():
    audio = bytes(number % 251 for number in range(8 * 4_000))
    call = answered_call(0.0)
    _, now = speak(call, QUIET * 100, 0.0)
    call.receive_openai(created(), now)
    delta = openai.AudioDelta(
        response_id="r1", item_id="item_1", content_index=0, delta=audio
    )
    actions = call.receive_openai(delta, now)
    more, now = speak(call, QUIET * 30, now)
    call.playout.hold()
    call.timers.set(Timer.HOLD, now + 0.3)
    late, _ = speak(call, QUIET * 200, now)

    played = of(twilio.OutboundMedia, [*actions, *more, *late])
    assert b"".join(action.media.payload for action in played) == audio
    assert call.counters.barge_ins_false == 1


def test_an_answer_over_the_last_words_reaches_the_model_from_its_first_sound():
    call = talking_ai(ms=1_200, voice_threshold_rms=30_000)
    call.receive_openai(audio_done("item_1"), 10.0)
    call.receive_openai(done(), 10.0)
    actions, _ = speak(call, QUIET * 30 + VOICE[:80], 10.0)

    sent = [frame for frame in appended(actions) if frame != SILENCE]
    first_sound = next(
        at for at, frame in enumerate(VOICE) if frame_levels(frame)[0] > 80
    )
    assert not of(twilio.Clear, actions)
    assert VOICE.index(sent[0]) <= first_sound


def test_a_mark_echoed_after_clear_is_stale():
    call = talking_ai()
    _, now = speak(call, QUIET * 50 + VOICE[:100], 10.0)
    call.receive_twilio(builders.mark("item_1:0:500"), now)

    assert call.playout.stale_marks == 1


def cleared_at(call, frames, now):
    """When the caller's first frames silenced the AI, if they did."""
    for frame in frames:
        actions, now = speak(call, [frame], now)
        if of(twilio.Clear, actions):
            return now
    return None


def test_voice_after_a_false_alarm_interrupts_as_soon_as_ever():
    call, now = mid_reply()
    usual_s = cleared_at(call, VOICE[15:], now) - now

    call, now = mid_reply()
    call.playout.hold()
    call.timers.cancel(Timer.FEED)
    call.timers.set(Timer.HOLD, now + 0.4)  # the lead runs out
    _, now = speak(call, QUIET * 21, now)
    assert call.counters.barge_ins_false == 1
    assert cleared_at(call, VOICE[15:], now) - now == pytest.approx(usual_s, abs=0.05)


def test_voice_after_an_underrun_interrupts_as_soon_as_ever():
    call, now = mid_reply()
    usual_s = cleared_at(call, VOICE[15:], now) - now

    call = answered_call()
    _, now = speak(call, QUIET * 100, 0.0)
    call.receive_openai(created(), now)
    call.receive_openai(audio_delta("item_1", 1_000), now)
    _, now = speak(call, QUIET * 60, now)
    call.receive_openai(audio_delta("item_1", 20_000), now)
    assert call.playout.underruns == 1
    assert cleared_at(call, VOICE[15:], now) - now == pytest.approx(usual_s, abs=0.05)


def test_after_a_false_alarm_only_a_clear_voice_counts_from_its_first_frame():
    call, now = mid_reply()
    for _ in range(40):
        call.uplink.voice.note(True, False, False)
    assert call.uplink.voice.own_frames == 40
    call.playout.hold()
    call.timers.set(Timer.HOLD, now)
    call.receive_timeout(now)

    assert call.counters.barge_ins_false == 1
    assert call.uplink.voice.own_frames == 0
