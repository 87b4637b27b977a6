"""A node that was frozen learns of the caller's end before it learns of the claim."""

from tests.bridge import ws_peer
from tests.bridge.nodes.test_resumed_calls import (
    ask,
    come_back,
    die,
    recorded,
    talking,
    told,
    until_recorded,
)


async def woken(at, there):
    """Move a call to the other node; return the call, which the first takes for left
    by its caller."""
    sid, peer, _ = await talking(at)
    await die(at)
    await come_back(there, sid, await ask(there, sid))
    await peer.close()
    line = at.server.switchboard.find_driver(sid)
    line.receive(line.call.receive_hangup, "caller_hung_up")
    await ws_peer.until(lambda: at.server._records.waiting == 0)
    assert await recorded(at, sid) is None
    return sid


@told
async def test_woken_node_knows_how_a_moved_call_has_ended(at, there):
    sid = await woken(at, there)
    line = there.server.switchboard.find_driver(sid)
    line.receive(line.call.receive_hangup, "end_call:goodbye")
    await until_recorded(at, sid)
    document = await ask(at, sid)

    assert [verb.tag for verb in document] == ["Hangup"]


@told
async def test_woken_node_goes_on_with_a_moved_call(at, there):
    sid = await woken(at, there)
    await there.server._node.ownership.look()
    await die(there)
    document = await ask(at, sid)

    assert document.find("Connect/Stream") is not None
