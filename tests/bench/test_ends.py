"""Both ends of a load run: when the model speaks, and what the caller lacks."""

from base64 import b64decode

import pytest

from bench import ends
from bench.ends import DELTA_FRAMES, PERIOD_FRAMES, Run, Shape
from bench.fast.frames import tag_of


def spoken(shape):
    """Return after how many frames each delta of a reply comes."""
    return [
        place
        for place in range(PERIOD_FRAMES)
        if shape.is_due(place)
        for _ in range(shape.deltas(place) - (shape.deltas(place - 1) if place else 0))
    ]


@pytest.mark.parametrize("ahead", [0, 5, 100])
def test_a_reply_comes_whole_and_ahead_of_the_playout(ahead):
    shape = Shape(hears=0.5, speaks=0.4, ahead=ahead)
    places = spoken(shape)

    assert len(places) * DELTA_FRAMES == shape.heard
    for number, place in enumerate(places):
        assert place == max(number * DELTA_FRAMES - ahead, 0)


def test_a_silence_within_a_reply_is_an_underrun():
    run = Run(1)
    stream = run.make_stream(0, [])
    now = 10.0

    def hear(after_s):
        nonlocal now
        now += after_s
        audio = b'{"event":"media","media":{"payload":"%s"}}' % ends.QUIET
        stream.hear(audio, now)
        return run.underruns

    assert hear(0.0) == 0
    assert hear(0.019) == 0
    assert hear(0.02) == 0
    assert hear(0.05) == 1
    assert hear(3.0) == 1  # another reply
    stream.pause()
    assert hear(0.5) == 1


def test_a_frame_is_named_by_nine_samples_next_to_silent():
    tags = [tag_of(1, 0, 0), tag_of(2, 1234, 65_535), tag_of(1, 70_000, 99_999)]

    for tag, name in zip(tags, ("100000000", "204d2ffff", "11170869f"), strict=True):
        assert b64decode(tag) == bytes(0xF0 | int(digit, 16) for digit in name)


def test_audio_without_audio_is_an_error():
    stream = Run(1).make_stream(0, [])

    for payload in (b"", b"/" * 11, b'"'):
        with pytest.raises(ValueError, match="holds no audio"):
            stream.hear(b'{"event":"media","media":{"payload":"%s"}}' % payload, 1.0)
    with pytest.raises(ValueError, match="holds no audio"):
        stream.hear(b'{"event":"media"}', 1.0)
