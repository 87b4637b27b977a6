"""A call whose process is gone goes on in another one, over loopback."""

import asyncio
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import msgspec

from bridge.call import checkpoint
from bridge.nodes.membership import Identity
from bridge.service.server import Server
from crm import calls, live_calls, nodes
from tests.bridge import running_service, ws_peer
from tests.bridge.running_service import Service

SAID = (
    b'{"type":"response.created","event_id":"e","response":{"id":"r1"}}',
    b'{"type":"response.output_audio.delta","event_id":"e","response_id":"r1",'
    b'"item_id":"i1","content_index":0,"delta":"%s"}' % (b"/////w" * 40 + b"//8="),
    b'{"type":"response.output_audio.done","event_id":"e","response_id":"r1",'
    b'"item_id":"i1","content_index":0}',
    b'{"type":"response.output_audio_transcript.done","event_id":"e",'
    b'"response_id":"r1","item_id":"i1","content_index":0,"transcript":"Hello."}',
    b'{"type":"response.done","event_id":"e","response":{"id":"r1",'
    b'"status":"completed","output":[],"usage":{"total_tokens":7}}}',
)
ASKED_FOR_TOOL = (
    b'{"type":"response.output_item.done","event_id":"e","response_id":"r1","item":'
    b'{"id":"f1","type":"function_call","name":"leads_upsert","call_id":"t1",'
    b'"arguments":"{\\"name\\":\\"Eve\\"}","status":"completed"}}'
)
ASKED = (
    b'{"type":"input_audio_buffer.committed","event_id":"e","item_id":"u1"}',
    b'{"type":"conversation.item.input_audio_transcription.completed","event_id":"e",'
    b'"item_id":"u1","content_index":0,"transcript":"Tuesday?"}',
)


def life(name):
    return Identity(name, 0, "", "1.0", uuid4())


@asynccontextmanager
async def two_nodes(url, home, **settings):
    """Two nodes of one business, `a` and `b`; `a` has a call that has begun."""
    first, second = life("a"), life("b")
    async with running_service.served(
        url, home / "a", identity=first, **settings
    ) as at:
        given = msgspec.structs.replace(at.settings, kolbridge_home=str(home / "b"))
        server = Server(given, at.database, identity=second)
        await server.start()
        there = Service(given, server, at.model, at.database, at.business_id, at.number)
        at.peers = there.peers = []
        try:
            yield at, there
        finally:
            for peer in at.peers:
                await peer.close()
            await server.close()
            await clear(at.database)


async def clear(database):
    async with database.owner() as connection:
        await connection.execute("delete from nodes")
        await connection.execute("delete from call_owners")


async def talking(at):
    """Return a call's id, the caller's end of its stream, and the model's."""
    sid = running_service.new_sid()
    token = running_service.parameters_of(await at.ring(sid))["token"]
    peer = await at.stream(sid, token)
    model, _ = await at.configured_model()
    at.peers += [peer, model]
    for event in (*SAID, *ASKED):
        model.send_text(event)
    line = at.server.switchboard.find_driver(sid)
    transcript = line.call.call_record.transcript
    await ws_peer.until(lambda: any(t.text == "Tuesday?" for t in transcript.turns()))
    await asyncio.sleep(0.1)  # the caller hears "Hello."
    await at.server._node.ownership.look()
    return sid, peer, model


async def die(at):
    """Let the other nodes take a node for dead; it does not know of that."""
    node = at.server._node
    await node._tasks[0].stop()
    await nodes.leave(at.database, node._membership.identity.incarnation)


async def ask(there, sid, **fields):
    """Let Twilio ask a node what follows the stream of a call."""
    form = {"CallSid": sid, "CallStatus": "in-progress", "To": there.number}
    _, body = await there.post("/twilio/after-stream", **{**form, **fields})
    return running_service.document_of(body)


async def come_back(there, sid, document):
    """Open the stream that a document asks for; return both ends."""
    token = running_service.parameters_of(document)["token"]
    peer = await there.stream(sid, token)
    model, session = await there.configured_model()
    there.peers += [peer, model]
    return model, session


def told(story_of, **settings):
    def test(database_url, tmp_path):
        async def main():
            async with two_nodes(database_url, tmp_path, **settings) as (at, there):
                await story_of(at, there)

        ws_peer.run(main)

    test.__name__ = story_of.__name__
    test.__doc__ = story_of.__doc__
    return test


async def recorded(at, sid):
    return await calls.find(at.database, at.business_id, sid)


@told
async def test_call_of_a_dead_node_goes_on_where_it_was(at, there):
    sid, _, _ = await talking(at)
    await die(at)
    document = await ask(there, sid)
    assert document.find("Connect/Stream") is not None
    asked = f"{there.server.public_url}/twilio/after-stream"
    assert document.find("Connect").get("action") == asked
    assert document.findtext("Redirect") == asked
    assert document.find("Say") is None
    model, session = await come_back(there, sid, document)

    assert "Offer coffee." in session["instructions"]
    assert {tool["name"] for tool in session["tools"]} >= {"leads_upsert"}
    said = [await model.event() for _ in range(3)]
    texts = [one["item"]["content"][0]["text"] for one in said[:2]]
    assert texts == ["Hello.", "Tuesday?"]
    assert "apology" in said[2]["response"]["instructions"]
    assert there.server.metrics.value("calls_resumed", outcome="resumed") == 1


@told
async def test_node_that_was_only_frozen_lets_go_and_writes_nothing(at, there):
    sid, peer, model = await talking(at)
    await die(at)
    document = await ask(there, sid)
    await come_back(there, sid, document)
    node = at.server._node
    await nodes.beat(at.database, node._membership._made())  # it has woken
    await node.ownership.look()

    assert at.server.switchboard.find_driver(sid) is None
    await peer.ended()
    await model.ended()
    assert at.server.metrics.value("calls_taken_over") == 1
    assert await recorded(at, sid) is None

    line = there.server.switchboard.find_driver(sid)
    line.receive(line.call.receive_hangup, "caller_hung_up")
    await until_recorded(at, sid)
    row = await recorded(at, sid)
    assert row["end_reason"] == "caller_hung_up"
    assert row["usage"]["total_tokens"] == 7
    turns = await calls.turns(at.database, at.business_id, sid)
    assert [turn.text for turn in turns] == ["Hello.", "Tuesday?"]
    assert await live_calls.find(at.database, sid) is None


@told
async def test_node_that_was_frozen_runs_no_tool(at, there):
    sid, _, model = await talking(at)
    await die(at)
    await ask(there, sid)
    owned = at.server._node.ownership
    owned._looked_at = float("-inf")  # it was frozen for long
    model.send_text(ASKED_FOR_TOOL)
    line = at.server.switchboard.find_driver(sid)
    await ws_peer.until(lambda: line.call.call_record.tools)

    (tool,) = line.call.call_record.tools
    assert not tool.ok
    assert at.server.metrics.value("tools", name="leads_upsert", outcome="ok") == 0
    assert await at.database_value("select count(*) from leads where name = 'Eve'") == 0


async def until_recorded(at, sid):
    for _ in range(200):
        if await recorded(at, sid) is not None:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the call has no record")


@told
async def test_call_of_a_node_that_lives_is_not_claimed(at, there):
    sid, _, _ = await talking(at)
    document = await ask(there, sid)

    assert document.find("Connect") is None
    assert (await live_calls.find(at.database, sid)).generation == 1
    assert at.server.switchboard.find_driver(sid) is not None


@told
async def test_of_two_questions_at_once_one_claims(at, there):
    sid, _, _ = await talking(at)
    await die(at)
    first, second = await asyncio.gather(ask(there, sid), ask(there, sid))

    assert first.find("Connect") is not None or second.find("Connect") is not None
    assert (await live_calls.find(at.database, sid)).generation == 2


@told
async def test_checkpoint_that_cannot_be_read_is_not_claimed(at, there):
    sid, _, _ = await talking(at)
    other = live_calls.Checkpoint(
        UUID(str(at.business_id)), sid, 1, checkpoint.FORMAT + 1, None, b"new"
    )
    await live_calls.save(at.database, [other])
    await die(at)
    document = await ask(there, sid)

    assert document.find("Connect") is None
    assert document.findtext("Say")
    assert (await live_calls.find(at.database, sid)).generation == 1
    assert there.server.metrics.value("calls_resumed", outcome="failed") == 1


def test_call_is_not_resumed_for_ever(database_url, tmp_path):
    async def story(at, there):
        sid, _, _ = await talking(at)
        async with at.database.owner() as connection:
            await connection.execute("update call_owners set claims = 3")
        await die(at)
        document = await ask(there, sid)

        assert document.find("Connect") is None
        assert there.server.metrics.value("calls_resumed", outcome="refused") == 1

    told(story)(database_url, tmp_path)


def test_resume_can_be_switched_off(database_url, tmp_path):
    async def story(at, there):
        sid, _, _ = await talking(at)
        business_id = UUID(str(at.business_id))
        assert await live_calls.load(at.database, business_id, sid) is None
        await die(at)
        document = await ask(there, sid)

        assert document.find("Connect") is None
        assert (await live_calls.find(at.database, sid)).generation == 1

    told(story, resume=False)(database_url, tmp_path)


@told
async def test_row_that_a_failover_has_forgotten_is_written_again(at, there):
    sid, _, _ = await talking(at)
    async with at.database.owner() as connection:
        await connection.execute("delete from call_owners")
        await connection.execute("delete from checkpoints")
    await at.server._node.ownership.look()
    await at.server._node.ownership.look()

    assert at.server.switchboard.find_driver(sid) is not None
    await die(at)
    assert (await ask(there, sid)).find("Connect/Stream") is not None


@told
async def test_call_that_cannot_be_begun_is_given_up_again(at, there):
    sid, _, _ = await talking(at)
    await die(at)
    calls_ = there.server._node.calls
    begin = calls_._begin

    async def fail(plan, account_sid):
        raise ConnectionError("away")

    calls_._begin = fail
    assert (await ask(there, sid)).find("Connect") is None
    assert (await live_calls.find(at.database, sid)).is_stale
    calls_._begin = begin
    there.server.switchboard._ended._ended.clear()
    assert (await ask(there, sid)).find("Connect/Stream") is not None
