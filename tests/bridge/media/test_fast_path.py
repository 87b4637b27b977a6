"""The fast path of a usual frame: it leads where the long one does, or is not taken."""

import json
from base64 import b64encode
from itertools import pairwise

import pytest
from hypothesis import example, given, settings, strategies as st

from bridge.media.fast_path import GIVEN, NOTABLE, UNUSUAL
from bridge.realtime import openai
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES
from tests.bridge import builders

QUIET = builders.SILENCE
VOICE = builders.clip("human-en-reader-1")


def text(frame, number, **changes):
    """One media message as Twilio writes it."""
    inner = {
        "track": "inbound",
        "chunk": str(number),
        "timestamp": str(number * 20),
        "payload": b64encode(frame).decode(),
        **changes.pop("media", {}),
    }
    message = {
        "event": "media",
        "sequenceNumber": str(number),
        "media": inner,
        "streamSid": builders.STREAM_SID,
        **changes,
    }
    return json.dumps(message, separators=(",", ":")).encode()


def by_the_fast_path(call, data, now):
    """What the line does with a message; the actions it leads to."""
    heard = call.fast_path.hear(data, now)
    if heard == UNUSUAL:
        return call.receive_twilio(twilio.decode(data), now)
    actions = []
    if heard & GIVEN:
        actions += [openai.AppendAudio(frame) for frame in call.fast_path.given]
    if heard & NOTABLE:
        actions += call.receive_heard(now)
    return actions


def by_the_long_way(call, data, now):
    return call.receive_twilio(twilio.decode(data), now)


def facts(call):
    """Everything a later decision may rest on, and everything that is recorded."""
    uplink, notes = call.uplink, call.call_record
    if call.fast_path.spoke_at >= 0:
        notes.caller_spoke(call.fast_path.spoke_at)
        call.fast_path.spoke_at = -1.0
    return {
        "uplink": {
            name: getattr(uplink, name)
            for name in dir(uplink)
            if not name.startswith("__") and type(getattr(uplink, name)) in KINDS
        },
        "waiting": list(uplink._pending),
        "run": (uplink.voice.frames, uplink.voice.own_frames, uplink.voice.age_frames),
        "withheld": (uplink.withheld_sound.frames, uplink.withheld_sound.tail_frames),
        "turn_end": (uplink.turn_end.quiet_frames, uplink.turn_end.long_turns),
        "gate": (uplink.gate.frames, uplink.gate.score, uplink.gate.floor_rms),
        "fast_path": (
            call.fast_path.rx_frames,
            call.fast_path.next_timestamp_ms,
            call.fast_path.is_open,
        ),
        "counters": {
            name: getattr(call.counters, name) for name in type(call.counters).__slots__
        },
        "spoke": (notes._spoke_at, notes._is_answer_due),
        "voice": call.fast_path.is_voice_line_due(call.now),
        "deadline": call.deadline,
        "held": call.playout.is_held,
        "phase": call.phase,
    }


KINDS = (int, float, bool)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("quiet"), st.integers(1, 60)),
        st.tuples(st.just("voice"), st.integers(1, 80)),
        st.tuples(st.just("lost"), st.integers(1, 30)),
        st.tuples(st.just("odd"), st.sampled_from([80, 159, 161, 320])),
        st.tuples(st.just("reply"), st.integers(1, 80)),
        st.tuples(st.just("stopped"), st.just(0)),
    ),
    min_size=1,
    max_size=12,
)


@given(
    STEPS,
    st.sampled_from(["server_vad", "semantic_vad", "gate"]),
    st.booleans(),
)
@example([("voice", 65), ("reply", 2), ("voice", 65)], "server_vad", False)
@settings(max_examples=60, deadline=None)
def test_fast_path_and_slow_path_are_the_same(steps, mode, agc):
    options = {"turn_detection": mode, "audio_agc": agc}
    short, long = (builders.answered_call(**options) for _ in range(2))
    number, now, at = 0, 1.0, 0
    for kind, count in steps:
        if kind == "reply":
            delta = builders.audio_delta(f"i{number}", 20 * count)
            for call in (short, long):
                call.receive_openai(delta, now)
        elif kind == "stopped":
            event = openai.SpeechStopped(item_id="x", audio_end_ms=10**6)
            for call in (short, long):
                call.receive_openai(event, now)
        elif kind == "lost":
            number += count
        else:
            size = count if kind == "odd" else FRAME_BYTES
            for _ in range(1 if kind == "odd" else count):
                number, now, at = number + 1, now + 0.02, at + 1
                frame = QUIET if kind == "quiet" else VOICE[at % len(VOICE)]
                frame = (frame * 3)[:size]
                data = text(frame, number)
                heard = by_the_fast_path(short, data, now)
                assert heard == by_the_long_way(long, data, now)
                while short.deadline is not None and short.deadline <= now:
                    assert short.receive_timeout(now) == long.receive_timeout(now)
        assert facts(short) == facts(long)


def listening(**options):
    call = builders.answered_call(**options)
    call.receive_twilio(twilio.decode(text(QUIET, 0)), 1.0)
    assert call.fast_path.is_open
    return call


def test_usual_frames_go_the_fast_path():
    call = listening()
    frames = [*[QUIET] * 50, *VOICE[:100]]
    heard = []
    for number, frame in enumerate(frames, 1):
        now = 1.0 + number * 0.02
        heard.append(call.fast_path.hear(text(frame, number), now))
        if heard[-1] & NOTABLE:
            call.receive_heard(now)
    assert UNUSUAL not in heard
    assert set(heard[:40]) == {0}
    assert heard.count(GIVEN) > 60
    # The line of the log about a voice, at most one in two seconds.
    assert [bool(one & NOTABLE) for one in heard].count(True) in (1, 2)
    assert call.fast_path.rx_frames == 151


@pytest.mark.parametrize("hear", [by_the_fast_path, by_the_long_way])
def test_a_gap_is_counted_from_a_whole_frame_on(hear):
    """The gap, in ms, and the frames that the network lost."""
    for gap_ms, lost in [(-20, 0), (0, 0), (19, 0), (20, 1), (39, 1), (40, 2)]:
        call = listening()
        media = {"timestamp": str(20 + gap_ms)}
        hear(call, text(QUIET, 1, media=media), 2.0)
        assert call.counters.gap_frames == lost
        assert call.fast_path.next_timestamp_ms == 40 + gap_ms


@pytest.mark.parametrize("hear", [by_the_fast_path, by_the_long_way])
def test_a_turn_is_committed_with_the_frame_that_makes_its_silence_whole(hear):
    call = listening(turn_detection="gate", turn_silence_ms=500)
    committed = {}
    for number, frame in enumerate([*VOICE[20:67], *[QUIET] * 60], 1):
        actions = hear(call, text(frame, number), 1.0 + number * 0.02)
        if builders.of(openai.CommitAudio, actions):
            committed[number] = call.uplink.quiet_ms

    assert list(committed.values()) == [500]


@pytest.mark.parametrize("hear", [by_the_fast_path, by_the_long_way])
def test_the_caller_is_last_heard_of_while_the_gate_is_open(hear):
    call = listening()
    open_at = 0.0
    for number, frame in enumerate([*VOICE[20:70], *[QUIET] * 60], 1):
        now = 1.0 + number * 0.02
        hear(call, text(frame, number), now)
        if call.uplink.is_gate_open:
            open_at = now
    call.receive_timeout(3.5)

    assert 2.0 < call.call_record.active_at == open_at < 2.5


@pytest.mark.parametrize("hear", [by_the_fast_path, by_the_long_way])
def test_a_voice_is_told_at_most_once_in_two_seconds(hear):
    call = listening()
    told_at = []
    for number in range(1, 401):
        now = 1.0 + number * 0.02
        actions = hear(call, text(VOICE[20 + number % 50], number), now)
        if any("[REAL_VOICE]" in line for line in builders.texts(actions)):
            told_at.append(now)

    pauses_s = [later - at for at, later in pairwise(told_at)]
    assert len(pauses_s) == 3
    assert all(2.0 - 1e-9 <= pause_s < 2.1 for pause_s in pauses_s)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}",
        b'{"event":"media"}',
        b'{"event":"media","media":{}}',
        text(QUIET, 1)[:-1],
        text(QUIET, 1) + b" ",
        text(QUIET, 1) + b"}",
        text(QUIET, 1).replace(b",", b", "),
        text(QUIET, 1).replace(b'"event"', b'"\\u0065vent"'),
        text(QUIET, 1).replace(b'"event":"media"', b'"event":"mark"'),
        text(QUIET, 1).replace(b'"sequenceNumber":"1"', b'"sequenceNumber":1'),
        text(QUIET, 1, media={"timestamp": ""}),
        text(QUIET, 1, media={"timestamp": "-20"}),
        text(QUIET, 1, media={"timestamp": "20.0"}),
        text(QUIET, 1, media={"timestamp": "9" * 16}),
        text(QUIET, 1, media={"timestamp": "0" * 9 + "20"}),
        text(QUIET, 1, media={"timestamp": "40"}),
        text(QUIET, 1, media={"timestamp": "60"}),
        text(QUIET, 1, media={"payload": "*" * 216}),
        text(QUIET, 1, media={"payload": "/" * 216}),
        text(QUIET, 1, media={"payload": "/" * 215 + "="}),
        text(QUIET, 1, media={"payload": "/" * 213 + "/=="}),
        text(QUIET[:159], 1),
        text(QUIET * 2, 1),
        text(QUIET, 1, streamSid="ü"),
        text(QUIET, 1).replace(b'"track":"inbound"', b'"track":"\xff"'),
        text(QUIET, 1).replace(b'"track":"inbound"', b'"timestamp":"20"'),
        text(QUIET, 1).replace(b'"track"', b'"payload"'),
        text(QUIET, 1).replace(b'"sequenceNumber":"1"', b'"event":"media"'),
        text(QUIET, 1).replace(b'"track":"inbound"', b'"track":{"a":"b"}'),
        text(QUIET, 1, sequenceNumber="1" * 1_024),
        b"\x00" * 330,
    ],
)
def test_whatever_is_not_usual_is_left_untouched(data):
    call = listening()
    before = facts(call)
    assert call.fast_path.hear(data, 2.0) == UNUSUAL
    assert facts(call) == before


@given(
    st.binary(max_size=400) | st.integers(0, 330).map(lambda at: text(QUIET, 1)[:at])
)
def test_no_bytes_surprise_it(data):
    assert listening().fast_path.hear(data, 2.0) == UNUSUAL


@given(st.integers(0, 329), st.integers(0, 255))
def test_one_wrong_byte_is_read_as_the_long_way_reads_it(at, byte):
    data = bytearray(text(VOICE[40], 1))
    data[at % len(data)] = byte
    call = listening()
    if call.fast_path.hear(bytes(data), 2.0) != UNUSUAL:
        message = twilio.decode(bytes(data))
        assert isinstance(message, twilio.Media)
        assert len(message.media.payload) == FRAME_BYTES
        other = listening()
        other.receive_twilio(message, 2.0)
        assert facts(call)["gate"] == facts(other)["gate"]
        assert facts(call)["waiting"] == facts(other)["waiting"]


def test_ear_is_shut_while_nobody_may_be_heard():
    call = builders.Call(builders.plan(greeting="Hello."), 0.0)
    call.receive_twilio(builders.start(), 0.0)
    assert not call.fast_path.is_open
    talking = listening()
    talking.receive_hangup("tested", 2.0)
    assert not talking.fast_path.is_open
    assert talking.fast_path.hear(text(QUIET, 1), 2.0) == UNUSUAL


KEY = b'{"event":"dtmf","dtmf":{"digit":"1"}}'


def test_a_row_of_keys_at_once_is_read_and_then_as_many_as_fingers_press():
    fast_path = builders.answered_call().fast_path
    assert [fast_path.is_flood(KEY, 1.0) for _ in range(100)] == [False] * 40 + [
        True
    ] * 60
    assert fast_path.flood_messages == 60
    # Twelve a second, however often it is asked.
    later = [fast_path.is_flood(KEY, 1.0 + tick / 100) for tick in range(1, 1_001)]
    assert later.count(False) == pytest.approx(120, abs=1)


def test_fingers_and_marks_are_never_a_flood():
    fast_path = builders.answered_call().fast_path
    assert not any(fast_path.is_flood(KEY, press * 0.0834) for press in range(1_000))
    assert fast_path.flood_messages == 0


def test_a_rest_is_saved_up_to_a_row():
    fast_path = builders.answered_call().fast_path
    for _ in range(100):
        fast_path.is_flood(KEY, 1.0)
    assert sum(not fast_path.is_flood(KEY, 1_000.0) for _ in range(100)) == 40


def test_audio_is_no_flood_however_it_looks_and_whatever_comes_beside_it():
    fast_path = builders.answered_call().fast_path
    for number in range(500):
        assert not fast_path.is_flood(text(QUIET, number), 1.0)
        assert not fast_path.is_flood(b'{"event": "media", "media": {"payload": "', 1.0)
        assert not fast_path.is_flood(b'{"media":{"payload":""},"event":"media"}', 1.0)
    assert not fast_path.is_flood(b'{"event":"mark"}', 1.0)
    assert [fast_path.is_flood(b"{", 1.0) for _ in range(40)] == [False] * 39 + [True]


def test_after_what_is_malformed_fewer_messages_may_follow():
    fast_path = builders.answered_call().fast_path
    fast_path.is_flood(KEY, 1.0)
    for _ in range(4):
        fast_path.note_malformed()
    assert [fast_path.is_flood(KEY, 1.0) for _ in range(9)] == [False] * 7 + [True] * 2
    for _ in range(50):
        fast_path.note_malformed()
    # It is no debt: a second later twelve may come.
    assert sum(not fast_path.is_flood(KEY, 2.0) for _ in range(20)) == 12


def test_what_only_says_that_it_is_audio_is_a_flood_at_last():
    fast_path = builders.answered_call().fast_path
    data = b'{"event":"x","payload":""}'

    at_once = [fast_path.is_flood(data, 1.0) for _ in range(2_000)]
    assert at_once == [False] * 1_500 + [True] * 500
    # Twice as fast as a line is: nothing is lost of what it sends in whatever form.
    assert not any(fast_path.is_flood(data, 2.0 + at / 100) for at in range(5_000))
