"""Listeners: both sides as the caller's line has them, and nothing waits for them."""

import asyncio

from bridge.call.plan import TakeOver
from bridge.line.listeners import (
    LISTENER_FRAMES_MAX,
    LISTENERS_MAX,
    PAIR_BYTES,
    Listener,
)
from tests.bridge import builders, loopback, ws_peer
from tests.bridge.line.test_driver import talking

CALLER = b"\x33" * 160
AI = b"\x20" * 160


async def next_pair(listener):
    async with asyncio.timeout(30):
        heard = await listener.take()
    assert len(heard) == PAIR_BYTES
    return heard[:160], heard[160:]


@loopback.told
async def test_both_sides_are_heard_by_the_callers_clock(place):
    peer, model = await talking(place)
    listener = place.line.listeners.add("Dana")
    model.send_text(
        b'{"type":"response.output_audio.delta","response_id":"r","item_id":'
        b'"i","content_index":0,"delta":"%s"}' % (b"ICAg" * 160)
    )
    await loopback.expect(peer)
    heard = []
    for _ in range(4):
        peer.send_text(loopback.media_message(CALLER))
        heard.append(await next_pair(listener))

    assert heard == [(CALLER, AI)] * 3 + [(CALLER, builders.SILENCE)]
    assert place.line.listeners.names == ["Dana"]
    await peer.close()
    await model.close()


@loopback.told
async def test_what_is_cleared_is_not_heard(place):
    peer, model = await talking(place)
    listener = place.line.listeners.add("Dana")
    model.send_text(
        b'{"type":"response.output_audio.delta","response_id":"r","item_id":'
        b'"i","content_index":0,"delta":"%s"}' % (b"ICAg" * 160)
    )
    await loopback.expect(peer)
    peer.send_text(loopback.media_message(CALLER))
    first = await next_pair(listener)
    place.line.receive(place.line.call.receive_operator, TakeOver())
    place.line.receive(place.line.call.receive_operator_audio, b"\x11" * 160)
    peer.send_text(loopback.media_message(CALLER))
    second = await next_pair(listener)

    assert first == (CALLER, AI)
    assert second == (CALLER, b"\x11" * 160)
    await peer.close()
    await model.close()


@loopback.told
async def test_the_fast_path_is_taken_unless_somebody_listens(place):
    line, peer = await place.join()
    assert line.fast_path.is_open

    one, other = line.listeners.add("Dana"), line.listeners.add("Noa")
    assert not line.fast_path.is_open
    line.listeners.remove(one)
    assert not line.fast_path.is_open
    line.listeners.remove(other)
    assert line.fast_path.is_open
    await peer.close()


@loopback.told
async def test_a_call_has_so_many_listeners_and_none_once_it_is_over(place):
    line, peer = await place.join()
    found = [line.listeners.add(str(number)) for number in range(LISTENERS_MAX + 1)]

    assert found[-1] is None
    assert None not in found[:-1]
    line.receive(line.call.receive_hangup, "over")
    assert await found[0].take() == b""
    line.listeners.remove(found[0])
    assert line.listeners.add("late") is None
    await peer.close()


@loopback.told
async def test_a_slow_listener_loses_the_oldest_and_the_call_does_not_notice(place):
    peer, model = await talking(place)
    listener = place.line.listeners.add("slow")
    for number in range(LISTENER_FRAMES_MAX + 3):
        peer.send_text(loopback.media_message(bytes([number]) * 160))
    await ws_peer.until(lambda: listener.dropped_frames == 3)

    heard = await listener.take()
    place.line.listeners.remove(listener)

    assert heard[0] == 3
    assert len(heard) == LISTENER_FRAMES_MAX * PAIR_BYTES
    dropped = place.metrics.value("dropped", limit="listener_frames")
    assert dropped == 3
    assert not place.line.is_over
    await peer.close()
    await model.close()


def test_a_listener_waits_for_the_next_frame():
    async def told():
        listener = Listener("Dana")
        waiting = asyncio.ensure_future(listener.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        listener.put(CALLER + AI)
        assert await waiting == CALLER + AI

    ws_peer.run(told)
