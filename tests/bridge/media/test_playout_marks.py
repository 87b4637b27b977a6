"""The ledger's marks: when they are sent, what their echoes say, and that speech which
goes on by itself leaves none out."""

import pytest
from hypothesis import given, strategies as st

from bridge.media.playout import MARK_EVERY_FRAMES, MARKS_MAX, Frames, Playout
from dsp.g711 import FRAME_BYTES, frame_levels
from tests.bridge.media.test_playout import LEAD_MS, frames, marks, run, speaking


def test_marks_come_twice_a_second_and_at_the_end_of_each_item():
    playout = Playout(lead_ms=60_000)
    playout.push("item_1", 0, b"\x10" * 8 * 1_200)
    playout.finish("item_1")

    assert marks(playout.feed(0.0)) == [
        "item_1:0:500",
        "item_1:0:1000",
        "item_1:0:1200",
    ]


def test_an_item_whose_end_comes_after_its_last_frame_gets_its_mark():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * 1_600)
    assert marks(playout.feed(10.0)) == []
    playout.finish("item_1")

    assert marks(playout.feed(10.0)) == ["item_1:0:200"]
    assert marks(playout.feed(10.1)) == []


def test_an_echo_that_comes_late_moves_the_ear_back():
    playout = speaking(now=10.0)
    run(playout, 10.0, 10.5)
    playout.receive_mark("item_1:0:500", 10.6)

    assert playout.heard_frames(10.6) == pytest.approx(25)


def test_the_delay_is_the_least_of_the_last_echoes():
    playout = speaking(ms=4_000, now=10.0)
    run(playout, 10.0, 12.0)
    playout.receive_mark("item_1:0:500", 11.5)
    playout.receive_mark("item_1:0:1000", 11.5)
    playout.receive_mark("item_1:0:1500", 11.52)

    assert playout.heard_frames(12.0) == pytest.approx(99)


def test_a_mark_that_was_never_sent_or_is_echoed_twice_is_nobodys():
    playout = speaking()
    (name,) = marks(run(playout, 10.0, 10.4))[:1]

    assert not playout.receive_mark("item_9:0:500", 10.4)
    assert playout.receive_mark(name, 10.5)
    assert not playout.receive_mark(name, 10.5)


def test_a_stale_echo_leaves_the_marks_of_the_next_reply_in_flight():
    playout = speaking(now=10.0)
    (old,) = marks(run(playout, 10.0, 10.4))[:1]
    playout.interrupt(10.4)
    playout.push("item_2", 0, b"\x20" * 800)
    playout.finish("item_2")
    (new,) = marks(playout.feed(10.5))

    assert playout.receive_mark(old, 10.55)
    assert playout.marks_in_flight == playout.stale_marks == 1
    assert playout.receive_mark(new, 10.6)
    assert playout.marks_in_flight == 0


def test_an_echo_after_a_clear_is_a_flush_and_not_a_playback():
    playout = speaking(now=10.0)
    run(playout, 10.0, 10.6)
    playout.interrupt(10.7)
    playout.receive_mark("item_1:0:500", 10.7)

    assert playout.stale_marks == 1
    assert not playout.is_playing(10.71)


def test_nothing_plays_after_a_clear_however_late_the_echoes_were():
    playout = speaking(ms=2_000)
    (name,) = marks(run(playout, 10.0, 10.4))[:1]
    playout.receive_mark(name, 11.0)
    playout.interrupt(11.0)
    assert not playout.is_playing(11.0)

    playout.push("item_2", 0, b"\x10" * 8_000)
    playout.feed(11.1)
    assert playout.audible_since == 11.1


def test_marks_after_a_clear_carry_a_new_generation():
    playout = speaking()
    playout.interrupt(10.1)
    playout.push("item_2", 0, b"\x20" * 160)
    playout.finish("item_2")

    assert marks(playout.feed(10.2)) == ["item_2:1:20"]


def test_marks_that_are_never_echoed_are_forgotten():
    playout = Playout(lead_ms=10_000_000)
    marked_bytes = MARK_EVERY_FRAMES * FRAME_BYTES
    playout.push("item_1", 0, b"\x10" * marked_bytes * (MARKS_MAX + 3))
    playout.finish("item_1")
    playout.feed(0.0)

    assert playout.forgotten_marks == 3
    assert playout.marks_in_flight == MARKS_MAX


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60))
def test_going_on_is_what_feeding_would_have_been(pauses_ms):
    fed, gone_on = speaking(ms=6_000), speaking(ms=6_000)
    for playout in (fed, gone_on):
        playout.push("item_2", 0, b"\x20" * 8_100)
        playout.finish("item_2")
    now = 10.0
    for pause_ms in pauses_ms:
        now += pause_ms / 1e3
        audio = gone_on.go_on(now)
        pieces = [] if audio else gone_on.feed(now)
        pieces = [Frames(audio)] if audio else pieces
        expected = fed.feed(now)
        assert (frames(pieces), marks(pieces)) == (frames(expected), marks(expected))
        assert gone_on.deadline == fed.deadline
        assert gone_on.underruns == fed.underruns
        assert gone_on.far_dbfs(now) == fed.far_dbfs(now)


def test_going_on_notes_how_loud_the_frame_being_played_is():
    playout = speaking(ms=600)
    assert len(playout.go_on(10.16)) == 8 * FRAME_BYTES

    # The lead is heard by then, and a frame of what went on is being played.
    assert playout.far_dbfs(10.31) == frame_levels(b"\x10" * FRAME_BYTES)[0] - 127


@pytest.mark.parametrize("is_done", [True, False])
def test_the_last_frames_of_an_item_go_out_with_its_mark(is_done):
    playout = speaking(ms=0)
    playout.push("item_1", 0, b"\x10" * 23 * FRAME_BYTES)
    playout.feed(10.0)
    if is_done:
        playout.finish("item_1")

    # Eight fill the lead, and eight are left.
    went_on = playout.go_on(10.16)
    assert bool(went_on) is not is_done
    pieces = playout.feed(10.16)
    assert len(went_on) // FRAME_BYTES + len(frames(pieces)) == 8
    assert len(marks(pieces)) == is_done


def test_going_on_is_nothing_where_feeding_has_more_to_tell():
    playout = Playout(lead_ms=LEAD_MS)
    playout.push("item_1", 0, b"\x10" * (8 * 560))
    assert playout.go_on(10.0) == b""  # the item begins
    playout.feed(10.0)
    assert playout.go_on(10.1) == b""  # not due
    assert len(playout.go_on(10.16)) == 8 * FRAME_BYTES
    assert playout.go_on(10.32) == b""  # a mark, and all there is
    assert len(frames(playout.feed(10.32))) == 5
    playout.hold()
    assert playout.go_on(10.5) == b""
