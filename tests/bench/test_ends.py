"""Both ends of a load run: when the model speaks, and what the caller lacks."""

import pytest

from bench import ends
from bench.ends import DELTA_FRAMES, PERIOD_FRAMES, Run, Shape


def spoken(shape):
    """Return after how many frames each delta of a reply comes."""
    return [
        place
        for place in range(PERIOD_FRAMES)
        if shape.is_due(place)
        for _ in range(shape.deltas(place) - (shape.deltas(place - 1) if place else 0))
    ]


@pytest.mark.parametrize("ahead", [0, 5, 100])
def test_a_reply_comes_whole_and_ahead_of_the_ear(ahead):
    shape = Shape(hears=0.5, speaks=0.4, ahead=ahead)
    places = spoken(shape)

    assert len(places) * DELTA_FRAMES == shape.heard
    for number, place in enumerate(places):
        assert place == max(number * DELTA_FRAMES - ahead, 0)


def test_a_silence_within_a_reply_is_an_underrun(monkeypatch):
    now = [10.0]
    monkeypatch.setattr(ends, "monotonic", lambda: now[0])
    run = Run(1)
    stream = run.make_stream(0, [])

    class Message:
        msg_type = None

        def get_payload_as_bytes(self):
            return b'{"event":"media","media":{"payload":"%s"}}' % ends.QUIET

    def hear(after_s):
        now[0] += after_s
        stream.on_ws_frame(None, Message())
        return run.underruns

    assert hear(0.0) == 0
    assert hear(0.019) == 0
    assert hear(0.02) == 0
    assert hear(0.05) == 1
    assert hear(3.0) == 1  # another reply
    stream.pause()
    assert hear(0.5) == 1
