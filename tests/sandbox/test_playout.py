from hypothesis import given, strategies as st

from bridge.sandbox.playout import Echo, PhonePlayout

ONE_SECOND = bytes(range(1, 161)) * 50


def test_audio_is_heard_in_real_time_however_fast_it_came():
    phone = PhonePlayout(now=10.0)
    phone.receive_media(ONE_SECOND, now=10.5)
    phone.receive_media(ONE_SECOND, now=10.5)
    phone.advance(now=11.75)

    assert bytes(phone.heard) == b"\xff" * 4000 + ONE_SECOND + ONE_SECOND[:2000]
    assert phone.queued_bytes == 6000


def test_nothing_is_heard_as_digital_silence():
    phone = PhonePlayout(now=0.0)
    phone.receive_media(b"\x01" * 80, now=0.0)
    phone.advance(now=0.03)
    phone.receive_media(b"\x02" * 80, now=0.03)
    phone.advance(now=0.05)

    assert bytes(phone.heard) == (
        b"\x01" * 80 + b"\xff" * 160 + b"\x02" * 80 + b"\xff" * 80
    )


def test_a_mark_comes_back_when_all_before_it_was_played():
    phone = PhonePlayout(now=0.0)
    assert phone.receive_mark("empty", now=0.1) == [Echo("empty", 100, False)]
    phone.receive_media(ONE_SECOND, now=0.1)
    assert phone.receive_mark("a", now=0.1) == []
    phone.receive_media(ONE_SECOND, now=0.2)
    assert phone.receive_mark("b", now=0.2) == []

    assert phone.deadline == 1.1
    assert phone.advance(now=1.0999) == []
    assert phone.advance(now=1.1) == [Echo("a", 1100, False)]
    assert phone.deadline == 2.1
    assert phone.advance(now=3.0) == [Echo("b", 2100, False)]
    assert phone.deadline is None


def test_a_clear_empties_the_queue_and_echoes_every_pending_mark():
    phone = PhonePlayout(now=0.0)
    for name in ("a", "b"):
        phone.receive_media(ONE_SECOND, now=0.0)
        phone.receive_mark(name, now=0.0)

    assert phone.receive_clear(now=0.25) == [
        Echo("a", 250, True),
        Echo("b", 250, True),
    ]
    phone.receive_media(b"\x05" * 80, now=0.3)
    phone.advance(now=0.5)
    assert bytes(phone.heard) == (
        ONE_SECOND[:2000] + b"\xff" * 400 + b"\x05" * 80 + b"\xff" * 1520
    )


def test_a_mark_due_at_the_clear_was_played():
    phone = PhonePlayout(now=0.0)
    phone.receive_media(ONE_SECOND, now=0.0)
    phone.receive_mark("a", now=0.0)
    assert phone.receive_clear(now=1.2) == [Echo("a", 1000, False)]


def test_the_ear_tells_an_utterance_from_a_pause():
    phone = PhonePlayout(now=0.0)
    assert (phone.utterances, phone.utterance_ms) == (0, 0)
    phone.receive_media(ONE_SECOND, now=0.5)
    phone.advance(now=1.0)
    assert (phone.utterances, phone.utterance_ms, phone.quiet_ms) == (1, 500, 0)
    phone.advance(now=1.8)
    assert (phone.utterance_ms, phone.quiet_ms) == (1000, 300)
    phone.receive_media(ONE_SECOND, now=1.8)  # the same utterance, after a breath
    phone.advance(now=2.0)
    assert (phone.utterances, phone.utterance_ms) == (1, 1200)
    phone.advance(now=3.5)
    assert (phone.utterance_ms, phone.quiet_ms) == (0, 700)
    phone.receive_media(ONE_SECOND, now=3.5)
    phone.advance(now=3.6)
    assert (phone.utterances, phone.utterance_ms) == (2, 100)


@given(
    st.lists(
        st.tuples(st.integers(1, 4000), st.booleans(), st.floats(0, 0.3)), max_size=20
    )
)
def test_marks_come_back_in_order_and_the_ear_hears_what_was_sent(steps):
    phone = PhonePlayout(now=0.0)
    now, echoes, sent = 0.0, [], b""
    for number, (size, has_mark, pause_s) in enumerate(steps):
        audio = bytes([number + 1]) * size
        sent += audio
        echoes += phone.receive_media(audio, now)
        if has_mark:
            echoes += phone.receive_mark(str(number), now)
        now += pause_s
    echoes += phone.advance(now + 100)

    names = [str(number) for number, step in enumerate(steps) if step[1]]
    assert [echo.name for echo in echoes] == names
    assert bytes(phone.heard).replace(b"\xff", b"") == sent
