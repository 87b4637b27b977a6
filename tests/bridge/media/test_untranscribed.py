"""What a lost session had heard and not written down reaches the next one as sound."""

import pytest

from bridge.call import limits, session_rollover
from bridge.call.plan import Leg, UseStandby
from bridge.media.uplink import GIVEN_FRAMES_MAX, SILENCE
from bridge.realtime import openai
from tests.bridge import builders
from tests.bridge.builders import answered_call, clip, done, fire, of, speak

QUIET = [b"\xff" * 159 + b"\x7e"]
VOICE = clip("human-en-reader-1")[20:]


def given(actions):
    return [one.audio for one in of(openai.AppendAudio, actions)]


def sounds(actions):
    """The sound of the items a session is told."""
    return [
        part.audio
        for one in of(openai.CreateItem, actions)
        for part in getattr(one.item, "content", ())
        if isinstance(part, openai.InputAudio)
    ]


def asked(actions):
    return len(of(openai.ResponseCreate, actions))


def speaking(frames, **options):
    """A call whose caller has said so much; what the model was given, and the time."""
    call = answered_call(noise_calibration_ms=200, **options)
    _, now = speak(call, QUIET * 60, 0.0)
    actions, now = speak(call, frames, now)
    return call, given(actions), now


def lose(call, now):
    return call.receive_disconnect(Leg.OPENAI, "1006", now)


def ready(call, now):
    call.receive_openai(openai.SessionCreated(session=openai.Session()), now)
    return call.receive_openai(openai.SessionUpdated(session=builders.session()), now)


def heard(call, frames, now, item_id="u1"):
    """Let the server hear a turn in what it was given, and make it an item."""
    start = openai.SpeechStarted(item_id=item_id, audio_start_ms=0)
    call.receive_openai(start, now)
    end_ms = 20 * len(frames)
    call.receive_openai(openai.SpeechStopped(item_id=item_id, audio_end_ms=end_ms), now)
    call.receive_openai(openai.Committed(item_id=item_id), now)


@pytest.mark.parametrize("mode", ["server_vad", "semantic_vad", "gate"])
def test_a_turn_in_its_midst_is_given_again_from_its_beginning(mode):
    call, before, now = speaking(VOICE[:40], turn_detection=mode)
    assert len(before) > 30
    assert given(lose(call, now)) == []
    _, now = speak(call, VOICE[40:60], now)
    again = given(ready(call, now))
    assert again == before

    actions, now = speak(call, VOICE[60:70], now)
    assert given(actions) == VOICE[40:70]
    actions, now = speak(call, QUIET * 60, now)
    if mode == "gate":
        assert len(of(openai.CommitAudio, actions)) == asked(actions) == 1
    else:
        assert SILENCE in given(actions)


def test_a_turn_whose_words_have_not_come_is_told_as_its_sound_and_answered_once():
    call, frames, now = speaking(VOICE[:40] + QUIET * 30)
    heard(call, frames, now)
    lose(call, now + 0.1)
    actions = ready(call, now + 0.5)

    assert sounds(actions) == [b"".join(frames)]
    assert given(actions) == []
    assert asked(actions + fire(call, now + 5.0)) == 1


def test_a_turn_that_has_its_words_is_told_in_words():
    call, frames, now = speaking(VOICE[:40] + QUIET * 30)
    heard(call, frames, now)
    words = openai.TranscriptionCompleted(item_id="u1", transcript="Tuesday.")
    call.receive_openai(words, now)
    assert call.uplink.given(0, 10_000) == []
    lose(call, now)

    actions = ready(call, now + 0.5)
    assert sounds(actions) == []
    assert len(of(openai.CreateItem, actions)) == 1


def test_a_turn_that_nobody_could_write_down_is_not_kept():
    call, frames, now = speaking(VOICE[:40] + QUIET * 30)
    heard(call, frames, now)
    call.receive_openai(openai.TranscriptionFailed(item_id="u1"), now)
    lose(call, now)

    assert of(openai.CreateItem, ready(call, now + 0.5)) == []


def test_of_two_turns_each_has_its_own_sound():
    call, first, now = speaking(VOICE[:40] + QUIET * 30)
    heard(call, first, now)
    actions, now = speak(call, VOICE[40:80] + QUIET * 30, now)
    second = given(actions)
    all_ms = 20 * (len(first) + len(second))
    stopped = openai.SpeechStopped(item_id="u2", audio_end_ms=all_ms)
    call.receive_openai(stopped, now)
    call.receive_openai(openai.Committed(item_id="u2"), now)
    written = openai.TranscriptionCompleted(item_id="u1", transcript="Tuesday.")
    call.receive_openai(written, now)
    lose(call, now)

    assert sounds(ready(call, now + 0.5)) == [b"".join(second)]


@pytest.mark.parametrize("is_told_late", [False, True])
def test_a_turn_that_the_server_had_ended_is_its_own_item_before_the_asked_one(
    is_told_late,
):
    """The server confirms both; the first of its items ends where it said."""
    call, frames, now = speaking(VOICE[:40])
    call.receive_openai(openai.SpeechStarted(item_id="u1", audio_start_ms=0), now)
    stopped = openai.SpeechStopped(item_id="u1", audio_end_ms=400)
    if is_told_late:
        call.untranscribed.ask(call.uplink)
        call.receive_openai(stopped, now)
    else:
        call.receive_openai(stopped, now)
        call.untranscribed.ask(call.uplink)
    call.receive_openai(openai.Committed(item_id="u1"), now)
    assert call.untranscribed.is_asked
    call.receive_openai(openai.Committed(item_id="u2"), now)
    assert not call.untranscribed.is_asked
    lose(call, now)

    told = sounds(ready(call, now + 0.5))
    assert told == [b"".join(frames[:20]), b"".join(frames[20:])]


def test_a_commit_that_was_not_confirmed_is_made_again_and_answered_once():
    call, frames, now = speaking(VOICE[:40] + QUIET * 30, turn_detection="gate")
    assert not call.uplink.is_turn_open
    lose(call, now)
    actions = ready(call, now + 0.5)
    assert given(actions) == frames
    assert asked(actions) == 0

    actions, _ = speak(call, QUIET * 60, now + 0.5)
    assert len(of(openai.CommitAudio, actions)) == asked(actions) == 1


def test_in_gate_mode_a_committed_turn_is_told_as_its_sound():
    call, frames, now = speaking(VOICE[:40] + QUIET * 30, turn_detection="gate")
    call.receive_openai(openai.Committed(item_id="u1"), now)
    lose(call, now)
    actions = ready(call, now + 0.5)

    assert sounds(actions) == [b"".join(frames)]
    assert given(actions) == []
    assert asked(actions) == 1


def test_a_refused_commit_leaves_the_next_turn_its_sound():
    call, _, now = speaking(VOICE[:40] + QUIET * 30, turn_detection="gate")
    call.receive_openai(builders.error("input_audio_buffer_commit_empty"), now)
    actions, now = speak(call, VOICE[40:80] + QUIET * 30, now)
    call.receive_openai(openai.Committed(item_id="u2"), now)
    lose(call, now)

    assert sounds(ready(call, now + 0.5))[-1] == b"".join(given(actions))


def test_noise_that_was_cleared_is_not_given_again():
    call, noise, now = speaking(
        VOICE[:6] + QUIET * 30, turn_detection="gate", audio_hangover_frames=0
    )
    assert noise and not call.uplink.is_turn_open
    actions, now = speak(call, VOICE[40:80], now)
    lose(call, now)

    assert given(ready(call, now + 0.5)) == given(actions)


def test_sound_outlives_a_second_loss():
    call, frames, now = speaking(VOICE[:40] + QUIET * 30)
    heard(call, frames, now)
    for number in range(3):
        lose(call, now + number)
        assert sounds(ready(call, now + number + 0.5)) == [b"".join(frames)]


def test_a_planned_change_tells_as_sound_what_words_never_came_for():
    call, frames, now = speaking(VOICE[:40] + QUIET * 30)
    heard(call, frames, now)
    builders.begun(call, "r1", now)
    call.receive_openai(done(), now)
    session_rollover.on_rollover_due(call)
    now = call.now
    created_too = openai.SessionCreated(session=openai.Session())
    call.receive_standby(created_too, now)
    call.receive_standby(openai.SessionUpdated(session=builders.session()), now)
    actions = fire(call, now + session_rollover.WORDS_WAIT_S + 1.0)

    told = [one.event for one in actions if hasattr(one, "event")]
    assert of(UseStandby, actions)
    assert sounds(told) == [b"".join(frames)]


def test_a_standby_session_that_takes_over_is_given_the_broken_turn_first():
    call, before, now = speaking(VOICE[:40])
    session_rollover.on_rollover_due(call)
    created_too = openai.SessionCreated(session=openai.Session())
    call.receive_standby(created_too, now)
    call.receive_standby(openai.SessionUpdated(session=builders.session()), now)
    actions = lose(call, now)

    assert given(actions) == before
    kinds = [type(one) for one in actions]
    assert kinds.index(UseStandby) < kinds.index(openai.AppendAudio)
    assert given(speak(call, VOICE[40:50], now)[0]) == VOICE[40:50]


def test_so_much_is_kept_and_no_more():
    call, _, now = speaking(VOICE[:40])
    for _ in range(GIVEN_FRAMES_MAX // 100 + 2):
        _, now = speak(call, VOICE[:100], now)

    assert len(call.uplink.given(0, call.uplink.appended_ms)) == GIVEN_FRAMES_MAX
    dropped = limits.OF_CALL["given_frames"](call)
    assert dropped == call.uplink.appended_ms // 20 - GIVEN_FRAMES_MAX > 0


def test_a_clear_behind_a_commit_takes_nothing_of_the_turn():
    call, frames, now = speaking(VOICE[:60], turn_detection="gate")
    call.untranscribed.ask(call.uplink)
    said_ms = call.uplink.appended_ms
    speak(call, VOICE[60:70], now)
    call.untranscribed.clear(call.uplink)
    call.untranscribed.commit("u1", call.uplink)

    assert len(call.untranscribed.sound_of("u1", call.uplink)) == said_ms * 8
    assert frames
    call.untranscribed.commit("u2", call.uplink)  # the cleared part is none of it
    assert call.untranscribed.sound_of("u2", call.uplink) == b""
