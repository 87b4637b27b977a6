"""How calls end when their process must stop: what was begun is heard to its end."""

import asyncio
from time import monotonic

import pytest

from bridge.switchboard import draining
from tests.bridge import builders, loopback
from tests.bridge.line.test_driver import talking

FAREWELL_S = 0.05


async def drained(place, patience_s=0.05):
    """Drain a line whose reply plays; return how long that took."""
    line, no_calls = place.line, asyncio.Event()

    def lines():
        if line.is_over:
            no_calls.set()
        return [] if line.is_over else [line]

    began_at = monotonic()
    await draining.end_in_time(
        lines, no_calls, patience_s=patience_s, farewell_s=FAREWELL_S
    )
    return monotonic() - began_at


async def speaking(place, ms):
    """Let the AI begin a reply of so many ms."""
    peer, model = await talking(place)
    line = place.line
    line.receive(line.call.receive_openai, builders.created())
    line.receive(line.call.receive_openai, builders.audio_delta("i", ms))
    line.receive(line.call.receive_openai, builders.audio_done("i"))
    return peer, model


@pytest.mark.parametrize("patience_s", [0.0, 0.05])
def test_a_reply_that_has_begun_is_heard_to_its_end(patience_s):
    @loopback.told
    async def told(place):
        peer, model = await speaking(place, 600)
        took_s = await drained(place, patience_s)

        assert place.line.call.playout.frames_sent == 30
        assert 0.55 < took_s < draining.QUESTION_S
        assert place.line.record().end_reason == "shutdown"
        await model.close()
        await peer.close()

    told()


def test_a_reply_that_never_ends_does_not_keep_the_process(monkeypatch):
    monkeypatch.setattr(draining, "REPLY_S", 0.1)

    @loopback.told
    async def told(place):
        peer, model = await speaking(place, 60_000)
        assert await drained(place) < 2.0

        assert place.line.is_over
        await model.close()
        await peer.close()

    told()
