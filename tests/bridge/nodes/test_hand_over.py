"""A call whose process the database cannot reach, and which lives."""

import asyncio

import msgspec
import pytest

from bridge.call import checkpoint
from bridge.nodes import hand_over, ownership, reaper
from crm import live_calls
from tests.bridge import builders, ws_peer
from tests.bridge.nodes import test_claimed_by_worker, test_peers
from tests.bridge.nodes.test_peers import reached_at
from tests.bridge.nodes.test_resumed_calls import ask, talking

SAID_SINCE = (
    b'{"type":"input_audio_buffer.committed","event_id":"e","item_id":"u2"}',
    b'{"type":"conversation.item.input_audio_transcription.completed","event_id":"e",'
    b'"item_id":"u2","content_index":0,"transcript":"At nine."}',
)
told = test_peers.told


pytestmark = pytest.mark.usefixtures("heartless")


@pytest.fixture(autouse=True)
def still(monkeypatch):
    """Nothing happens by itself."""
    monkeypatch.setattr(ownership, "EVERY_S", 1e6)
    monkeypatch.setattr(ownership, "URGENT_EVERY_S", 1e6)
    monkeypatch.setattr(reaper, "EVERY_S", 1e6)


async def talked_on(at):
    """Return a call of which the database does not know the last turn."""
    sid, peer, model = await talking(at)
    for event in SAID_SINCE:
        model.send_text(event)
    noted = at.server.switchboard.find_driver(sid).call.call_record
    await ws_peer.until(lambda: "At nine." in said(noted.transcript.turns()))
    return sid, peer, model


def said(turns):
    return [text for turn in turns for text in turn.parts.values()]


def question(sid, **fields):
    form = {"CallSid": sid, "AccountSid": builders.ACCOUNT_SID, "Generation": "2"}
    return {**form, "Worker": "0", **fields}


@told
async def test_call_goes_on_as_its_living_process_knows_it(at, there):
    sid, peer, model = await talked_on(at)
    old = at.server.switchboard.find_driver(sid)
    await stale(at)
    assert (await ask(there, sid)).find("Connect/Stream") is not None

    new = there.server.switchboard.find_driver(sid)
    assert said(new.call.plan.resumed.turns) == ["Hello.", "Tuesday?", "At nine."]
    assert old.is_let_go
    await peer.ended()
    await model.ended()
    asked = there.server.metrics.value("calls_asked_for", outcome="answered")
    assert asked == at.server.metrics.value("calls_taken_over") == 1


async def stale(at):
    """Let the process count as dead, with its row and its URL in place."""
    async with at.database.owner() as connection:
        await connection.execute(
            "update nodes set beat_at = now() - interval '10 s' where name = 'a'"
        )


@told
async def test_question_waits_for_a_call_that_is_being_claimed(at, there):
    """The stream of a call that was handed over ends before its driver is there."""
    sid, _, _ = await talked_on(at)
    await stale(at)
    begin, may_begin = there.server._node.calls._begin, asyncio.Event()

    async def begins(*given):
        await may_begin.wait()
        return await begin(*given)

    there.server._node.calls._begin = begins
    owner = await live_calls.find(at.database, sid)
    old = at.server.switchboard.find_driver(sid)
    taking = asyncio.create_task(there.server._node.calls.take(owner))
    await ws_peer.until(lambda: old.is_let_go)
    asking = asyncio.create_task(ask(there, sid))
    await asyncio.sleep(0.1)
    may_begin.set()

    assert (await asking).find("Connect/Stream") is not None
    assert await taking is there.server.switchboard.find_driver(sid)


@told
async def test_old_process_passes_the_question_on_without_the_database(at, there):
    sid, _, _ = await talked_on(at)
    await stale(at)
    asker = there.server._node.hand_over
    url = f"http://127.0.0.1:{there.server.port}"
    asker._identity = asker._identity._replace(url=url)
    line = await there.server._node.calls.take(await live_calls.find(at.database, sid))
    at.server._node.peers.ask_owner = None

    assert (await ask(at, sid)).find("Connect/Stream") is not None
    assert line.promised_at > 0.0


@told
async def test_process_that_is_dead_leaves_its_checkpoint(at, there):
    sid, _, _ = await talked_on(at)
    await reached_at(at, "a", 9)
    await stale(at)
    await ask(there, sid)

    resumed = there.server.switchboard.find_driver(sid).call.plan.resumed
    assert said(resumed.turns) == ["Hello.", "Tuesday?"]
    asked = there.server.metrics.value("calls_asked_for", outcome="no_answer")
    assert asked == 1


@told
async def test_process_that_hangs_is_waited_for_only_briefly(at, there):
    sid, _, _ = await talked_on(at)
    async with await asyncio.start_server(hang, "127.0.0.1", 0) as hanging:
        await reached_at(at, "a", hanging.sockets[0].getsockname()[1])
        await stale(at)
        async with asyncio.timeout(hand_over.ANSWER_WAIT_S + 2.0):
            await ask(there, sid)

    resumed = there.server.switchboard.find_driver(sid).call.plan.resumed
    assert said(resumed.turns) == ["Hello.", "Tuesday?"]


async def hang(reader, writer):
    await reader.read()
    writer.close()


@pytest.mark.parametrize(
    "answer", [b"", b"no msgpack", msgspec.msgpack.encode((7, b"of another version"))]
)
def test_answer_that_cannot_be_read_leaves_the_checkpoint(
    database_url, tmp_path, answer
):
    @told
    async def story(at, there):
        sid, _, _ = await talked_on(at)

        async def answers(*_, **__):
            return answer

        at.server._node.hand_over.answer = answers
        await stale(at)
        await ask(there, sid)
        resumed = there.server.switchboard.find_driver(sid).call.plan.resumed
        assert said(resumed.turns) == ["Hello.", "Tuesday?"]
        counted = there.server.metrics.value("calls_asked_for", outcome="unreadable")
        assert counted == 1

    story(database_url, tmp_path)


@told
async def test_question_of_no_newer_generation_changes_nothing(at, there):
    sid, _, _ = await talked_on(at)
    for generation in ("1", "0", "", "two", "-2", "२"):
        form = question(sid, Generation=generation)
        status, _ = await at.post("/twilio/hand-over", **form)
        assert status == 404
    assert not at.server.switchboard.find_driver(sid).is_over


@told
async def test_question_that_is_not_signed_changes_nothing(at, there):
    sid, _, _ = await talked_on(at)
    for token in ("", "another's"):
        form = question(sid)
        status, _ = await at.post("/twilio/hand-over", token=token, **form)
        assert status == 403
    status, _ = await at.post("/twilio/hand-over", signed=False, **question(sid))
    assert status == 403
    assert not at.server.switchboard.find_driver(sid).is_over


@told
async def test_call_that_is_not_here_is_not_handed_over(at, there):
    status, _ = await at.post("/twilio/hand-over", **question("CAnobody"))
    assert status == 404


def test_question_reaches_the_worker_that_has_the_call(database_url, tmp_path):
    @test_claimed_by_worker.told
    async def story(at, there):
        sid, line = await test_claimed_by_worker.claimed_by_second(at, there)
        form = question(sid, Generation="3", Worker="1")
        status, body = await at.post("/twilio/hand-over", **form)
        assert status == 200
        state = checkpoint.decode(*msgspec.msgpack.decode(body))
        assert said(state.turns)[:2] == ["Hello.", "Tuesday?"]
        assert line.is_let_go

        status, _ = await at.post("/twilio/hand-over", **form)
        assert status == 404

    story(database_url, tmp_path)


def test_worker_asks_another_worker_inside(database_url, tmp_path):
    @test_claimed_by_worker.told
    async def story(at, there):
        sid, _, _ = await talked_on(at)
        owner = await live_calls.find(at.database, sid)
        state = await there.server._node.hand_over.ask(owner, owner.generation + 1)
        assert said(state.turns) == ["Hello.", "Tuesday?", "At nine."]
        assert at.server.switchboard.find_driver(sid) is None

    story(database_url, tmp_path)
