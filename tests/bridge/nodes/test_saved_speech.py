"""What another process knows of a call: that it began, and what the caller heard."""

import asyncio
from time import monotonic

from bridge.call import checkpoint
from crm import live_calls
from tests.bridge import running_service, ws_peer
from tests.bridge.nodes.test_resumed_calls import (
    SAID,
    talking,
    told,
)

# The same with other words, and 300 ms long.
LONG = tuple(
    event.replace(b"r1", b"r2")
    .replace(b"i1", b"i2")
    .replace(b"Hello", b"At nine")
    .replace(b"/////w" * 40, b"/////w" * 600)
    for event in SAID
)


@told
async def test_sentence_that_was_heard_meanwhile_is_saved_as_heard(at, there):
    sid, _, model = await talking(at)
    for event in LONG:
        model.send_text(event)
    line = at.server.switchboard.find_driver(sid)
    transcript = line.call.call_record.transcript
    await ws_peer.until(lambda: any(t.text == "At nine." for t in transcript.turns()))
    await at.server._node.ownership.look()
    assert (await saved(at, sid)).turns[-1].interrupted

    await ws_peer.until(lambda: not line.call.playout.is_playing(monotonic()))
    await at.server._node.ownership.look()
    assert not (await saved(at, sid)).turns[-1].interrupted


async def saved(at, sid):
    form, _, state = await live_calls.load(at.database, at.business_id, sid)
    return checkpoint.decode(form, state)


@told
async def test_call_has_an_owner_and_a_checkpoint_as_soon_as_it_rings(at, there):
    sid = running_service.new_sid()
    await at.ring(sid)
    async with asyncio.timeout(30):
        while not await live_calls.load(  # noqa: ASYNC110 a row
            at.database, at.business_id, sid
        ):
            await asyncio.sleep(0.01)

    owner = await live_calls.find(at.database, sid)
    assert owner.node == "a"
    assert not (await saved(at, sid)).is_greeted
