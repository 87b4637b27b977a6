"""What another process knows of a sentence that the caller has heard."""

from time import monotonic

from bridge.call import checkpoint
from crm import live_calls
from tests.bridge import ws_peer
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
