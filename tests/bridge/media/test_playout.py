"""The ledger: what was sent, what was heard, and how it ends."""

import pytest
from hypothesis import given, strategies as st

from bridge.media.playout import (
    FRAME_S,
    NOTHING_DBFS,
    PARTS_MAX,
    UNSENT_BYTES_MAX,
    Cut,
    Frames,
    MarkName,
    Playout,
)
from dsp.g711 import FRAME_BYTES

LEAD_MS = 300
LEAD_FRAMES = 15


def frames(pieces):
    audio = [piece.audio for piece in pieces if isinstance(piece, Frames)]
    assert all(one and len(one) % FRAME_BYTES == 0 for one in audio)
    return [
        one[at : at + FRAME_BYTES]
        for one in audio
        for at in range(0, len(one), FRAME_BYTES)
    ]


def marks(pieces):
    return [piece.name for piece in pieces if isinstance(piece, MarkName)]


def run(playout, now, until):
    """Feed whenever the ledger asks for it; return all pieces."""
    pieces = playout.feed(now)
    while playout.deadline is not None and playout.deadline <= until:
        now = max(now, playout.deadline)
        pieces += playout.feed(now)
    return pieces


def speaking(ms=2_000, now=10.0):
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * (8 * ms))
    playout.feed(now)
    return playout


def test_only_the_lead_goes_out_at_once():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 16_000)

    assert len(frames(playout.feed(10.0))) == LEAD_FRAMES
    assert frames(playout.feed(10.0)) == []


def test_the_rest_goes_out_a_lead_ahead_of_the_ear_and_never_underruns():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 16_000)
    playout.finish("item_1")

    now, sent = 10.0, len(frames(playout.feed(10.0)))
    while playout.deadline is not None:
        now = playout.deadline
        sent += len(frames(playout.feed(now)))
        assert sent * 0.02 - (now - 10.0) <= LEAD_MS / 1e3 + FRAME_S / 2 + 1e-5
        assert sent * 0.02 > now - 10.0
    assert sent == 100
    assert playout.underruns == 0


def test_a_late_tick_catches_up():
    playout = speaking(now=10.0)

    assert len(frames(playout.feed(10.24))) == 12


def test_audio_that_comes_or_goes_too_late_is_an_underrun():
    playout = speaking(ms=600, now=10.0)

    playout.feed(10.31)  # we were late
    assert playout.underruns == 1
    playout.feed(10.5)
    assert playout.deadline is None
    playout.push("item_1", 0, b"\x10" * 1_600)
    playout.feed(10.65)  # the model was
    assert playout.underruns == 2


def test_a_pause_between_items_and_a_reply_that_was_held_are_no_underruns():
    playout = speaking(ms=300, now=10.0)
    playout.push("item_2", 0, b"\x10" * 16_000)
    playout.feed(10.4)
    playout.hold()
    playout.resume()
    assert frames(playout.feed(11.0))

    assert playout.underruns == 0
    playout.feed(11.4)
    assert playout.underruns == 1


@given(st.lists(st.integers(0, 700), min_size=1, max_size=30))
def test_any_cut_of_the_deltas_gives_the_same_frames(cuts):
    audio = bytes(number % 251 for number in range(sum(cuts)))
    whole, cut = Playout(lead_ms=60_000), Playout(lead_ms=60_000)
    whole.push("item_1", 0, audio)
    at = 0
    for size in cuts:
        cut.push("item_1", 0, audio[at : at + size])
        at += size
    whole.finish("item_1")
    cut.finish("item_1")

    expected = frames(whole.feed(0.0))
    assert frames(cut.feed(0.0)) == expected
    assert b"".join(expected).startswith(audio)
    assert all(len(frame) == 160 for frame in expected)


def test_the_tail_waits_for_the_end_of_the_item_and_is_padded_with_silence():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 200)

    assert frames(playout.feed(10.0)) == [b"\x10" * 160]
    playout.finish("item_1")
    assert frames(playout.feed(10.2)) == [b"\x10" * 40 + b"\xff" * 120]


def test_a_new_item_ends_the_one_before_it():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 200)
    playout.push("item_2", 0, b"\x20" * 160)

    assert frames(playout.feed(10.0)) == [
        b"\x10" * 160,
        b"\x10" * 40 + b"\xff" * 120,
        b"\x20" * 160,
    ]


def test_items_whose_deltas_come_by_turns_are_played_one_after_the_other():
    playout = Playout(lead_ms=LEAD_MS)
    for _ in range(3):
        playout.push("item_1", 0, b"\x10" * 200)
        playout.push("item_2", 0, b"\x20" * 200)
        playout.push("item_2", 1, b"\x30" * 200)

    pieces = run(playout, 10.0, 11.0)
    heard = b"".join(frames(pieces))
    assert [heard.count(byte) for byte in b"\x10\x20\x30"] == [600, 600, 480]
    assert heard == bytes(sorted(heard[:640])) + heard[640:]
    assert marks(pieces) == ["item_1:0:80", "item_2:0:80"]


def test_a_part_counts_from_those_before_it_also_once_they_were_heard():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 8 * 400)
    playout.finish("item_1", 0)
    run(playout, 10.0, 11.0)
    assert playout.unheard(12.0) == set()
    playout.push("item_1", 1, b"\x20" * 8 * 1_000)
    run(playout, 12.0, 12.4)

    (cut,) = playout.interrupt(12.4)
    assert cut == Cut("item_1", 1, 400, 1_000, before_ms=400)


def test_nothing_is_heard_before_it_is_sent_nor_faster_than_time():
    playout = speaking(now=10.0)

    assert playout.heard_frames(10.0) == pytest.approx(0, abs=1e-6)
    assert playout.heard_frames(10.1) == pytest.approx(5)
    assert playout.heard_frames(20.0) == LEAD_FRAMES


def test_an_interruption_cuts_each_item_at_what_was_heard():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 8 * 400)
    playout.push("item_2", 0, b"\x20" * 8 * 1_000)
    playout.push("item_3", 0, b"\x30" * 8 * 1_000)
    run(playout, 10.0, 10.6)

    assert playout.interrupt(10.62) == [
        Cut("item_2", 0, 220, 1_000),
        Cut("item_3", 0, 0, 1_000),
    ]


def test_each_part_of_an_item_is_cut_in_its_own_time():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 8 * 405)
    playout.finish("item_1", 0)
    playout.push("item_1", 1, b"\x20" * 8 * 1_000)
    playout.push("item_1", 2, b"\x30" * 8 * 1_000)
    pieces = run(playout, 10.0, 10.95)
    # The tail of the first part is padded to a frame.
    assert marks(pieces) == ["item_1:0:420", "item_1:0:905"]

    assert playout.interrupt(10.97) == [
        Cut("item_1", 1, 550, 1_000, before_ms=405),
        Cut("item_1", 2, 0, 1_000, before_ms=1_405),
    ]


@pytest.mark.parametrize("echoed_at", [10.5, 10.9, None])
def test_an_echo_late_or_missing_does_not_change_what_was_heard(echoed_at):
    playout = speaking(ms=4_000, now=10.0)
    run(playout, 10.0, 10.9)
    if echoed_at is not None:
        playout.receive_mark("item_1:0:500", echoed_at)

    (cut,) = playout.interrupt(10.92)
    assert cut.heard_ms == 920


def test_what_was_fully_heard_is_not_cut():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 800)
    playout.finish("item_1")
    playout.feed(10.0)

    assert playout.interrupt(10.2) == []


def test_a_cut_is_never_beyond_what_was_received():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 200)
    playout.feed(10.0)

    assert playout.interrupt(11.0) == [Cut("item_1", 0, 20, 25)]


def test_nothing_is_sent_while_held_and_the_next_byte_follows():
    audio = bytes(number % 256 for number in range(16_000))
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, audio)
    sent = frames(playout.feed(10.0))
    playout.hold()

    assert playout.feed(10.4) == []
    assert playout.deadline is None
    assert playout.is_playing(10.9)
    playout.resume()
    sent += frames(run(playout, 10.4, 13.0))
    assert b"".join(sent) == audio


def test_a_pause_in_sending_is_not_heard_speech():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 1_600)
    playout.feed(10.0)
    playout.push("item_1", 0, b"\x10" * 1_600)
    playout.feed(11.0)

    assert playout.heard_frames(11.1) == pytest.approx(15)


@pytest.mark.parametrize("is_held", [False, True])
def test_neither_an_underrun_nor_a_hold_begins_a_new_utterance(is_held):
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 1_600)
    playout.feed(10.0)
    if is_held:
        playout.hold()
    playout.push("item_1", 0, b"\x10" * 1_600)
    playout.feed(11.0)
    playout.resume()
    playout.finish("item_1")
    playout.feed(11.0)
    assert playout.audible_since == 10.0

    # The second part of an item, and an item that waited for the hold's end.
    playout.push("item_1", 1, b"\x10" * 1_600)
    playout.feed(12.0)
    playout.hold()
    playout.push("item_2", 0, b"\x10" * 1_600)
    playout.feed(13.0)
    playout.resume()
    playout.feed(13.0)
    assert playout.audible_since == 10.0

    playout.push("item_3", 0, b"\x10" * 1_600)
    playout.feed(14.0)
    assert playout.audible_since == 14.0


def test_a_hold_with_nothing_left_to_say_does_not_touch_the_next_utterance():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 1_600)
    playout.finish("item_1")
    playout.feed(10.0)
    playout.hold()
    playout.resume()
    playout.push("item_2", 0, b"\x10" * 1_600)
    playout.feed(12.0)

    assert playout.audible_since == 12.0


def test_the_far_level_is_that_of_the_frame_being_played():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\xff" * 800 + b"\x00" * 800)
    playout.finish("item_1")
    playout.feed(10.0)

    assert playout.far_dbfs(10.05) == NOTHING_DBFS
    assert playout.far_dbfs(10.15) > -3
    assert playout.far_dbfs(10.25) == NOTHING_DBFS


def test_a_runaway_reply_is_refused_and_counted():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, bytes(UNSENT_BYTES_MAX))
    playout.push("item_1", 0, b"\x10" * 160)

    assert playout.refused_bytes == 160


def test_parts_without_end_are_refused_and_counted():
    playout = Playout(lead_ms=LEAD_MS)
    for number in range(PARTS_MAX + 3):
        playout.push(f"item_{number}", 0, b"")
    assert playout.refused_parts == 3

    # Those that are over make room.
    playout.feed(10.0)
    playout.push("item_0", 0, b"\x10" * 160)
    assert playout.refused_parts == 3


@given(
    st.lists(st.tuples(st.integers(1, 400), st.floats(0.0, 0.5)), max_size=20),
    st.floats(0.0, 3.0),
)
def test_heard_is_never_more_than_sent_or_than_time_allows(steps, later):
    playout, now, began = Playout(lead_ms=LEAD_MS), 5.0, 5.0
    for size, wait in steps:
        playout.push("item_1", 0, bytes(size * 8))
        playout.feed(now)
        now += wait
    heard = playout.heard_frames(now + later)

    assert heard <= playout.frames_sent + 1e-9
    assert heard <= (now + later - began) / 0.02 + 1e-6
