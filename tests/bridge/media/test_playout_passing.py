"""The ledger of a person's audio, which passes beside the model's items."""

from bridge.media.playout import FRAME_S, PASSED_AHEAD_S, MarkName, Playout

VOICE = b"\x10" * 160


def passing() -> Playout:
    playout = Playout(lead_ms=300)
    playout.is_passing = True
    return playout


def test_a_persons_frames_are_sent_at_once_and_counted():
    playout = passing()

    assert playout.pass_through(VOICE * 2, 10.0) == VOICE * 2
    assert playout.frames_sent == 2
    assert playout.ends_at() == 10.0 + 2 * FRAME_S
    assert round(playout.heard_frames(10.02), 6) == 1


def test_they_withhold_nothing_and_are_as_loud_as_they_are():
    playout = passing()
    playout.pass_through(VOICE, 10.0)

    assert not playout.is_playing(10.01)
    assert playout.far_dbfs(10.01) > -20
    playout.is_passing = False
    assert playout.is_playing(10.01)


def test_what_comes_too_early_to_be_heard_soon_is_not_sent():
    playout = passing()
    at_once = round(PASSED_AHEAD_S / FRAME_S)
    for _ in range(at_once):
        assert playout.pass_through(VOICE, 10.0)

    assert playout.pass_through(VOICE, 10.0) == b""
    assert playout.frames_sent == at_once
    assert playout.pass_through(VOICE, 10.0 + FRAME_S)


def test_a_silent_line_makes_no_room_for_more():
    playout = passing()
    at_once = round(PASSED_AHEAD_S / FRAME_S)

    assert playout.pass_through(VOICE * (at_once + 1), 60.0) == b""
    assert playout.pass_through(VOICE * at_once, 60.0)


def test_nothing_is_sent_while_the_line_is_lost():
    playout = passing()
    playout.hold()

    assert playout.pass_through(VOICE, 10.0) == b""


def test_the_model_goes_on_behind_what_a_person_said():
    playout = passing()
    playout.pass_through(VOICE * 4, 10.0)
    playout.is_passing = False
    playout.push("item_1", 0, VOICE * 3)
    playout.finish("item_1")

    *_, last = playout.feed(10.02)

    assert isinstance(last, MarkName)
    assert playout.frames_sent == 7
    [cut] = playout.interrupt(10.1)
    assert (cut.item_id, cut.heard_ms) == ("item_1", 20)
