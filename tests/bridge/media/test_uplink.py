"""What the model is given of the caller's frames, and when."""

import numpy as np
import pytest

from bench.gate.subset import mulaw
from bench.talk import ai_speech
from bridge.media.playout import NOTHING_DBFS
from bridge.media.uplink import IN_TURN_WAIT_FRAMES, Uplink
from bridge.media.withheld_sound import TAIL_FRAMES_MAX
from bridge.settings.options import CallOptions
from dsp.g711 import FRAME_BYTES, FRAME_MS, decode, encode, frame_levels
from tests.bridge.builders import SILENCE, clip
from tests.dsp import test_echo as lines

# Without the room's quiet before the first word.
VOICE = clip("human-en-reader-1")[20:]
QUIET = [SILENCE[:-1] + b"\x7e"]


def admit(uplink, frames, withhold=False):
    given = []
    for frame in frames:
        given += uplink.admit(frame, NOTHING_DBFS, withhold)
    return given


def over_the_ai():
    """A caller who is hard to tell from the AI, from the first frame on."""
    far = ai_speech(lines.SECONDS, 50)
    near = mulaw(lines.line(0) + lines.talking("caller-he-1", 0))
    frames = [near[at : at + FRAME_BYTES] for at in range(0, len(near), FRAME_BYTES)]
    return frames, [level - 127.0 for level in frame_levels(mulaw(far))]


def speaking(**options):
    """An uplink with an open turn, and the frames it was given."""
    uplink = Uplink(CallOptions(**options))
    admit(uplink, QUIET * 50)
    given = admit(uplink, VOICE[:60])
    assert uplink.is_turn_open and uplink.is_gate_open
    return uplink, given


def test_no_time_of_a_turn_is_lost_where_the_ai_begins_to_speak_in_it():
    waited = set()
    for spoken in range(20, 100):
        uplink = Uplink(CallOptions())
        admit(uplink, QUIET * 50)
        given = [len(admit(uplink, [frame])) for frame in VOICE[:spoken]]
        if not uplink.is_turn_open or not sum(given):
            continue
        waited.add(len(uplink._pending))
        begun = next(at for at, count in enumerate(given) if count) + 1 - max(given)
        admit(uplink, QUIET, withhold=True)
        if not uplink.is_gate_open:
            assert uplink.appended_ms == (spoken + 1 - begun) * FRAME_MS
    assert len(waited) > 1


def test_a_voice_is_counted_from_its_faint_beginning_and_forgotten_after_a_gap():
    uplink = Uplink(CallOptions())
    admit(uplink, QUIET * 50)
    assert uplink.voice.frames == 0
    counted = []
    for frame in VOICE[:40]:
        admit(uplink, [frame])
        counted.append((uplink.voice.frames, uplink.is_voice))
    first_voice = [is_voice for _, is_voice in counted].index(True)
    assert counted[first_voice - 1][0] >= 1
    assert uplink.is_certain

    admit(uplink, QUIET * 25)
    assert uplink.voice.frames == 0 and not uplink.is_certain


def test_audio_of_any_length_is_cut_into_frames():
    uplink = Uplink(CallOptions())
    assert uplink.cut(b"a" * 200) == [b"a" * 160]
    assert uplink.remainder

    assert uplink.cut(b"b" * 120) == [b"a" * 40 + b"b" * 120]
    assert not uplink.remainder


def test_a_turn_begins_with_the_preroll_and_leaves_nothing_out():
    _, given = speaking()

    assert given == (QUIET * 50 + VOICE[:60])[-len(given) :]


def test_a_shut_gate_gives_silence_in_time():
    uplink, _ = speaking()
    frames = QUIET * 60
    given = admit(uplink, frames)

    sounds = sum(frame != SILENCE for frame in given)
    assert given[sounds:] == [SILENCE] * (60 - sounds)


def test_what_may_be_a_soft_onset_waits_and_is_given_as_it_came():
    uplink, _ = speaking()
    admit(uplink, QUIET * 22)
    waited = 0
    for at in range(20, len(VOICE)):  # a word with a soft beginning
        given = admit(uplink, VOICE[at : at + 1])
        if uplink.is_gate_open:
            break
        waited = 0 if given else waited + 1
        assert waited <= IN_TURN_WAIT_FRAMES

    assert waited > 0
    assert given == VOICE[at - waited : at + 1]


def test_lost_audio_keeps_its_place_behind_the_frames_that_wait():
    uplink, _ = speaking(audio_hangover_frames=0)
    while uplink.is_gate_open:
        admit(uplink, QUIET)
    admit(uplink, QUIET * 2)
    uplink.fill_gap(2)
    given = admit(uplink, VOICE[30:45])

    at = given.index(VOICE[30])
    assert given[at - 2 : at] == [SILENCE, SILENCE]
    assert given[at:] == VOICE[30:45]


def test_lost_audio_is_silence_in_the_preroll_too():
    uplink = Uplink(CallOptions(audio_preroll_ms=1_000, gate_score=False))
    admit(uplink, QUIET * 50)
    admit(uplink, VOICE[18:19])
    assert not uplink.is_turn_open
    uplink.fill_gap(2)
    given = admit(uplink, VOICE[21:40])

    at = given.index(VOICE[18])
    assert given[at + 1 : at + 4] == [SILENCE, SILENCE, VOICE[21]]


def test_speech_withheld_inside_an_open_turn_is_not_given_as_silence_first():
    uplink, _ = speaking()
    assert admit(uplink, VOICE[60:70], withhold=True) == []

    assert [frame for frame in uplink.release() if frame in VOICE] == VOICE[60:70]


def test_quiet_inside_an_open_turn_still_ends_it_while_the_ai_is_audible():
    uplink, _ = speaking()
    given = admit(uplink, QUIET * 40, withhold=True)

    assert set(given) == {SILENCE}


def test_an_answer_over_the_last_words_is_given_from_its_first_sound():
    uplink = Uplink(CallOptions(gate_score=False))
    admit(uplink, QUIET * 50)
    admit(uplink, VOICE[:40], withhold=True)
    given = admit(uplink, VOICE[40:41])

    assert given[-41:] == VOICE[:41]


def test_who_begins_with_the_ai_is_given_from_the_first_frame_on_if_there_is_no_echo():
    frames, levels = over_the_ai()
    uplink = Uplink(CallOptions())
    for frame, far_dbfs in zip(frames[:200], levels, strict=False):
        uplink.admit(frame, far_dbfs, True)
    given = uplink.release()
    assert len(given) > 195
    assert sum(frame != SILENCE for frame in given[:65]) > 40


def test_older_sounds_are_dropped_and_counted():
    uplink = Uplink(CallOptions(late_answer_ms=100))
    admit(uplink, QUIET * 50)
    admit(uplink, VOICE[:30] + QUIET * 60, withhold=True)

    assert admit(uplink, QUIET * TAIL_FRAMES_MAX) == []
    assert uplink.withheld_dropped_frames > 0


def test_the_ring_is_limited_and_counts_what_it_loses():
    uplink = Uplink(CallOptions(barge_in_ring_ms=500))
    admit(uplink, QUIET * 50)
    admit(uplink, VOICE[:100], withhold=True)

    assert len(uplink.release()) == 25
    assert uplink.withheld_dropped_frames > 0


@pytest.mark.parametrize("hangover", [0, 7])
@pytest.mark.parametrize("frames", [7, 30])
def test_only_a_turn_with_speech_in_it_is_worth_committing(frames, hangover):
    uplink = Uplink(CallOptions(audio_hangover_frames=hangover))
    admit(uplink, QUIET * 50)
    admit(uplink, VOICE[10 : 10 + frames])
    admit(uplink, QUIET * 40)

    assert uplink.is_worth_committing == (frames == 30)
    assert uplink.quiet_ms >= 700


def test_quiet_counts_from_the_last_sound_and_not_from_the_hangovers_end():
    uplink, _ = speaking(audio_hangover_frames=7)
    assert uplink.quiet_ms == 0
    while uplink.is_gate_open:
        admit(uplink, QUIET)

    assert uplink.quiet_ms == (7 + 1) * 20


def test_newer_speech_keeps_the_turn_open_when_the_server_ends_it():
    uplink, _ = speaking()
    uplink.note_speech_started()
    uplink.note_speech_stopped(100)
    assert uplink.is_turn_open

    admit(uplink, QUIET * 40)
    uplink.note_speech_stopped(100_000)
    assert not uplink.is_turn_open


def test_the_servers_own_start_opens_a_turn():
    uplink = Uplink(CallOptions())
    uplink.note_speech_started()

    assert admit(uplink, QUIET * 10) == [SILENCE] * 10


def test_gain_is_applied_only_where_it_is_wanted():
    _, plain = speaking()
    _, gained = speaking(audio_agc=True)

    assert len(plain) == len(gained)
    assert set(plain) <= set(VOICE + QUIET)


AI = clip("ai-en-offer")[:200]
DELAY = 20


def echoed(answer=(), echo=0.2, at=200):
    """What the caller's line carries while and after the AI speaks; -14 dB, 0.4 s."""
    late = (np.frombuffer(decode(b"".join(AI)), "<i2") * echo).astype(float)
    line = np.zeros((len(AI) + 150) * 160)
    line[DELAY * 160 : DELAY * 160 + len(late)] += late
    said = np.frombuffer(decode(b"".join(answer)), "<i2")
    line[at * 160 : at * 160 + len(said)] += said
    line += np.random.default_rng(1).normal(0, 12, len(line))
    data = encode(line.clip(-32_000, 32_000).astype("<i2").tobytes())
    return [data[i : i + 160] for i in range(0, len(data), 160)]


def played(uplink, frames):
    """What the model is given while the AI speaks and after it."""
    levels = [level + NOTHING_DBFS for level in frame_levels(b"".join(AI))]
    levels += [NOTHING_DBFS] * (len(frames) - len(levels))
    given = []
    for at, frame in enumerate(frames):
        given += uplink.admit(frame, levels[at], at < len(AI))
    return given


def test_the_echo_of_the_last_words_is_no_answer():
    uplink = Uplink(CallOptions())
    admit(uplink, QUIET * 50)
    frames = echoed()
    assert played(uplink, frames) == []

    assert not uplink.is_turn_open and not uplink._is_withholding


@pytest.mark.parametrize("at", [185, 200, 210, 230])
def test_an_answer_over_the_echo_of_the_last_words_is_given_whole(at):
    uplink = Uplink(CallOptions())
    admit(uplink, QUIET * 50)
    frames = echoed(VOICE[5:60], at=at)
    given = played(uplink, frames)

    first = frames.index(given[0])
    assert at - 30 <= first <= at
    assert given[: at + 50 - first] == frames[first : at + 50]


def test_a_voice_that_interrupts_unheard_by_the_gate_is_given_from_its_start():
    uplink = Uplink(CallOptions())
    admit(uplink, QUIET * 50)
    frames = VOICE[:20]
    admit(uplink, frames, withhold=True)
    age = uplink.voice.age_frames
    assert age > 3
    uplink.withheld_sound.forget()
    for frame in VOICE[20:24]:
        uplink.admit(frame, NOTHING_DBFS, True)
        uplink.withheld_sound.forget()

    assert len(uplink.release()) >= age
