"""When a call is owned and saved, and what happens if that fails."""

import asyncio
from contextlib import suppress
from uuid import UUID, uuid4

import msgspec

from bridge.call import checkpoint
from bridge.call.machine import Call
from bridge.nodes import ownership
from crm import live_calls
from tests.bridge import running_service, ws_peer
from tests.bridge.nodes.test_resumed_calls import (
    ask,
    come_back,
    die,
    talking,
    told,
    until_recorded,
)


async def saved(at, sid):
    business_id = UUID(str(at.business_id))
    form, _, state = await live_calls.load(at.database, business_id, sid)
    return checkpoint.decode(form, state)


@told
async def test_call_has_an_owner_before_its_caller_is_connected(at, there):
    sid = running_service.new_sid()
    await at.ring(sid)
    assert (await live_calls.find(at.database, sid)).node == "a"
    assert not (await saved(at, sid)).is_greeted
    model, _ = await at.configured_model()
    at.peers.append(model)

    await die(at)
    document = await ask(there, sid)
    model, _ = await come_back(there, sid, document)
    event = await model.event()
    assert event["type"] == "response.create"
    assert "apology" not in event["response"]["instructions"]


@told
async def test_webhook_that_comes_again_elsewhere_takes_the_call_along(at, there):
    """The first process was killed before it answered, and a balancer asked again."""
    sid = running_service.new_sid()
    await at.ring(sid)
    at.peers.append((await at.configured_model())[0])
    document = await there.ring(sid)
    model, _ = await come_back(there, sid, document)
    assert (await model.event())["type"] == "response.create"
    assert (await live_calls.find(at.database, sid)).node == "b"

    await at.server._node.ownership.look()
    assert at.server.switchboard.find_driver(sid) is None
    line = there.server.switchboard.find_driver(sid)
    line.receive(line.call.receive_hangup, "caller_hung_up")
    await until_recorded(at, sid)


async def ring_while_the_database_is_late(there, sid):
    async def is_late(*_, **__):
        raise TimeoutError

    owning = there.server._node.ownership
    open_new, owning._open_new = owning._open_new, is_late
    document = await there.ring(sid)
    owning._open_new = open_new
    there.peers.append((await there.configured_model())[0])
    return document


@told
async def test_caller_decides_who_has_a_call_of_two_webhooks(at, there):
    sid = running_service.new_sid()
    await at.ring(sid)
    at.peers.append((await at.configured_model())[0])
    document = await ring_while_the_database_is_late(there, sid)
    await there.server._node.ownership.look()
    assert (await live_calls.find(at.database, sid)).node == "a"

    token = running_service.parameters_of(document)["token"]
    at.peers.append(await there.stream(sid, token))
    switchboard = there.server.switchboard
    await ws_peer.until(lambda: switchboard.find_driver(sid).twilio_leg is not None)
    # The process's own looks come at the same time.
    await asyncio.gather(*(there.server._node.ownership.look() for _ in range(3)))
    assert (await live_calls.find(at.database, sid)).node == "b"
    await at.server._node.ownership.look()
    assert at.server.switchboard.find_driver(sid) is None
    assert switchboard.find_driver(sid) is not None


@told
async def test_call_of_two_webhooks_is_let_go_where_no_caller_comes(at, there):
    sid = running_service.new_sid()
    await at.ring(sid)
    at.peers.append((await at.configured_model())[0])
    await ring_while_the_database_is_late(there, sid)
    waits_s, ownership.CONNECTED_WITHIN_S = ownership.CONNECTED_WITHIN_S, 0.0
    try:
        await there.server._node.ownership.look()
    finally:
        ownership.CONNECTED_WITHIN_S = waits_s
    assert there.server.switchboard.find_driver(sid) is None
    assert (await live_calls.find(at.database, sid)).node == "a"
    assert at.server.switchboard.find_driver(sid) is not None


@told
async def test_call_begins_although_the_database_does_not_answer(at, there):
    async def hangs(*_, **__):
        raise TimeoutError

    at.server._node.ownership._open_new = hangs
    document = await at.ring(running_service.new_sid())
    assert document.find("Connect/Stream") is not None
    at.peers.append((await at.configured_model())[0])


@told
async def test_checkpoint_that_fails_costs_no_other_call(at, there):
    first, _, _ = await talking(at)
    broken = at.server.switchboard.find_driver(first).call
    take = Call.checkpoint

    def fails(call, now):
        if call is broken:
            raise RuntimeError("a bug")
        return take(call, now)

    Call.checkpoint = fails
    try:
        at.server._node.ownership._saved.clear()
        second, _, _ = await talking(at)
        assert (await saved(at, second)).turns
    finally:
        Call.checkpoint = take
    assert at.server.metrics.value("task_failures", task="checkpoint") >= 1


@told
async def test_first_save_that_is_given_up_is_made_again_with_the_plan(at, there):
    save, wait_s = live_calls.save, ownership.OWN_WAIT_S
    ownership.OWN_WAIT_S = 0.05

    answers = asyncio.Event()

    async def hangs(*_):
        with suppress(asyncio.CancelledError):
            await answers.wait()
        # A query cannot be cancelled either while the database hangs.
        await answers.wait()
        raise TimeoutError

    live_calls.save = hangs
    try:
        sid = running_service.new_sid()
        await at.ring(sid)
    finally:
        answers.set()
        live_calls.save, ownership.OWN_WAIT_S = save, wait_s
    at.peers.append((await at.configured_model())[0])
    await at.server._node.ownership.look()
    await die(at)

    assert (await ask(there, sid)).find("Connect/Stream") is not None


@told
async def test_plan_follows_a_first_checkpoint_that_failed(at, there):
    take = Call.checkpoint

    def fails(call, now):
        raise RuntimeError("a bug")

    Call.checkpoint = fails
    try:
        sid = running_service.new_sid()
        token = running_service.parameters_of(await at.ring(sid))["token"]
    finally:
        Call.checkpoint = take
    at.peers.append(await at.stream(sid, token))
    at.peers.append((await at.configured_model())[0])
    line = at.server.switchboard.find_driver(sid)
    await ws_peer.until(lambda: line.call.call_record.is_answered)
    await at.server._node.ownership.look()
    await die(at)

    assert (await ask(there, sid)).find("Connect/Stream") is not None


@told
async def test_call_whose_row_is_refused_costs_no_other_call(at, there):
    refused, _, _ = await talking(at)
    owned = at.server._node.ownership
    line = at.server.switchboard.find_driver(refused)
    async with at.database.owner() as connection:
        await connection.execute("delete from call_owners")
    owned.forget(refused)
    line.call.plan = msgspec.structs.replace(line.call.plan, business_id=str(uuid4()))
    second, _, _ = await talking(at)

    assert (await saved(at, second)).turns
    assert await live_calls.find(at.database, refused) is None
    assert at.server.switchboard.find_driver(refused) is line


def test_process_without_calls_does_not_say_that_checkpoints_are_saved(
    database_url, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(ownership, "EVERY_S", 0.01)
    monkeypatch.setattr(ownership, "URGENT_EVERY_S", 0.01)
    said = "[NODE] checkpoints are saved again"

    @told
    async def story(at, there):
        own = at.server._node.ownership
        own._note_away(ConnectionRefusedError())
        before = own._looked_at
        await ws_peer.until(lambda: own._looked_at > before + 0.1)
        assert said not in caplog.messages
        await at.ring(running_service.new_sid())
        at.peers.append((await at.configured_model())[0])
        await ws_peer.until(lambda: said in caplog.messages)

    story(database_url, tmp_path)
